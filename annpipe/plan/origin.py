"""Origins of a plan's values: a file and line, an override, a default, the shapes, or annpipe itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from annpipe.draft.component import Component, to_data
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.errors import Place
from annpipe.plan.plan import Plan
from annpipe.spec.sections.models import SECTIONS
from annpipe.spec.sections.spec import Spec
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode

ValueSource = Literal["spec", "override", "default", "shape", "annpipe"]


@dataclass(frozen=True)
class ValueOrigin:
    """One value of a plan by its dotted path, what gave it, and where that is written.

    `source` is "shape" for sizes read off the shape that arrives, "annpipe" for what the engine chooses.
    """

    path: str
    value: Any
    source: ValueSource
    place: Place | None = None
    used: Place | None = None

    def __str__(self) -> str:
        """Where it comes from, for a person."""
        if self.place is None:
            return {"shape": "from the shape", "annpipe": "chosen by annpipe"}.get(self.source, "default")
        written = self.place.file if self.place.on_command_line else str(self.place)
        return f"{written}, used at {self.used}" if self.used else written


def origins(plan: Plan, spec: Spec) -> list[ValueOrigin]:
    """Every value of the plan in the order of its YAML; `spec` is the one it was resolved from."""
    tracing = _Tracing(plan, spec)
    return [*tracing.section("", plan.head, spec.root), *(o for name in SECTIONS for o in tracing.of_section(name))]


class _Tracing:
    """Follows the plan's values back to their nodes."""

    def __init__(self, plan: Plan, spec: Spec) -> None:
        self._plan, self._root = plan, spec.root
        self._components = list(plan.components())

    def of_section(self, name: str) -> Iterator[ValueOrigin]:
        """The values of a section; a name or the seed, which the head has, is none."""
        match name:
            case "device":
                yield from self.section("device.", self._plan.device, self._device())
            case "data":
                yield from self.component("data", self._plan.data)
                yield from self.section("data.split.", self._plan.split, self._node("data", "split"))
                yield from self._below("data.transforms")
            case "model":
                yield from self._model()
            case "optimizer":
                yield from self.component("optimizer", self._plan.optimizer)
                for number, group in enumerate(self._plan.groups):
                    yield from self.group(f"optimizer.groups.{number}", group)
            case "train" | "tracking":
                yield from self.section(f"{name}.", getattr(self._plan, name), self._root.get(name))
            case _:
                yield from self._below(name)

    def _below(self, path: str) -> Iterator[ValueOrigin]:
        """The components that stand at a path or below it."""
        for at, component in self._components:
            if at == path or at.startswith(f"{path}."):
                yield from self.component(at, component)

    def _node(self, section: str, key: str) -> Node | None:
        node = self._root.get(section)
        return node.get(key) if isinstance(node, MappingNode) else None

    def _device(self) -> Node | None:
        """The node of the device, of which `device: cpu` is short for `device: {type: cpu}`."""
        node = self._root.get("device")
        if isinstance(node, ScalarNode):
            return MappingNode(((ScalarNode("type", "type", True, node.place), node),), node.place)
        return node

    def _model(self) -> Iterator[ValueOrigin]:
        if not self._plan.is_long_model:
            yield from self._below("model")
            return
        section = self._root.get("model")
        for inputs in self._plan.inputs:
            yield from self.inputs(inputs, section)
        yield from self._below("model.layers")
        yield from self.outputs(self._plan.outputs, section)
        yield from self._below("model.init")
        if (weights := self._plan.weights) and isinstance(section, MappingNode) and (node := section.get("from")):
            yield ValueOrigin("model.from", weights.to_data(), _source(node.place), node.place, node.used)
        frozen = [*self._plan.freeze, *(thaw.to_data() for thaw in self._plan.thaw)]
        if frozen and isinstance(section, MappingNode):
            node = section.get("freeze")
            assert node is not None
            yield ValueOrigin("model.freeze", frozen, _source(node.place), node.place, node.used)

    def section(self, prefix: str, section: BaseModel, node: Node | None) -> Iterator[ValueOrigin]:
        for name, value in section.model_dump().items():
            value_node = node.get(name) if isinstance(node, MappingNode) else None
            yield from self._value(f"{prefix}{name}", value, value_node, "default")

    def value(self, path: str, value: Any, node: Node | None) -> Iterator[ValueOrigin]:
        yield from self._value(path, value, node, "default")

    def component(self, path: str, component: Component) -> Iterator[ValueOrigin]:
        place = component.place
        yield ValueOrigin(path, component.name, _source(place) if place else "default", place)
        for name, value in (component.template or component).options.items():
            parameter = component.entry.parameter(name)
            assert parameter
            chosen: ValueSource = "shape" if parameter.supplied else "default"
            if chosen == "default" and value != parameter.default and not isinstance(value, Component):
                chosen = "annpipe"
            yield from self._value(f"{path}.{component.name}.{name}", value, component.nodes.get(name), chosen)

    def inputs(self, component: Component, model: Node | None) -> Iterator[ValueOrigin]:
        """The stacks of several inputs, and how they are joined."""
        options = component.options
        stacks = model.get("inputs") if isinstance(model, MappingNode) else None
        for name, columns, layers in zip(options["names"], options["columns"], options["branches"], strict=True):
            stack = stacks.get(name) if isinstance(stacks, MappingNode) else None
            node = stack.get("columns") if isinstance(stack, MappingNode) else None
            yield from self._value(f"model.inputs.{name}.columns", list(columns), node, "default")
            for number, layer in enumerate(layers):
                yield from self.component(f"model.inputs.{name}.layers.{number}", layer)
        node = model.get("join") if isinstance(model, MappingNode) else None
        yield from self._value("model.join", options["join"], node, "default")

    def outputs(self, outputs: Sequence[OutputHead], model: Node | None) -> Iterator[ValueOrigin]:
        """The heads of several outputs."""
        heads = model.get("outputs") if isinstance(model, MappingNode) else None
        for head in outputs:
            path, node = f"model.outputs.{head.name}", heads.get(head.name) if isinstance(heads, MappingNode) else None
            for number, layer in enumerate(head.layers):
                yield from self.component(f"{path}.layers.{number}", layer)
            yield from self.component(f"{path}.loss", head.loss)
            weight = node.get("weight") if isinstance(node, MappingNode) else None
            yield from self._value(f"{path}.weight", head.weight, weight, "default")
            for number, metric in enumerate(head.metrics):
                yield from self.component(f"{path}.metrics.{number}", metric)

    def group(self, path: str, group: ParameterGroup) -> Iterator[ValueOrigin]:
        yield ValueOrigin(f"{path}.params", list(group.patterns), _source(group.places[0]), group.places[0])
        for name, value in group.options.options.items():
            yield from self._value(f"{path}.{name}", value, group.options.nodes.get(name), "default")

    def _value(self, path: str, value: Any, node: Node | None, otherwise: ValueSource) -> Iterator[ValueOrigin]:
        match value, node:
            case Component(), _:
                yield from self.component(path, value)
            case Mapping(), MappingNode() if value:
                for key, item in value.items():
                    yield from self._value(f"{path}.{key}", item, node.get(str(key)), otherwise)
            case list(), ListNode(items=items) if any(isinstance(item, Component | list | dict) for item in value):
                for number, (item, inner) in enumerate(zip(value, items, strict=True)):
                    yield from self._value(f"{path}.{number}", item, inner, otherwise)
            case _, None:
                yield ValueOrigin(path, to_data(value), otherwise)
            case _:
                yield ValueOrigin(path, to_data(value), _source(node.place), node.place, node.used)


def _source(place: Place) -> ValueSource:
    return "override" if place.on_command_line else "spec"
