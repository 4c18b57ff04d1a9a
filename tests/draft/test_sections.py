"""Every component of a spec is found by `components()`, whatever section has it: a forgotten one fails here."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from annpipe.draft.component import Component
from annpipe.draft.draft import draft
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.draft.sections import Draft, Sections
from annpipe.draft.transforms import Transforming
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.spec.sections.component import Call
from annpipe.spec.sections.models import MANY_COMPONENTS, ONE_COMPONENT, SECTIONS
from annpipe.spec.sections.spec import Spec

COMMON = """
version: 1
name: every section
data:
  table: {inputs: {a: [1.0, 2.0, 3.0, 4.0], b: [0.0, 1.0, 0.0, 2.0]}, targets: {y: [1.0, 2.0, 2.0, 1.0]}}
  transforms: {a: [standardize, min_max], number: standardize}
  split: {val: 0.25}
blocks: {hidden: [{Linear: 3}, ReLU]}
optimizer: {SGD: {lr: 0.1}, groups: [{params: weight, lr: 0.2}]}
scheduler: {StepLR: 1}
average: EMA
train: {epochs: 2}
plots: [learning_curve]
callbacks: [{early_stopping: {patience: 2}}]
"""
PLAIN = f"""{COMMON}
model: {{layers: [hidden, {{Linear: 1}}], init: {{weight: zeros_}}}}
loss: MSELoss
metrics: [MeanAbsoluteError, R2Score]
"""
HEADS = f"""{COMMON}
model:
  inputs: {{one: {{columns: [a], layers: [{{Linear: 2}}]}}, two: {{columns: [b], layers: [Tanh]}}}}
  layers: [hidden]
  outputs: {{y: {{layers: [{{Linear: 1}}], loss: L1Loss, metrics: [MeanSquaredError]}}}}
"""


def drafted(text: str, path: Path) -> Draft:
    (path / "spec.yaml").write_text(text, encoding="utf-8")
    return draft(load_spec(path / "spec.yaml"), Registry.installed())


def calls(value: Any) -> Iterator[Call]:
    """The calls in a value of a spec, whatever holds them."""
    if isinstance(value, Call):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from calls(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from calls(getattr(value, field.name))


def spec_calls(spec: Spec) -> dict[str, list[Call]]:
    return {field.name: [*calls(getattr(spec, field.name))] for field in fields(spec) if field.name != "root"}


@pytest.mark.parametrize("text", [PLAIN, HEADS])
def test_what_a_spec_calls_is_among_the_components_at_its_place(text: str, tmp_path: Path) -> None:
    made = drafted(text, tmp_path)
    places = {component.place for _, component in made.components()}
    for name, found in spec_calls(made.spec).items():
        assert {call.place for call in found if call.name} <= places, name  # with heads, the loss itself has no name


def test_the_specs_here_have_every_section_that_holds_calls(tmp_path: Path) -> None:
    """A new section of the spec must be written into a spec above."""
    found = [spec_calls(drafted(text, tmp_path).spec) for text in (PLAIN, HEADS)]
    hints = typing.get_type_hints(Spec)
    for name, hint in hints.items():
        holds = re.search(r"\bCall\b", str(hint)) and name not in ("sweep", "groups")
        assert not holds or any(one[name] for one in found), name


def test_every_field_of_components_is_walked(tmp_path: Path) -> None:
    made = drafted(PLAIN, tmp_path)
    marker = replace(made.optimizer, name="marker")
    output = OutputHead("y", (marker,), marker, 1.0, (marker,))
    values: dict[Any, Any] = {
        Component: marker,
        Component | None: marker,
        tuple[Component, ...]: (marker,),
        tuple[Transforming, ...]: (Transforming("a", (marker,)),),
        tuple[ParameterGroup, ...]: (ParameterGroup(("a",), marker),),
        tuple[OutputHead, ...]: (output,),
    }
    for name, hint in typing.get_type_hints(Sections).items():
        if not any(word in str(hint) for word in ("Component", "Transforming", "Output", "ParameterGroup")):
            continue
        value = values.get(hint, {"a": (marker,)} if "tuple" in str(hint) else {"a": marker})
        changed = replace(made, **{name: value})
        assert any(component is marker for _, component in changed.components()), name


@pytest.mark.parametrize("text", [PLAIN, HEADS])
def test_a_plan_has_the_components_of_its_draft_at_the_same_paths(text: str, tmp_path: Path) -> None:
    made = drafted(text, tmp_path)
    plan = resolve(made)
    assert [path for path, _ in plan.components()] == [path for path, _ in made.components()]
    assert [(c.kind, c.name) for _, c in plan.components()] == [(c.kind, c.name) for _, c in made.components()]


@pytest.mark.parametrize("text", [PLAIN, HEADS])
def test_paths_are_those_of_the_plan_as_a_spec(text: str, tmp_path: Path) -> None:
    plan = resolve(drafted(text, tmp_path))
    data = yaml.safe_load(plan.to_yaml())
    for path, component in plan.components():
        node: Any = data
        for step in path.split("."):
            node = node[int(step)] if isinstance(node, list) else node[step]
        is_group = path.startswith("optimizer.groups.")
        assert is_group or node == component.name or component.name in node, path


def test_the_table_names_the_sections_of_components() -> None:
    """And a plan says each section but the sweep, which is none of a single run."""
    assert {*ONE_COMPONENT, *MANY_COMPONENTS} <= set(SECTIONS)
    kinds = {name: hint for name, hint in typing.get_type_hints(Sections).items() if name in SECTIONS}
    one = [name for name, hint in kinds.items() if hint in (Component, Component | None)]
    many = [name for name, hint in kinds.items() if hint == tuple[Component, ...]]
    assert sorted(one) == sorted(ONE_COMPONENT)
    assert sorted(many) == sorted(MANY_COMPONENTS)
