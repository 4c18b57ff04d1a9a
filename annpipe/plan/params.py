"""The params of a run in its record: the name of each component, and the options in which it differs from defaults.

A list of all options would bury the few that matter. An option that has the default of its class is left out, so that
a run that says it and one that does not are equal. The learning rate is always there, and in the trials of a sweep
whatever the sweep varies. How torch computes an optimizer's step (`fused`, …) is no param. The whole plan is in
`plan.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from annpipe.draft.component import Component, to_data
from annpipe.draft.parameter_groups import FOR_ALL
from annpipe.plan.plan import Plan

ALWAYS = ("lr",)
NOT_ASKED = ("plots", "metrics", "blocks")  # what decides no number of the training, and what stands in the layers
ORDER = ("optimizer", "scheduler", "train", "loss", "model", "callbacks", "data", "device", "seed")


def run_params(plan: Plan, varied: Collection[str] = ()) -> dict[str, str]:
    """The params of a plan's run by dotted path, as text; `varied` are paths that are there whatever their values.

    >>> run_params(plan)  # of pipelines/quadratic.yaml
    {'optimizer': 'Adam', 'optimizer.Adam.lr': '0.0002', 'train.epochs': '10000', …, 'seed': '0'}
    """
    components: dict[str, str] = {}
    for path, component in plan.components():
        if path.partition(".")[0] not in NOT_ASKED and ".metrics." not in path:
            components |= dict(_of_component(path, component))
    for number, group in enumerate(plan.groups):
        components[f"optimizer.groups.{number}"] = ", ".join(group.patterns)
    for head in plan.outputs:
        if head.weight != 1:
            components[f"model.outputs.{head.name}.weight"] = _text(head.weight)
    if frozen := [*plan.freeze, *(f"{', '.join(thaw.patterns)} until {thaw.until}" for thaw in plan.thaw)]:
        components["model.freeze"] = _text(frozen)
    if plan.weights:
        components["model.from"] = plan.weights.source
        if plan.weights.patterns:
            components["model.from.layers"] = _text(list(plan.weights.patterns))
    sections = _of_section("train", plan.train) | _of_section("data.split", plan.split)
    params = components | sections | _of_section("device", plan.device) | {"seed": str(plan.head.seed)}
    everything = dict(_leaves(plan.to_data()))
    params |= {path: everything[path] for path in varied if path in everything}
    return {path: params[path] for path in sorted(params, key=_by_section)}


def _by_section(path: str) -> int:
    """What is tuned most stands first, where MLflow keeps the order."""
    section = path.partition(".")[0]
    return ORDER.index(section) if section in ORDER else len(ORDER)


def _of_section(path: str, section: BaseModel) -> dict[str, str]:
    fields = type(section).model_fields
    values = ((name, getattr(section, name), fields[name].default) for name in fields)
    return {f"{path}.{name}": _text(value) for name, value, default in values if value != default}


def _of_component(path: str, component: Component) -> Iterator[tuple[str, str]]:
    """Its name at its path, and below that its options; of a component inside another one the same."""
    yield path, component.name
    for name, value in (component.template or component).options.items():
        parameter = component.entry.parameter(name)
        if parameter is None or parameter.supplied or (component.kind == "optimizer" and name in FOR_ALL):
            continue
        if parameter.required or name in ALWAYS or to_data(value) != parameter.default:
            yield from _of_value(f"{path}.{component.name}.{name}", value)


def _of_value(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Components inside a value at their own paths; a list of plain values is one param."""
    if isinstance(value, Component):
        yield from _of_component(path, value)
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _of_value(f"{path}.{key}", item)
    elif isinstance(value, list | tuple) and any(isinstance(item, Component | Mapping | list) for item in value):
        for position, item in enumerate(value):
            yield from _of_value(f"{path}.{position}", item)
    else:
        yield path, _text(to_data(value))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of plain data by dotted path; a list of plain values is one leaf, a component's name another."""
    if isinstance(value, Mapping) and value:
        if path and len(value) == 1:
            yield path, str(next(iter(value)))
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}.{position}")
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
