"""`Subject`: one component under test, with the smallest spec that uses it, its plan and what is built of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.device import computing
from annpipe.backend.instantiate import instantiate
from annpipe.draft.component import Component, at_every_depth
from annpipe.draft.draft import draft
from annpipe.errors import AnnpipeError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.portable.stack import Stack
from annpipe.registry.discovery import load
from annpipe.registry.entry import Entry
from annpipe.registry.examples import as_yaml
from annpipe.registry.kinds import with_article
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.spec import load_spec
from annpipe.testing.components.smallest_specs import smallest_specs, write_rows
from annpipe.testing.components.training import TrainedPlan, train_plan
from annpipe.testing.components.verdicts import NotApplicable
from annpipe.train.parts import Parts, build

ROWS = 7  # the most that an odd batch has
CPU = torch.device("cpu")


@dataclass
class Subject:
    """A component under test. `given` are sections of a spec that it needs, instead of those that annpipe chooses.

    Files are written below `folder`.
    """

    entry: Entry
    registry: Registry
    folder: Path
    extra: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        return self.entry.kind

    @cached_property
    def loaded(self) -> Any:
        """The class or function itself."""
        return load(self.entry)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the smallest spec; raises what the first spec that was tried raises."""
        write_rows(self.folder)
        first: AnnpipeError | None = None
        for sections in smallest_specs(self.entry, self.registry):
            self.sections = {**sections, **(self.extra or {})}
            try:
                return self.planned()
            except AnnpipeError as error:
                first = first or error
        assert first is not None  # there is at least one spec
        raise first

    def planned(self, **changed: Any) -> Plan:
        """The plan of the smallest spec with some sections changed."""
        sections = {**self.sections, **changed}
        return self.plan_of("\n".join(f"{name}: {as_yaml(value)}" for name, value in sections.items()))

    def plan_of(self, text: str) -> Plan:
        """The plan of a spec's text, beside the files of rows."""
        file = self.folder / "spec.yaml"
        file.write_text(text + "\n", encoding="utf-8", newline="\n")
        return resolve(draft(load_spec(file), self.registry.copy(), project=self.folder))

    def in_precision(self, precision: str) -> Plan:
        """The plan in float32 or float64."""
        _ = self.plan  # which sets the sections
        return self.planned(device={**self.sections["device"], "precision": precision})

    @cached_property
    def trained(self) -> TrainedPlan:
        """The plan after its training."""
        return train_plan(self.plan, self.new_folder("trained"))

    def new_folder(self, name: str) -> Path:
        """A folder of this name, made where it is not there."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def built(self, plan: Plan, device: torch.device = CPU) -> Iterator[Parts]:
        """The live parts of a plan; inside, new tensors have its precision."""
        with computing(plan.device.precision, deterministic=False) as dtype:
            yield build(plan, device, dtype)

    def component(self, plan: Plan) -> Component:
        """The component as the plan has it, with what the engine supplies."""
        inside = [component for _, component in plan.components()]
        same = (part for part in at_every_depth(inside) if (part.kind, part.name) == (self.kind, self.entry.name))
        return next(same)

    def module(self, plan: Plan, parts: Parts) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        """The live module of a layer, loss or transform, and what it is called with, at most ROWS rows."""
        find = {"layer": self._layer, "loss": _loss, "transform": self._transform}.get(self.kind)
        if find is None:
            raise NotApplicable(f"{with_article(self.kind)} is no module with a forward pass")
        module, inputs = find(plan, parts)
        return module, tuple(tensor[:ROWS].detach().clone() for tensor in inputs)

    def _layer(self, plan: Plan, parts: Parts) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        """The layer alone, with what the layers before it give; the whole model where it speaks with other layers."""
        x = parts.rows["train"].x  # type: ignore[union-attr]  # the smallest specs have their rows in memory
        traits = self.entry.traits_as(LayerTraits)
        names = [component.name for component in plan.model_components]
        speaks = traits.sets or traits.reads or traits.uses or self.entry.name not in names
        if speaks or not isinstance(parts.model, torch.nn.Sequential):
            return parts.model, (x,)
        at = names.index(self.entry.name)
        with torch.no_grad():
            for layer in list(parts.model.eval())[:at]:
                x = layer(x)
        module = list(parts.model)[at]
        return (Stack(module) if isinstance(module, torch.nn.MultiheadAttention) else module), (x,)

    def _transform(self, plan: Plan, parts: Parts) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
        """The fitted transform, with the columns that it was fitted on."""
        assert parts.fitted is not None
        train = parts.splits.train
        for group in (*parts.fitted.before, *parts.fitted.inside):
            for step in group.steps:
                if (step.component.kind, step.component.name) == (self.kind, self.entry.name):
                    columns = [tensor.double() for tensor in train.inputs.values()]
                    x = columns[0] if parts.fitted.is_whole else torch.stack(columns, 1)[:, list(group.positions)]
                    return step.module, (x.to(_dtype_of(step.module)),)
        raise NotApplicable("it is used for targets only")

    def instance(self, plan: Plan, **supplied: Any) -> Any:
        """The component, built alone."""
        return instantiate(self.component(plan), **supplied)


def _loss(plan: Plan, parts: Parts) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    rows: Any = parts.rows["train"]
    with torch.no_grad():
        return parts.loss, (parts.model.eval()(rows.x), rows.y)


def _dtype_of(module: torch.nn.Module) -> torch.dtype:
    return next((parameter.dtype for parameter in module.parameters()), torch.float64)
