"""The check of random numbers: the same seed gives the same, from the generators that annpipe keeps."""

from __future__ import annotations

from typing import Any

import torch

from annpipe.backend.device import computing
from annpipe.backend.streams import drawing, generator
from annpipe.contract import Dataset
from annpipe.registry.traits import TransformTraits
from annpipe.testing.components.blame import line_that_changes
from annpipe.testing.components.states import first_difference, random_states, seeded_globally
from annpipe.testing.components.subject import Subject
from annpipe.testing.components.training import TrainedPlan, train_plan
from annpipe.testing.components.trains import acting_line
from annpipe.testing.components.verdicts import ComponentFault
from annpipe.train.loop.figures import run_view


def check_random(subject: Subject) -> str:
    """The same seed gives the same numbers, whatever the state of the global generators, which are left alone."""
    if subject.kind in ("data", "distribution"):
        _drawn_twice(subject)
    if subject.kind in ("layer", "loss", "transform", "initializer", "distribution"):
        _not_reseeded(subject)
    runs = [_run(subject, seed) for seed in (1, 2)]
    (first, changed), (second, _) = runs
    if changed:
        line = line_that_changes(
            subject.entry.file, lambda: random_states()[changed], lambda: train_plan(subject.plan, subject.folder)
        )
        message = f"it draws from the global generator of {changed}"
        raise ComponentFault(message, _GENERATOR_HELP, line or acting_line(subject))
    difference = first_difference(_numbers(first), _numbers(second))
    if difference is not None:
        message = f"two runs with the same seed differ, in {difference}"
        raise ComponentFault(
            message, "draw from torch's generator in `forward`, and keep nothing outside", acting_line(subject)
        )
    return "two runs with one seed are equal, and the global generators are left alone"


_GENERATOR_HELP = (
    "draw from `generator` where the kind has one, else from torch's own in `forward`; "
    "a callback, metric or plot makes a `torch.Generator()` of its own"
)


def _run(subject: Subject, seed: int) -> tuple[TrainedPlan, str | None]:
    """A run under other global generators, and the one that it changed."""
    with seeded_globally(seed):
        before = random_states()
        trained = train_plan(subject.plan, subject.new_folder(f"run-{seed}"))
        if subject.kind == "plot":
            view = run_view(subject.plan, trained.parts, trained.reports.history)
            subject.loaded(view, **subject.component(subject.plan).options)
        after = random_states()
    return trained, next((name for name in before if before[name] != after[name]), None)


def _numbers(trained: TrainedPlan) -> dict[str, Any]:
    texts = {name: content for name, content in trained.reports.kept.items() if isinstance(content, str)}
    return {"series": trained.reports.series, "model": trained.parts.model.state_dict(), "artifacts": texts}


def _drawn_twice(subject: Subject) -> None:
    """Data are drawn from `generator` alone, distributions from torch's own."""
    plan = subject.plan

    def draw() -> Any:
        with computing("float64", deterministic=False):
            if subject.kind == "data":
                made = subject.instance(plan, generator=generator(0, "data"), aside=())
                rows = made if isinstance(made, Dataset) else made.head()
                return {**rows.inputs, **rows.targets}
            torch.default_generator.manual_seed(0)
            return subject.instance(plan).sample((9,))

    drawn = []
    for seed in (1, 2):
        with seeded_globally(seed):
            drawn.append(draw())
    difference = first_difference(*drawn)
    if difference is None:
        return
    watched = "torch" if subject.kind == "data" else "NumPy"
    with seeded_globally(1):
        lines = [
            line_that_changes(subject.entry.file, lambda name=name: random_states()[name], draw)  # type: ignore[misc]  # bound now
            for name in dict.fromkeys((watched, "NumPy", "Python"))
        ]
    source = "`generator`" if subject.kind == "data" else "torch's own generator"
    message = f"it draws from a generator other than {source}"
    help_ = f"draw from {source} alone, as in `torch.rand(n, generator=generator)`"
    raise ComponentFault(message, help_, next(filter(None, lines), 0))


def _not_reseeded(subject: Subject) -> None:
    plan = subject.plan
    weights = list(subject.trained.parts.model.named_parameters())
    n_categories = 3 if subject.entry.traits_as(TransformTraits).takes == "category" else 0

    def make() -> None:
        if subject.kind == "initializer":
            tensor = next(p for name, p in weights if name.endswith("weight")).detach().clone()
            component = subject.component(plan)
            supplied = {"generator": torch.default_generator} if component.entry.parameter("generator") else {}
            component.load()(tensor, **{**component.options, **supplied})
        else:
            subject.instance(plan, target_names=list(plan.fields.targets), categories=[n_categories])

    after = []
    for seed in (1, 2):
        with seeded_globally(seed), drawing(seed, "init"):
            make()
            after.append(random_states()["torch"])
    if after[0] == after[1]:
        with seeded_globally(3):
            line = line_that_changes(subject.entry.file, lambda: random_states()["torch"], make)
        message = "it seeds the global generator anew: all seeds of a spec would be one"
        raise ComponentFault(message, "leave out `manual_seed`: annpipe seeds the generator from the spec", line)
