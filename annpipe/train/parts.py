"""Plan → Parts: the live torch objects of a run. Plain PyTorch: nothing in them needs annpipe to run."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch

from annpipe.contract import Dataset
from annpipe.plan.build import instantiate, named_modules
from annpipe.plan.component import Component
from annpipe.plan.initial import freeze, initialize
from annpipe.plan.metric_keys import metric_keys
from annpipe.plan.plan import Plan
from annpipe.stack import Stack
from annpipe.train.data import Rows, Splits, lay_out, make_dataset, split_dataset
from annpipe.train.streams import drawing


@dataclass(frozen=True)
class Parts:
    """What a run is made of, on its device. `rows` holds the splits by name as the gear sees them."""

    dataset: Dataset
    splits: Splits
    rows: dict[str, Rows]
    model: torch.nn.Module
    loss: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any | None
    metrics: dict[str, Component]
    callbacks: tuple[Any, ...]

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained: the model's parameters that are not frozen, and the loss's own where it has some."""
        return [p for p in (*self.model.parameters(), *self.loss.parameters()) if p.requires_grad]


def build(plan: Plan, device: torch.device, dtype: torch.dtype) -> Parts:
    """Makes data, model, loss, optimizer, scheduler and callbacks; the default dtype must be the run's."""
    dataset = make_dataset(plan.data, plan.registry, plan.head.seed)
    splits = split_dataset(dataset, plan)
    by_name = {"train": splits.train, "val": splits.val, "test": splits.test}
    classes = takes_classes(plan)
    rows = {name: lay_out(part, device, dtype, classes=classes) for name, part in by_name.items() if part}
    model = build_model(plan).to(device)
    loss = instantiate(plan.loss, plan.registry).to(device)
    trained = [p for p in (*model.parameters(), *loss.parameters()) if p.requires_grad]
    optimizer = build_optimizer(plan, trained, device)
    return Parts(
        dataset=dataset,
        splits=splits,
        rows=rows,
        model=model,
        loss=loss,
        optimizer=optimizer,
        scheduler=instantiate(plan.scheduler, plan.registry, optimizer=optimizer) if plan.scheduler else None,
        metrics=metric_keys(plan.metrics),
        callbacks=tuple(instantiate(callback, plan.registry) for callback in plan.callbacks),
    )


def build_model(plan: Plan) -> torch.nn.Module:
    """The stack of layers with its initial weights, drawn from the stream `init`, and what is frozen marked so."""
    with drawing(plan.head.seed, "init"):
        layers = named_modules([layer.component for layer in plan.model], plan.registry)
        stack = Stack if any(layer.takes_first for layer in plan.model) else torch.nn.Sequential
        model = stack(layers)
        initialize(model, plan.init, plan.registry)
    freeze(model, plan.freeze)
    return model


def build_optimizer(plan: Plan, parameters: list[torch.nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The optimizer over the parameters, fused where torch has a kernel for the device."""
    component = plan.optimizer
    entry = plan.registry.find("optimizer", component.name)
    assert entry
    kernels = entry.traits.get("fused") or []
    if component.options.get("fused") and isinstance(kernels, list) and device.type not in kernels:
        component = component.with_options(fused=None)
    optimizer = instantiate(component, plan.registry, params=parameters)
    assert isinstance(optimizer, torch.optim.Optimizer)
    return optimizer


def takes_classes(plan: Plan) -> bool:
    """Whether the loss compares with int64 class labels."""
    entry = plan.registry.find("loss", plan.loss.name)
    assert entry
    return entry.traits.get("target") == "classes"


def trial_copy(parts: Parts, plan: Plan, device: torch.device) -> Parts:
    """Parts whose model, loss and optimizer may be stepped without touching the run's own."""
    trial = replace(parts, model=copy.deepcopy(parts.model), loss=copy.deepcopy(parts.loss), scheduler=None)
    return replace(trial, optimizer=build_optimizer(plan, trial.parameters, device))
