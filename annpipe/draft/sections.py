"""The sections of a run with every component resolved: a Draft, and what it has in common with its Plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from annpipe.contract import Fields
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead, is_inputs
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.draft.transforms import Transforming
from annpipe.draft.weights import InitialWeights, Thaw
from annpipe.errors import Problem
from annpipe.files.limits import Stance
from annpipe.registry.registry import Registry
from annpipe.spec.sections.models import Device, Head, Split, Tracking, Train
from annpipe.spec.sections.spec import Spec

PATHS = {
    "transforms": "data.transforms",
    "init": "model.init",
    "thaw": "model.freeze",
    "weights": "model.from",
    "outputs": "model.outputs",
    "groups": "optimizer.groups",
}
"""Where a field of `Sections` stands in a spec, where that is not a section of its name."""

UNCHECKED = "unchecked"  # the code of warnings about what depends on plugins that are not imported


@dataclass(frozen=True)
class Sections(ABC):
    """What a spec says, section by section; `file` is its path.

    `init` are initializers by patterns of parameters, `freeze` the patterns of those that are not trained, `thaw` says
    of which that holds for some epochs, and `weights` with which values the model begins. The model is not here: a
    draft has its components, a plan its layers with their shapes.
    """

    file: str
    head: Head
    device: Device
    data: Component
    split: Split
    transforms: tuple[Transforming, ...]
    blocks: Mapping[str, tuple[Component, ...]]
    outputs: tuple[OutputHead, ...]
    init: Mapping[str, Component]
    freeze: tuple[str, ...]
    thaw: tuple[Thaw, ...]
    weights: InitialWeights | None
    loss: Component
    optimizer: Component
    groups: tuple[ParameterGroup, ...]
    scheduler: Component | None
    average: Component | None
    train: Train
    metrics: tuple[Component, ...]
    plots: tuple[Component, ...]
    callbacks: tuple[Component, ...]
    tracking: Tracking

    @property
    @abstractmethod
    def model_components(self) -> tuple[Component, ...]:
        """The components of the model's layers, with those that its inputs and heads are."""

    @property
    def is_long_model(self) -> bool:
        """Whether `model` says more than its layers, which then stand in `model.layers`."""
        return bool(self.init or self.freeze or self.thaw or self.weights or self.outputs or self.inputs)

    @property
    def inputs(self) -> tuple[Component, ...]:
        """The layer that the stacks of several inputs are, where there are some."""
        return tuple(layer for layer in self.model_components[:1] if is_inputs(layer))

    @property
    def layers_between(self) -> tuple[Component, ...]:
        """The layers between the inputs and the heads."""
        return self.model_components[len(self.inputs) : len(self.model_components) - bool(self.outputs)]

    def components(self) -> Iterator[tuple[str, Component]]:
        """Every component that the spec says, with the path at which it stands; those inside others are in these.

        The layer that the inputs are and those that the heads are, and the loss of all heads, are taken apart into what
        the spec says of each.
        """
        for field in fields(Sections):
            if field.name == "outputs":
                yield from self._of_model()
            if field.name != "loss" or not self.outputs:
                yield from _components(PATHS.get(field.name, field.name), getattr(self, field.name))

    def _of_model(self) -> Iterator[tuple[str, Component]]:
        for inputs in self.inputs:
            for name, layers in zip(inputs.options["names"], inputs.options["branches"], strict=True):
                yield from _components(f"model.inputs.{name}.layers", tuple(layers))
        yield from _components("model.layers" if self.is_long_model else "model", self.layers_between)


def _components(path: str, value: Any) -> Iterator[tuple[str, Component]]:
    """The outermost components in the value of a section."""
    match value:
        case Component():
            yield path, value
        case Transforming():
            yield from _components(f"{path}.{value.columns}", value.steps)
        case OutputHead():
            for part in ("layers", "loss", "metrics"):
                yield from _components(f"{path}.{value.name}.{part}", getattr(value, part))
        case ParameterGroup():
            yield path, value.options
        case Mapping():
            for name, item in value.items():
                yield from _components(f"{path}.{name}", item)
        case tuple():
            for number, item in enumerate(value):
                is_named = isinstance(item, Transforming | OutputHead)
                yield from _components(path if is_named else f"{path}.{number}", item)


def shared(sections: Sections) -> dict[str, Any]:
    """The sections by the names of their fields, for another object that has them."""
    return {field.name: getattr(sections, field.name) for field in fields(Sections)}


@dataclass(frozen=True)
class Draft(Sections):
    """A spec with every name and option resolved; shapes not run yet.

    `fields` are there when they could be told without torch. `unchecked` holds warnings about what depends on plugins
    that an untrusted spec lists; where it names components, there can be no plan. `notices` are warnings of earlier
    names. `stance` is how an untrusted one is read.
    """

    spec: Spec
    registry: Registry
    model: tuple[Component, ...]
    fields: Fields | None = None
    unchecked: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()
    stance: Stance | None = None

    @property
    def model_components(self) -> tuple[Component, ...]:
        return self.model

    @property
    def is_whole(self) -> bool:
        """Whether every component is known, so that the spec can become a plan."""
        return not any(problem.code == UNCHECKED and problem.related for problem in self.unchecked)
