"""Checks of a component in a run: a step of training, the same numbers again, a resume, and runs in a stack."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from annpipe.errors import RunError
from annpipe.testing.components.blame import line_of_attribute, line_of_method
from annpipe.testing.components.states import first_difference, plain_state
from annpipe.testing.components.subject import Subject
from annpipe.testing.components.training import TrainedPlan, train_plan
from annpipe.testing.components.verdicts import ComponentFault, NotApplicable
from annpipe.testing.stack.solo import compare_with_solo
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.figures import rendered, run_view
from annpipe.train.schedule import schedule

STOP_AT = 5  # steps of a run of twelve
STATELESS = {
    "data": "a resumed run makes the data again, from the same generator",
    "distribution": "a resumed run makes the data again, from the same generator",
    "initializer": "it acts before the first step only",
    "metric": "it is made anew for each evaluation",
    "plot": "it is drawn at the end of a run",
}
NOT_STACKED = "it takes no part in the steps of a stack"


def check_training(subject: Subject) -> str:
    """A short run ends with finite numbers, and gradients reach the parameters of the component."""
    trained = subject.trained
    for key, points in trained.reports.series.items():
        if key.endswith("loss") and not all(map(math.isfinite, points.values())):
            raise ComponentFault(
                f"{key} is not finite in a short run", "check its formula and its limits", acting_line(subject)
            )
    plan = subject.plan
    if subject.kind in ("layer", "loss", "transform"):
        return _reached(subject)
    if subject.kind == "plot":
        view = run_view(plan, trained.parts, trained.reports.history)
        rendered(subject.loaded(view, **subject.component(plan).options))
        return "the figure of a short run can be drawn"
    if subject.kind == "optimizer":
        _moves(subject)
    return f"{trained.loop.gear.step} steps with a finite loss"


def _reached(subject: Subject) -> str:
    """One step; then each parameter that the component brings has a gradient, and some of them are not 0."""
    plan = subject.plan
    with subject.built(plan) as parts:
        Eager(plan, parts, schedule(plan, len(parts.rows["train"]))).advance(1)
        module, _ = subject.module(plan, parts)
        parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        grads = {name: p.grad for name, p in parameters.items()}
    without = [name for name, grad in grads.items() if grad is None]
    if without:
        message = f"no gradient reaches its parameter '{without[0]}'"
        help_ = "use it in `forward`, and do not leave the graph (`detach`, `item`, `no_grad`)"
        raise ComponentFault(message, help_, line_of_attribute(subject.entry, without[0]) or acting_line(subject))
    values = [_dense(grad) for grad in grads.values() if grad is not None]
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise ComponentFault(
            "its gradients are not finite", "check its formula where it has no slope", acting_line(subject)
        )
    if values and not any(bool(value.any()) for value in values):
        raise ComponentFault(
            "all gradients of its parameters are 0", "let them count in what it gives", acting_line(subject)
        )
    return f"gradients reach its {len(parameters)} parameters" if parameters else "a finite loss; it has no parameters"


def _dense(grad: torch.Tensor) -> torch.Tensor:
    return grad.to_dense() if grad.is_sparse else grad


def _moves(subject: Subject) -> None:
    with subject.built(subject.plan) as parts:
        before = [parameter.detach().clone() for parameter in parts.parameters]
        after = [parameter.detach() for parameter in subject.trained.parts.parameters]
    if all(left.equal(right) for left, right in zip(before, after, strict=True)):
        message = "no parameter changed in a run"
        raise ComponentFault(
            message, "let `step` change the parameters in place", line_of_method(subject.entry, "step")
        )


def check_resume(subject: Subject) -> str:
    """A run that stops in the middle and goes on from its checkpoint is the run without the stop, bit for bit."""
    if subject.kind in STATELESS:
        raise NotApplicable(STATELESS[subject.kind])
    folder = subject.new_folder("resumed")
    train_plan(subject.plan, folder, stop_at=STOP_AT)
    resumed = train_plan(subject.plan, folder, resume=True)
    whole = subject.trained
    for left, right in zip(live_objects(subject, whole), live_objects(subject, resumed), strict=True):
        if (name := first_difference(plain_state(left), plain_state(right))) is not None:
            attribute = name.partition(".")[0]
            message = f"after a resume its `{attribute}` is not what it is without"
            raise ComponentFault(message, _state_help(subject), line_of_attribute(subject.entry, attribute))
    difference = first_difference(_state(whole), _state(resumed))
    if difference is not None:
        message = f"a resumed run is not the run without the stop: it differs in {difference}"
        raise ComponentFault(message, _state_help(subject), acting_line(subject))
    return "a run that was stopped and resumed is the same, bit for bit"


def _state_help(subject: Subject) -> str:
    if subject.kind == "callback":
        return "return it in `state_dict`, and take it back in `load_state_dict`"
    if subject.kind in ("layer", "loss", "transform"):
        return "keep it in a parameter or, by `register_buffer`, in a buffer"
    return "keep it in what `state_dict` returns (of an optimizer: in `self.state` or in its groups)"


def live_objects(subject: Subject, trained: TrainedPlan) -> Iterator[object]:
    """The objects of the component in a run: modules of its class, optimizer, scheduler or callbacks."""
    parts = trained.parts
    everything = [*parts.model.modules(), *parts.loss.modules(), parts.optimizer, parts.scheduler, *parts.callbacks]
    cls = subject.loaded
    yield from (left for left in everything if isinstance(cls, type) and type(left) is cls)


def _state(trained: TrainedPlan) -> dict[str, Any]:
    state = trained.loop.state()
    memory = {name: value for name, value in state["memory"].items() if name != "seconds"}
    return {**state["gear"], "callbacks": state["callbacks"], "memory": memory}


def check_stack(subject: Subject) -> str:
    """Runs that train together are the runs alone, where they can be trained together."""
    if subject.kind not in ("layer", "loss", "optimizer", "scheduler"):
        raise NotApplicable(NOT_STACKED)
    device = {**subject.plan.device.model_dump(), "precision": "float64", "compile": "off"}
    sections = {name: value for name, value in device.items() if name in ("type", "threads", "precision")}
    plans = [subject.planned(device=sections, seed=seed) for seed in (1, 2)]
    try:
        comparison = compare_with_solo(plans, 3)
    except RunError as error:
        reason = str(error).replace("member 0 is never trained together with others", "never stacked")
        raise NotApplicable(reason) from None
    if comparison.first is not None:
        help_ = "say `stacks = False` in the class, or correct what it defines for a stack (`stacked`)"
        line = line_of_attribute(subject.entry, "stacked") or acting_line(subject)
        raise ComponentFault(str(comparison.first), help_, line)
    return f"two runs in a stack are each its solo run, within {comparison.largest.largest:.1g}"


def acting_line(subject: Subject) -> int:
    """The line of the method in which the component acts."""
    return line_of_method(subject.entry, "forward", "step", "get_lr", "on_look", "update", "sample")
