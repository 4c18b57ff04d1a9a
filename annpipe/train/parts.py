"""Builds the Parts of a plan, the live torch objects of a run, in plain PyTorch: nothing in them needs annpipe."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from annpipe.backend.initialize import freeze, initialize
from annpipe.backend.instantiate import instantiate, named_modules, parameter_groups
from annpipe.backend.streams import drawing
from annpipe.backend.weights import begin_with
from annpipe.contract import ChunkedDataset, Dataset
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.prepare import prepare_rows
from annpipe.datasets.steps.splits import Splits
from annpipe.datasets.steps.tensors import Rows, Transformed
from annpipe.datasets.steps.transforms import Fitted
from annpipe.draft.component import Component
from annpipe.draft.metric_keys import run_metrics
from annpipe.draft.weights import Thaw, thawed_after
from annpipe.errors import RunError
from annpipe.observer import SILENT, Observer
from annpipe.plan.plan import Plan
from annpipe.plan.schedules import run_length, too_short, with_length
from annpipe.portable.columns import begun_with
from annpipe.portable.stack import Stack
from annpipe.portable.taps import TappedStack
from annpipe.registry.traits import OptimizerTraits
from annpipe.train.losses import build_loss, check_labels


@dataclass(frozen=True)
class Parts:
    """What a run is made of, on its device. `rows` holds the splits by name as the gear sees them.

    `fitted` are the transforms, and `transformed` those of them that were applied to the rows; `metrics` has by their
    keys the metrics, each with the head that it is for. Of chunked data, `splits` has samples, and
    `rows` are on disk.
    """

    dataset: Dataset | ChunkedDataset
    splits: Splits
    rows: Mapping[str, Rows | OnDiskRows]
    model: torch.nn.Module
    loss: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any | None
    metrics: dict[str, tuple[Component, str | None]]
    callbacks: tuple[Any, ...]
    fitted: Fitted | None = None
    transformed: Transformed = field(default_factory=Transformed)

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained: the model's parameters that are not frozen, and the loss's own where it has some."""
        return list(named_parameters(self.model, self.loss).values())


def build(plan: Plan, device: torch.device, dtype: torch.dtype, observer: Observer = SILENT) -> Parts:
    """Makes data, model, loss, optimizer, scheduler and callbacks; the default dtype must be the run's.

    `observer` is told of rows that are written to disk.
    """
    data = prepare_rows(plan.request, device, dtype, observer)
    model = build_model(plan, data.fitted).to(device)
    check_labels(plan, {name: rows.y for name, rows in data.rows.items()})
    loss = build_loss(plan, data.rows["train"].y).to(device)
    optimizer = build_optimizer(plan, named_parameters(model, loss), device)
    return Parts(
        dataset=data.dataset,
        splits=data.splits,
        rows=data.rows,
        model=model,
        loss=loss,
        optimizer=optimizer,
        scheduler=_scheduler(plan, len(data.rows["train"]), optimizer),
        metrics=run_metrics(plan.metrics, plan.outputs),
        callbacks=tuple(instantiate(callback) for callback in plan.callbacks),
        fitted=data.fitted,
        transformed=data.transformed,
    )


def _scheduler(plan: Plan, n_rows: int, optimizer: torch.optim.Optimizer) -> Any | None:
    """The scheduler, as long as the run: data that do not tell their rows beforehand tell it here."""
    length = run_length(plan.train, n_rows)
    if plan.scheduler is None or length is None:
        return None
    scheduler = with_length(plan.scheduler, length.steps)
    for problem in too_short(scheduler, length):
        raise RunError(f"{problem.message}; {problem.help}")
    return instantiate(scheduler, optimizer=optimizer)


def build_model(plan: Plan, fitted: Fitted | None = None) -> torch.nn.Module:
    """The transforms that go with each batch, and the layers with initial weights drawn from the stream `init`, or
    those of another run. What is frozen is marked so.
    """
    with drawing(plan.head.seed, "init"):
        layers = named_modules([layer.component for layer in plan.model])
        model: torch.nn.Module = _stack_for(plan)(layers)
        initialize(model, plan.init)
    if plan.weights is not None:
        begin_with(model, plan.weights)
    freeze(model, plan.freeze)
    columns = fitted.columns(fitted.inside) if fitted else None
    return model if columns is None else begun_with(columns.to(torch.get_default_dtype()), model)


def _stack_for(plan: Plan) -> type[torch.nn.Sequential]:
    """What holds the layers: torch's own where none gives a tuple and none taps."""
    if plan.has_taps:
        return TappedStack
    return Stack if any(layer.takes_first for layer in plan.model) else torch.nn.Sequential


def named_parameters(
    model: torch.nn.Module, loss: torch.nn.Module, thaws: Sequence[Thaw] = ()
) -> dict[str, torch.nn.Parameter]:
    """What is trained by name: `0.weight` of the model where it is not frozen, `loss.weight` of the loss.

    What is frozen at this moment and `thaws` later is there as well.
    """
    of_loss = {f"loss.{name}": parameter for name, parameter in loss.named_parameters()}
    parameters = {**dict(model.named_parameters()), **of_loss}
    later = thawed_after(thaws, (), parameters)
    return {name: parameter for name, parameter in parameters.items() if parameter.requires_grad or name in later}


def build_optimizer(
    plan: Plan, parameters: Mapping[str, torch.nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The optimizer over the parameters in their groups, fused where torch has a kernel for the device."""
    component = plan.optimizer
    devices = component.traits(OptimizerTraits).fused or ()
    if component.options.get("fused") and device.type not in devices:
        component = component.with_options(fused=None)
    params = parameter_groups(parameters, plan.groups)
    optimizer = instantiate(component, params=params)
    assert isinstance(optimizer, torch.optim.Optimizer)
    return optimizer


def trial_copy(parts: Parts, plan: Plan, device: torch.device) -> Parts:
    """Parts whose model, loss and optimizer may be stepped without touching the run's own."""
    trial = replace(parts, model=copy.deepcopy(parts.model), loss=copy.deepcopy(parts.loss), scheduler=None)
    return replace(trial, optimizer=build_optimizer(plan, named_parameters(trial.model, trial.loss, plan.thaw), device))
