"""Where does each value of a Plan come from: which file and line, which override, a default, the shapes, annpipe?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from annpipe.draft.component import Component, to_data
from annpipe.draft.inputs_outputs import Output
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.errors import Place
from annpipe.plan.plan import Plan
from annpipe.spec.sections.spec import Spec
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode

Source = Literal["spec", "override", "default", "shape", "annpipe"]


@dataclass(frozen=True)
class Origin:
    """One value of a plan by its dotted path, what gave it, and where that is written.

    `source` is "shape" for sizes read off the shape that arrives, "annpipe" for what the engine chooses.
    """

    path: str
    value: Any
    source: Source
    place: Place | None = None
    used: Place | None = None

    def __str__(self) -> str:
        """Where it comes from, for a person."""
        if self.place is None:
            return {"shape": "from the shape", "annpipe": "chosen by annpipe"}.get(self.source, "default")
        written = self.place.file if self.place.on_command_line else str(self.place)
        return f"{written}, used at {self.used}" if self.used else written


def origins(plan: Plan, spec: Spec) -> list[Origin]:
    """Every value of the plan in the order of its YAML; `spec` is the one it was resolved from."""
    tracing = _Tracing()
    root = spec.root
    found = [*tracing.section("", plan.head, root)]
    device = root.get("device")
    if isinstance(device, ScalarNode):  # `device: cpu` is short for `device: {type: cpu}`
        device = MappingNode(((ScalarNode("type", "type", True, device.place), device),), device.place)
    found += tracing.section("device.", plan.device, device)
    found += tracing.component("data", plan.data)
    data = root.get("data")
    found += tracing.section("data.split.", plan.split, data.get("split") if isinstance(data, MappingNode) else None)
    for part in plan.transforms:
        for number, step in enumerate(part.steps):
            found += tracing.component(f"data.transforms.{part.columns}.{number}", step)
    for name, block in plan.blocks.items():
        for number, component in enumerate(block):
            found += tracing.component(f"blocks.{name}.{number}", component)
    is_long = plan.init or plan.freeze or plan.inputs or plan.outputs
    model, section = ("model.layers", root.get("model")) if is_long else ("model", None)
    for inputs in plan.inputs:
        found += tracing.inputs(inputs, section)
    last = len(plan.model) - bool(plan.outputs)
    for number, layer in enumerate(plan.model[len(plan.inputs) : last]):
        found += tracing.component(f"{model}.{number}", layer.component)
    if plan.outputs:
        found += tracing.outputs(plan.outputs, section)
    for name, component in plan.init.items():
        found += tracing.component(f"model.init.{name}", component)
    if plan.freeze and isinstance(section, MappingNode):
        found += tracing.value("model.freeze", list(plan.freeze), section.get("freeze"))
    found += [] if plan.outputs else tracing.component("loss", plan.loss)
    found += [*tracing.component("optimizer", plan.optimizer)]
    for number, group in enumerate(plan.groups):
        found += tracing.group(f"optimizer.groups.{number}", group)
    found += tracing.component("scheduler", plan.scheduler) if plan.scheduler else []
    found += tracing.component("average", plan.average) if plan.average else []
    found += tracing.section("train.", plan.train, root.get("train"))
    for name, components in (("metrics", plan.metrics), ("plots", plan.plots), ("callbacks", plan.callbacks)):
        for number, component in enumerate(components):
            found += tracing.component(f"{name}.{number}", component)
    return [*found, *tracing.section("tracking.", plan.tracking, root.get("tracking"))]


class _Tracing:
    """Follows the plan's values back to their nodes."""

    def section(self, prefix: str, section: BaseModel, node: Node | None) -> Iterator[Origin]:
        for name, value in section.model_dump().items():
            given = node.get(name) if isinstance(node, MappingNode) else None
            yield from self._value(f"{prefix}{name}", value, given, "default")

    def value(self, path: str, value: Any, node: Node | None) -> Iterator[Origin]:
        yield from self._value(path, value, node, "default")

    def component(self, path: str, component: Component) -> Iterator[Origin]:
        place = component.place
        yield Origin(path, component.name, _source(place) if place else "default", place)
        for name, value in (component.template or component).options.items():
            parameter = component.entry.parameter(name)
            assert parameter
            chosen: Source = "shape" if parameter.supplied else "default"
            if chosen == "default" and value != parameter.default and not isinstance(value, Component):
                chosen = "annpipe"
            yield from self._value(f"{path}.{component.name}.{name}", value, component.given.get(name), chosen)

    def inputs(self, component: Component, model: Node | None) -> Iterator[Origin]:
        """The stacks of several inputs, and how they are joined."""
        options = component.options
        stacks = model.get("inputs") if isinstance(model, MappingNode) else None
        for name, columns, layers in zip(options["names"], options["columns"], options["branches"], strict=True):
            stack = stacks.get(name) if isinstance(stacks, MappingNode) else None
            said = stack.get("columns") if isinstance(stack, MappingNode) else None
            yield from self._value(f"model.inputs.{name}.columns", list(columns), said, "default")
            for number, layer in enumerate(layers):
                yield from self.component(f"model.inputs.{name}.layers.{number}", layer)
        said = model.get("join") if isinstance(model, MappingNode) else None
        yield from self._value("model.join", options["join"], said, "default")

    def outputs(self, outputs: Sequence[Output], model: Node | None) -> Iterator[Origin]:
        """The heads of several outputs."""
        heads = model.get("outputs") if isinstance(model, MappingNode) else None
        for head in outputs:
            path, said = f"model.outputs.{head.name}", heads.get(head.name) if isinstance(heads, MappingNode) else None
            for number, layer in enumerate(head.layers):
                yield from self.component(f"{path}.layers.{number}", layer)
            yield from self.component(f"{path}.loss", head.loss)
            weight = said.get("weight") if isinstance(said, MappingNode) else None
            yield from self._value(f"{path}.weight", head.weight, weight, "default")
            for number, metric in enumerate(head.metrics):
                yield from self.component(f"{path}.metrics.{number}", metric)

    def group(self, path: str, group: ParameterGroup) -> Iterator[Origin]:
        yield Origin(f"{path}.params", list(group.patterns), _source(group.places[0]), group.places[0])
        for name, value in group.options.options.items():
            yield from self._value(f"{path}.{name}", value, group.options.given.get(name), "default")

    def _value(self, path: str, value: Any, node: Node | None, otherwise: Source) -> Iterator[Origin]:
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
                yield Origin(path, to_data(value), otherwise)
            case _:
                yield Origin(path, to_data(value), _source(node.place), node.place, node.used)


def _source(place: Place) -> Source:
    return "override" if place.on_command_line else "spec"
