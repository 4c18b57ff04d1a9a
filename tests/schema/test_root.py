"""The schema of a whole spec: which sections must be there, and what may stand beside a component."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.registry import Registry
from annpipe.schema.root import spec_schema

OWN = Origin("own", "1.0")
ENTRIES = (
    Entry("data", "rows", "own:rows", (Parameter("n", "int", required=True),), "", OWN),
    Entry("layer", "Wide", "own:Wide", (Parameter("width", "int", required=True),), "", OWN),
    Entry("loss", "Far", "own:Far", (), "", OWN),
    Entry("optimizer", "Slow", "own:Slow", (Parameter("lr", "float", 0.1),), "", OWN),
    Entry("transform", "scaled", "own:scaled", (), "", OWN),
)
RIGHT: dict[str, Any] = {
    "version": 1,
    "name": "a",
    "data": {"rows": 3},
    "model": [{"Wide": 1}],
    "loss": "Far",
    "optimizer": "Slow",
    "train": {"epochs": 1},
}


def is_right(spec: dict[str, Any], *, any_name: bool = False, variables: bool = True) -> bool:
    """Whether a spec is right by the schema over the entries."""
    return bool(validator(any_name=any_name, variables=variables).is_valid(spec))


@cache
def validator(*, any_name: bool, variables: bool) -> Draft7Validator:
    registry = Registry()
    registry._add_all(ENTRIES)
    schema = spec_schema(registry, any_name=any_name, variables=variables)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def test_a_small_spec_is_right() -> None:
    """Of the few components of this registry."""
    assert is_right(RIGHT)
    assert is_right(RIGHT, any_name=True)
    assert is_right(RIGHT, variables=False)


@pytest.mark.parametrize("section", RIGHT)
def test_every_section_of_a_small_spec_is_needed(section: str) -> None:
    """Unless another spec is extended, which may have it."""
    without = {name: value for name, value in RIGHT.items() if name != section}
    assert not is_right(without)
    assert is_right({**without, "extends": "base.yaml"})
    assert not is_right({**without, "extends": None})


@pytest.mark.parametrize(
    ("data", "right"),
    [
        ({"rows": 3, "split": {"val": 0.2}}, True),
        ({"rows": 3, "transforms": {"number": "scaled"}}, True),
        ({"rows": 3, "split": {"val": 0.2}, "transforms": {"number": "scaled"}}, True),
        ({"split": {"val": 0.2}}, False),
        ({"split": {"val": 0.2}, "transforms": {"number": "scaled"}}, False),
        ({"rows": 3, "others": 1}, False),
        ({"rows": 3, "splits": {"val": 0.2}}, False),
        ({"rows": {"n": "three"}, "split": {"val": 0.2}}, False),
    ],
)
def test_beside_the_data_component_stand_a_split_and_transforms(data: Any, right: bool) -> None:
    """And nothing else; they do not take the component's place."""
    assert is_right({**RIGHT, "data": data}) is right


@pytest.mark.parametrize(
    ("optimizer", "right"),
    [
        ({"Slow": 0.1, "groups": [{"params": "*", "lr": 0.2}]}, True),
        ({"Slow": 0.1, "group": []}, False),
        ({"groups": [{"params": "*", "lr": 0.2}]}, False),
        ({"Slow": 0.1, "Fast": 1}, False),
    ],
)
def test_beside_the_optimizer_stand_groups(optimizer: Any, right: bool) -> None:
    """Each of which has options of its own."""
    assert is_right({**RIGHT, "optimizer": optimizer}) is right


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"variables": {"width": 3, "a_B1": [1]}}, True),
        ({"variables": {"my width": 3}}, False),
        ({"variables": None}, True),
        ({"extends": 3}, False),
        ({"modle": []}, False),
        ({"seed": "${seed}"}, True),
    ],
)
def test_top_level_keys(changes: dict[str, Any], right: bool) -> None:
    """Those of the language alone; names of variables are identifiers."""
    assert is_right({**RIGHT, **changes}) is right


def test_variables_can_be_left_out_of_the_language() -> None:
    """For tools that make specs out of the schema."""
    assert not is_right({**RIGHT, "seed": "${seed}"}, variables=False)
    assert is_right({**RIGHT, "seed": 3}, variables=False)


def test_names_of_unknown_plugins_can_be_admitted() -> None:
    """The rest is checked as ever."""
    assert not is_right({**RIGHT, "loss": "Mine"})
    assert is_right({**RIGHT, "loss": "Mine"}, any_name=True)
    assert not is_right({**RIGHT, "model": [{"Wide": "x"}]}, any_name=True)
