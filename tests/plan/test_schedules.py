"""A schedule is as long as its run: filled in where it is left out, held against the run where it is said."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.errors import RunError, SpecError
from annpipe.plan.schedules import Length, run_length
from annpipe.registry.entry import Entry
from annpipe.registry.registry import Registry
from annpipe.registry.traits import SchedulerTraits
from annpipe.registry.types import Choice, Formula, ListOf, Named, OptionType, alternatives
from annpipe.spec.sections.models import Train

REGISTRY = Registry.installed()
SCHEDULERS = [entry for entry in REGISTRY.entries("scheduler") if entry.traits_as(SchedulerTraits).steps_on != "metric"]
SPEC = """
version: 1
name: lengths
data: {table: {inputs: {x: [0, 1, 2, 3, 4, 5, 6]}, targets: {y: [1, 3, 5, 7, 9, 11, 13]}}}
model: [Linear: 1]
loss: L1Loss
optimizer: {SGD: {lr: 0.1, momentum: 0.9}}
train: {epochs: 3}
"""


def overridden(scheduler: Any, **train: Any) -> list[str]:
    return [f"scheduler={json.dumps(scheduler)}", f"train={json.dumps(train)}"]


# --- generated: what validates, trains


def drawn(type_: OptionType, bounds: dict[str, float], draw: random.Random, depth: int) -> Any:
    """A value of an option's type, within its bounds; small numbers, so that ends fall within runs."""
    member = draw.choice([one for one in alternatives(type_) if one != Named("None")] or [Named("None")])
    low, high = bounds.get("ge", bounds.get("gt", 0)), bounds.get("le", bounds.get("lt"))
    match member:
        case Choice(values=values):
            return draw.choice(list(values))
        case Formula():
            return draw.choice(["0.9 ** epoch", "1 / (epoch - 2)", "1 - epoch / 6", "1 / (1 + epoch)", "0.5"])
        case ListOf(item=Named(name="scheduler")):
            return [scheduler_of(draw.choice(SCHEDULERS), draw, depth + 1) for _ in range(draw.randint(1, 3))]
        case ListOf(item=item):
            return sorted(drawn(item, bounds, draw, depth) for _ in range(draw.randint(1, 2)))
        case Named(name="int"):
            return draw.randint(int(low), int(low) + 9)
        case Named(name="bool"):
            return draw.random() < 0.5
        case Named(name="float"):
            return draw.choice([low + 0.25, high if high is not None and "le" in bounds else low + 0.75, low + 0.5])
    raise AssertionError(member)


def scheduler_of(entry: Entry, draw: random.Random, depth: int = 0) -> Any:
    """A scheduler with the options that it needs, and some of the others."""
    if depth > 2:
        return {"StepLR": draw.randint(1, 9)}
    wanted = [p for p in entry.options if p.required or draw.random() < 0.4]
    options = {p.name: drawn(p.option_type, dict(p.bounds), draw, depth) for p in wanted}
    if isinstance(inner := options.get("schedulers"), list) and "milestones" in options:
        options["milestones"] = sorted(draw.sample(range(1, 12), len(inner) - 1))
    return {entry.name: options} if options else entry.name


@pytest.mark.parametrize("each", ["epoch", "step"])
@pytest.mark.parametrize("entry", SCHEDULERS, ids=lambda entry: entry.name)
def test_no_spec_that_validates_dies_of_its_scheduler(entry: Entry, each: str, fit: Any) -> None:
    """Any options, epochs or steps, batches and accumulation: refused before the run, or trained to its end."""
    draw, trained = random.Random(f"{entry.name} {each}"), 0
    for _ in range(5):
        batch: dict[str, Any] = draw.choice([{}, {"batch_size": 2}, {"batch_size": 1, "accumulate": 3}])
        batch |= {"batch_size": 3, "drop_last": True} if draw.random() < 0.3 else {}
        length = {draw.choice(["epochs", "steps"]): draw.randint(1, 9)}
        scheduler = scheduler_of(entry, draw)
        try:
            run = fit(SPEC, *overridden(scheduler, scheduler_each=each, **length, **batch))
        except SpecError:
            continue
        trained += 1
        assert run.loop.gear.step == run.schedule.total_steps, (scheduler, length, batch)
    assert trained >= 1


# --- filled in


LENGTHS: list[tuple[dict[str, Any], int]] = [
    ({"epochs": 12}, 12),
    ({"epochs": 3, "batch_size": 2, "scheduler_each": "step"}, 12),
    ({"epochs": 3, "batch_size": 2, "drop_last": True, "scheduler_each": "step"}, 9),
    ({"epochs": 3, "batch_size": 1, "accumulate": 2, "scheduler_each": "step"}, 12),
    ({"epochs": 3, "batch_size": 2, "accumulate": 9, "scheduler_each": "step"}, 3),
    ({"steps": 10, "batch_size": 2, "scheduler_each": "step"}, 10),
    ({"steps": 10, "batch_size": 2}, 3),
    ({"epochs": 12, "max_seconds": 60}, 12),
]
OPTIONS = {
    "OneCycleLR": ({"max_lr": 0.1}, "total_steps"),
    "CosineAnnealingLR": ({}, "T_max"),
    "PolynomialLR": ({}, "total_iters"),
    "LinearLR": ({}, "total_iters"),
}


@pytest.mark.parametrize(("train", "steps"), LENGTHS, ids=lambda value: json.dumps(value))
@pytest.mark.parametrize("name", OPTIONS)
def test_a_length_that_is_left_out_is_the_runs(name: str, train: dict[str, Any], steps: int, planned: Any) -> None:
    """It stands in the plan, which read again is the same; nothing is warned of."""
    options, option = OPTIONS[name]
    plan = planned(SPEC, *overridden({name: options} if options else name, **train))
    assert plan.scheduler.options[option] == steps
    assert plan.warnings == ()
    assert planned(plan.to_yaml()).digest == plan.digest


def test_the_lengths_inside_a_sequence_are_those_of_its_parts(planned: Any) -> None:
    """A warm-up of 4 of 21 steps, then a cosine and a fall to zero; those of a chain go all the while."""
    parts = ["LinearLR", "CosineAnnealingLR", "PolynomialLR"]
    scheduler = {"SequentialLR": {"schedulers": parts, "milestones": [4, 15]}}
    plan = planned(SPEC, *overridden(scheduler, steps=21, scheduler_each="step"))
    first, second, third = plan.scheduler.options["schedulers"]
    assert (first.options["total_iters"], second.options["T_max"], third.options["total_iters"]) == (4, 11, 6)
    chain = {"ChainedScheduler": {"schedulers": ["PolynomialLR", {"StepLR": 2}]}}
    plan = planned(SPEC, *overridden(chain, steps=21, scheduler_each="step"))
    assert plan.scheduler.options["schedulers"][0].options["total_iters"] == 21


def test_the_rates_are_those_of_torch_with_the_length_written_out(fit: Any) -> None:
    """Warm-up and cosine over 12 epochs, against plain torch."""
    scheduler = {"SequentialLR": {"schedulers": [{"LinearLR": [0.1]}, "CosineAnnealingLR"], "milestones": [3]}}
    run = fit(SPEC, *overridden(scheduler, epochs=12))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    lrs = torch.optim.lr_scheduler
    parts = [lrs.LinearLR(optimizer, 0.1, 1.0, 3), lrs.CosineAnnealingLR(optimizer, 9)]
    by_hand, rates = lrs.SequentialLR(optimizer, parts, [3]), []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        by_hand.step()
    told = run.told.series["lr"]
    assert [told[max(epoch for epoch in told if epoch <= at)] for at in range(1, 13)] == pytest.approx(rates)


# --- held against the run


WARNED: list[tuple[Any, dict[str, Any], str]] = [
    ({"CosineAnnealingLR": 5}, {"epochs": 12}, "the rate rises again"),
    ({"CosineAnnealingLR": 50}, {"epochs": 12}, "the run ends before"),
    ({"PolynomialLR": 5}, {"epochs": 12}, "the rate is 0 after that"),
    ({"LinearLR": [1.0, 0.0, 5]}, {"epochs": 12}, "learning rate 0 from its step 5 on"),
    ({"LinearLR": [1.0, 0.5, 50]}, {"epochs": 12}, "the run ends before"),
    ({"OneCycleLR": {"max_lr": 0.1, "total_steps": 20}}, {"epochs": 12}, "the run ends before"),
    ({"OneCycleLR": [0.1, 4]}, {"steps": 10, "batch_size": 2}, "the run ends before"),
    ({"StepLR": 12}, {"epochs": 12}, "step 12 never comes"),
    ({"ConstantLR": [0.5, 12]}, {"epochs": 12}, "step 12 never comes"),
    ({"MultiStepLR": [[3, 40]]}, {"epochs": 12}, "step 40 never comes"),
    ({"SequentialLR": [["LinearLR", "PolynomialLR"], [12]]}, {"epochs": 12}, "step 12 never comes"),
    ({"CyclicLR": [0.1, 0.2]}, {"epochs": 12}, "the run ends before"),
    ({"LambdaLR": "1 - epoch / 5"}, {"epochs": 12}, "increases the loss"),
    ({"MultiplicativeLR": "epoch < 4"}, {"epochs": 12}, "learning rate 0 from its step 4 on"),
]


@pytest.mark.parametrize(("scheduler", "train", "message"), WARNED, ids=lambda value: json.dumps(value))
def test_a_schedule_that_does_not_fit_is_warned_of(
    scheduler: Any, train: dict[str, Any], message: str, fit: Any
) -> None:
    """Once, and the run trains to its end."""
    run = fit(SPEC, *overridden(scheduler, **train))
    (warning,) = run.plan.warnings
    assert (warning.code, warning.severity) == ("schedule", "warning")
    assert message in warning.message


def test_a_run_of_the_command_line_is_refused_before_it_begins(annpipe_here: Callable[..., Any], tmp_path: Any) -> None:
    """Exit code 3, the place, the remedy, and no run folder; left out, it trains to its end."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    how = ["--set", "train={epochs: 3, batch_size: 2, scheduler_each: step}", "--set"]
    code, _, said = annpipe_here("run", "spec.yaml", *how, "scheduler={OneCycleLR: {max_lr: 0.1, total_steps: 5}}")
    assert code == 3
    assert "`OneCycleLR.total_steps` is 5, and the scheduler goes over 12 steps here" in said
    assert "leave it out: it is then the run's 12" in said
    assert not (tmp_path / "runs").exists()


def test_rows_that_are_counted_late_give_the_length_then(
    fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that tell their fields and not their rows: the length is filled in, and checked, when the run is built."""
    told = """
from annpipe import Field, Fields

def fields(rows: int = 7) -> Fields:
    return Fields({"x": Field(())}, {"y": Field(())})
"""
    (tmp_path / "told_late.py").write_text(told, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    own = """
import torch
from annpipe import Dataset, data

@data(fields="told_late:fields")
def late(rows: int = 7) -> Dataset:
    x = torch.arange(float(rows))
    return Dataset({"x": x}, {"y": 2 * x})
"""
    text = re.sub("data: .*", "plugins: [./late.py]\ndata: late", SPEC)
    how = {"epochs": 3, "batch_size": 2, "scheduler_each": "step"}
    run = fit(text, *overridden({"OneCycleLR": 0.1}, **how), late=own)
    assert run.plan.scheduler.options["total_steps"] is None
    assert run.parts.scheduler.total_steps == 12
    with pytest.raises(RunError, match="torch fails after 5"):
        fit(text, *overridden({"OneCycleLR": [0.1, 5]}, **how), late=own)


def test_an_epoch_that_the_run_ends_within_counts() -> None:
    """Ten steps by four are two epochs and a half: three rates, and two steps of the scheduler."""
    train = Train(steps=10, batch_size=2)
    assert run_length(train, 7) == Length(steps=3, calls=2, is_each_step=False)
    assert run_length(train, None) is None
