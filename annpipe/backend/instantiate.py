"""Builds the live object that a component names: nested components first, then the call."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.protocols import check_built, check_class
from annpipe.draft.blocks import used_block
from annpipe.draft.component import Component, transform
from annpipe.draft.parameter_groups import ParameterGroup, assigned
from annpipe.expression import Expression
from annpipe.portable.stack import Stack
from annpipe.portable.taps import Taps
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import Formula, ListOf, Named, OptionType, TupleOf, alternatives, holds_stacks


@dataclass(frozen=True)
class Building:
    """What the layers of one model have in common: blocks with shared weights, each built once, and tapped values.

    `apart` builds each use anew, so that the parameters of a part can be told from those of others.
    """

    shared: dict[str, torch.nn.Module] = field(default_factory=dict)
    taps: Taps = field(default_factory=Taps)
    apart: bool = False


def instantiate(component: Component, building: Building | None = None, /, **supplied: Any) -> Any:
    """Calls the component with its options; `supplied` are the engine's own (`params`, `optimizer`, `generator`).

    Options typed `tensor` become tensors, lists typed as tuples become tuples. A layer that shares the weights of a
    block is the module that `building` has for it already. Raises PluginFault for a component that does not do what its
    kind must, and whatever the component raises.
    """
    building = building or Building()
    block = used_block(component)
    if block is None or building.apart:
        return _called(component, building, supplied)
    if block not in building.shared:
        building.shared[block] = _called(component, building, supplied)
    return building.shared[block]


def _called(component: Component, building: Building, supplied: Mapping[str, Any]) -> Any:

    def inside(inner: Component) -> Any:
        return instantiate(inner, building, **_passed_on(inner, supplied))

    options: dict[str, Any] = {}
    for parameter in component.entry.parameters:
        if parameter.name in component.options:
            value = component.options[parameter.name]
            if isinstance(value, list) and holds_stacks(parameter.option_type):
                options[parameter.name] = _stacked(value, building)
                continue
            options[parameter.name] = fitted(parameter.option_type, transform(value, inside))
        elif parameter.supplied and parameter.name == "tap_values":
            options[parameter.name] = building.taps
        elif parameter.name in supplied:
            options[parameter.name] = supplied[parameter.name]
    check_class(component)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's advice about options the user can see in the plan
        built = component.load()(**options)
    check_built(component, built)
    return built


def parameter_groups(parameters: Mapping[str, torch.nn.Parameter], groups: Sequence[ParameterGroup]) -> list[Any]:
    """What an optimizer takes for `params`: the parameters, or with groups a mapping for each, first the others."""
    if not groups:
        return list(parameters.values())
    options: list[dict[str, Any]] = [{}]
    for group in groups:
        values, parameters_of = group.options.options, group.options.entry.parameters
        options.append({p.name: fitted(p.option_type, values[p.name]) for p in parameters_of if p.name in values})
    split = assigned(list(parameters), groups)
    return [{"params": [parameters[n] for n in names], **values} for names, values in zip(split, options, strict=True)]


def _passed_on(inner: Component, supplied: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler inside a scheduler drives the same optimizer, a loss inside a loss knows the same targets."""
    name = {"scheduler": "optimizer", "loss": "target_names"}.get(inner.kind, "")
    return {name: supplied[name]} if name in supplied else {}


def _function(formula: Expression) -> Callable[[float], float]:
    """The formula as a plain function: torch's schedulers keep any other callable's insides in their state."""

    def value(number: float) -> float:
        return formula(number)

    return value


def _stacked(layers: Sequence[Any], building: Building) -> Any:
    """Layers as one module that runs them in order; a list of such lists as a list of such modules."""
    if any(isinstance(branch, list) for branch in layers):
        return [_stacked(branch, building) for branch in layers]
    return Stack(named_modules(layers, building))


def named_modules(layers: Sequence[Component], building: Building | None = None) -> OrderedDict[str, torch.nn.Module]:
    """The built layers under the names that their parameters begin with: their positions, or the blocks they are.

    The second use of a block in one stack is called `name_2`.
    """
    building = building or Building()
    modules: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for name, layer in zip(module_names(layers), layers, strict=True):
        modules[name] = instantiate(layer, building)
    return modules


def module_names(layers: Sequence[Component]) -> list[str]:
    """The names of a stack's modules; an end of the model, as `inputs`, is none of its numbered layers."""
    names: list[str] = []
    position = -1
    for layer in layers:
        traits = layer.traits(LayerTraits)
        if traits.end is not None:
            names.append(traits.end)
            continue
        position += 1
        block = used_block(layer) or (layer.name if traits.block else None)
        name = block or str(position)
        tries = (f"{name}_{number}" for number in count(2))
        names.append(name if name not in names else next(other for other in tries if other not in names))
    return names


def fitted(type_: OptionType, value: Any) -> Any:
    """YAML's lists and numbers as what Python's signature asks for."""
    members = alternatives(type_)
    if isinstance(value, Expression) and any(isinstance(m, Formula) for m in members):
        return _function(value)
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    numeric = any(member in members for member in (Named("float"), Named("int")))
    if Named("tensor") in members and (isinstance(value, list) or (is_number and not numeric)):
        return torch.tensor(value, dtype=torch.get_default_dtype())
    if isinstance(value, list) and any(isinstance(m, TupleOf) and len(m.items) == len(value) for m in members):
        return tuple(value)
    if isinstance(value, str) and Named("path") in members:
        return Path(value)
    item = next((m.item for m in members if isinstance(m, ListOf)), None)
    if isinstance(value, list) and item is not None:
        return [fitted(item, inner) for inner in value] if isinstance(item, Formula) else value
    if is_number and Named("float") in members and Named("int") not in members:
        return float(value)
    return value
