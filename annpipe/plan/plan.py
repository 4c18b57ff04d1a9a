"""The Plan: every name resolved, every option checked, every default filled, every shape known; only data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from annpipe.contract import Field, Fields
from annpipe.datasets.request import DataRequest
from annpipe.datasets.steps.splits import held_out
from annpipe.draft.component import Component, at_every_depth, to_data
from annpipe.draft.inputs_outputs import inputs_data, outputs_data
from annpipe.draft.metric_keys import followed_metric
from annpipe.draft.parameter_groups import optimizer_data
from annpipe.draft.sections import Draft, Sections, shared
from annpipe.errors import Problem, steering
from annpipe.errors.redact import scrubbed
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.spec.compose.variables import escaped
from annpipe.spec.sections.models import SECTIONS
from annpipe.spec.yaml.reader import core_value


@dataclass(frozen=True)
class Layer:
    """One layer of the model with the shapes of a row that enters and leaves it, and its number of parameters.

    `stacks` are the layers inside it, by the path of the option that holds them: `layers`, `branches.0`; `taps` the
    values that are tapped before it, by name.
    """

    component: Component
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    takes_first: bool = False
    stacks: Mapping[str, tuple[Layer, ...]] = field(default_factory=dict)
    taps: Mapping[str, Field] = field(default_factory=dict)

    @property
    def inside(self) -> tuple[Layer, ...]:
        """The layers of all its stacks."""
        return tuple(layer for stack in self.stacks.values() for layer in stack)

    def walk(self) -> Iterator[Layer]:
        """The layer, then those inside it, at every depth."""
        yield self
        for layer in self.inside:
            yield from layer.walk()


@dataclass(frozen=True)
class Plan(Sections):
    """A run, decided; `registry` and `warnings` do not count in comparison.

    `n_frozen` are the numbers in parameters that are not trained. `request` says which rows are trained on. `held` are
    the numbers of rows of val and test, where the rows were read.
    """

    model: tuple[Layer, ...]
    fields: Fields
    n_frozen: int
    registry: Registry = field(compare=False, repr=False)
    request: DataRequest = field(compare=False, repr=False)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    held: tuple[int, int] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        drafted: Draft,
        layers: tuple[Layer, ...],
        fields: Fields,
        *,
        n_frozen: int,
        request: DataRequest,
        held: tuple[int, int] | None,
        warnings: tuple[Problem, ...],
    ) -> Plan:
        """The plan that has the sections of a draft."""
        return cls(
            **shared(drafted),
            model=layers,
            fields=fields,
            n_frozen=n_frozen,
            registry=drafted.registry,
            request=request,
            held=held,
            warnings=warnings,
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def model_components(self) -> tuple[Component, ...]:
        return tuple(layer.component for layer in self.model)

    @cached_property
    def digest(self) -> str:
        """What decides the numbers, in 16 hexadecimal digits: name, notes and tracking do not count."""
        data = self.to_data()
        for name in ("name", "description", "tags", "plugins", "plots", "tracking"):
            data.pop(name, None)
        if self.train.non_finite == "stop":  # what every run did that has no word for it
            data["train"] = {name: value for name, value in data["train"].items() if name != "non_finite"}
        if self.weights is not None:  # whatever they are called, and wherever they come from
            data["model"] = {**data["model"], "from": self.weights.digest}
        data["data"] = _without_later_options(data["data"])
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

    def to_data(self) -> dict[str, Any]:
        """The plan as a complete spec: reading it gives this plan again. It is shown and kept, so URIs in it have `***`
        for credentials: whoever uses it says where the store is. What lies inside belongs to the plan."""
        return dict(self._data)

    @cached_property
    def _data(self) -> dict[str, Any]:
        """The sections in their order; those that only some specs have are left out of the others."""
        special = {
            "data": self._data_section(),
            "blocks": to_data(self.blocks) if self.blocks else None,
            "model": self._model_section(),
            "loss": None if self.outputs else to_data(self.loss),
            "optimizer": optimizer_data(self.optimizer, self.groups),
        }
        data = self.head.model_dump()
        for name in SECTIONS:
            if name in special and special[name] is not None:
                data[name] = special[name]
            elif name not in special and name in self.__dataclass_fields__:
                data[name] = to_data(getattr(self, name))
        plain: dict[str, Any] = scrubbed(data)
        return plain

    def _data_section(self) -> dict[str, Any]:
        component = self.data.to_data()
        options = {component: None} if isinstance(component, str) else component
        transforms = {part.columns: [step.to_data() for step in part.steps] for part in self.transforms}
        return {**options, "transforms": transforms, "split": self.split.model_dump()}

    def _model_section(self) -> Any:
        """The layers, with how they begin and which stay so where the spec says."""
        layers = to_data(self.layers_between)
        if not self.is_long_model:
            return layers
        before = {key: value for layer in self.inputs for key, value in inputs_data(layer).items()}
        heads = outputs_data(self.outputs) if self.outputs else {}
        init = {"init": to_data(self.init)} if self.init else {}
        frozen = [*self.freeze, *(thaw.to_data() for thaw in self.thaw)]
        begun = {"from": self.weights.to_data()} if self.weights else {}
        return {**begun, **before, "layers": layers, **heads, **init, **({"freeze": frozen} if frozen else {})}

    def to_yaml(self) -> str:
        """The plan as YAML that resolves to the same plan."""
        text = yaml.dump(_escaped(self.to_data()), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        return text if text.isascii() else _shown(text)

    @property
    def followed_metric(self) -> str | None:
        """The key of the metric that the scheduler is stepped with; None for one that steps by itself."""
        return followed_metric(self.scheduler, has_val="val" in self.measured_parts)

    @property
    def measured_parts(self) -> tuple[str, ...]:
        """The parts of the data that have rows, of train, val and test."""
        split = self.split
        has = (split.has_val, split.has_test) if self.held is None else map(bool, self.held)
        return ("train", *(name for name, is_there in zip(("val", "test"), has, strict=True) if is_there))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer of the model, those inside others after the one that holds them."""
        return tuple(layer for top in self.model for layer in top.walk())

    @property
    def has_taps(self) -> bool:
        """Whether layers of the model remember values for others."""
        components = at_every_depth(self.model_components)
        return any(component.traits(LayerTraits).sets is not None for component in components)

    @property
    def n_train(self) -> int | None:
        """The rows to train on; None where the data do not tell before they are made."""
        rows = self.fields.rows
        return None if rows is None else rows - sum(self.held or held_out(rows, self.split))

    @property
    def n_parameters(self) -> int:
        return sum(layer.parameters for layer in self.model)


def _escaped(value: Any) -> Any:
    """Plain data whose texts hold no variables; keys are never filled."""
    match value:
        case str():
            return escaped(value)
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
        case list():
            return [_escaped(item) for item in value]
    return value


LATER_OPTIONS: tuple[tuple[str, str, Any], ...] = (
    *(("csv", "encoding", "utf-8"), ("csv", "dates", []), ("csv", "skip_rows", 0), ("csv", "texts", None)),
    *(("parquet", "texts", None), ("parquet", "dates", [])),
)
"""Options that data components got later, with their defaults: these do not change the digest of a plan."""


def _without_later_options(data: dict[str, Any]) -> dict[str, Any]:
    """The section `data` as it was before there were these options, where they are at their defaults."""
    for component, option, default in LATER_OPTIONS:
        options = data.get(component)
        if isinstance(options, dict) and options.get(option) == default:
            data = {**data, component: {name: value for name, value in options.items() if name != option}}
    return data


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # five times as fast
    """Writes YAML that reads the same under YAML 1.1 and 1.2: words that either takes for a number are quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _shown(text: str) -> str:
    """YAML in which marks of direction and the like, which stand in double quotes only, are escaped."""
    return "".join(f"\\U{ord(char):08x}" if steering(char, lines=True) else char for char in text)


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_quotes(text))


def _quotes(text: str) -> str | None:
    """Double quotes for what has to be escaped, single ones for what would be no text, none elsewhere."""
    if not text.replace("\n", "").isprintable():
        return '"'
    try:
        is_text = isinstance(core_value(text), str) and text == text.strip()
    except ValueError:
        is_text = False
    return None if is_text else "'"


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    special = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", special.get(text, text))


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(float, _represent_float)
