"""Where plans differ: value by value, a component by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from annpipe.record.journal.differences import brief, compare_plans

LINEAR = {"Linear": {"in_features": 1, "out_features": 8, "bias": True}}


@pytest.mark.parametrize(
    ("plans", "rows"),
    [
        ([{"a": 1}, {"a": 1}], []),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}], [("a.c", (2, 3))]),
        ([{"a": 1}, {"b": 1}], [("a", (1, None)), ("b", (None, 1))]),
        ([{"s": None}, {"s": {"val": 0.2, "test": 0}}], [("s.val", (None, 0.2)), ("s.test", (None, 0))]),
        ([{"m": [{"L": {"n": 1}}, "T"]}, {"m": [{"L": {"n": 2}}, "T"]}], [("m.0.L.n", (1, 2))]),
        ([{"betas": [0.9, 0.99]}, {"betas": [0.9, 0.9]}], [("betas", ([0.9, 0.99], [0.9, 0.9]))]),
        (
            [{"o": {"SGD": {"lr": 1}}}, {"o": {"Adam": {"lr": 1}}}, {"o": {"SGD": {"lr": 2}}}],
            [("o", ("SGD", "Adam", "SGD")), ("o.SGD.lr", (1, None, 2)), ("o.Adam.lr", (None, 1, None))],
        ),
        (
            [{"scheduler": None}, {"scheduler": {"StepLR": {"gamma": 0.1}}}],
            [("scheduler", (None, "StepLR")), ("scheduler.StepLR.gamma", (None, 0.1))],
        ),
        ([{"e": "auto"}, {"e": 3}], [("e", ("auto", 3))]),
    ],
)
def test_differences_are_values_and_names_of_components(plans: list[Any], rows: list[Any]) -> None:
    """No row holds a whole section; the options of a component stand in the columns that have it."""
    assert [(row.name, row.values) for row in compare_plans(plans)] == rows


def test_a_component_and_what_stands_beside_it_in_a_section() -> None:
    """`data` and `optimizer` hold one component each, and more."""
    table = {"table": {"rows": 3}, "transforms": {}, "split": {"val": 0.2}}
    moons = {"moons": None, "transforms": {"x": ["standardize"]}, "split": {"val": 0.1}}
    rows = compare_plans([{"data": table}, {"data": moons}])
    assert {row.name: row.values for row in rows} == {
        "data": ("table", "moons"),
        "data.table.rows": (3, None),
        "data.transforms.x": (None, ["standardize"]),
        "data.split.val": (0.2, 0.1),
    }


def test_a_model_with_more_layers_or_with_other_parts() -> None:
    """Layers are compared by position; a plain list of layers is the `layers` of a longer section."""
    rows = list(compare_plans([{"model": [LINEAR]}, {"model": [LINEAR, "ReLU"]}]))
    assert [(row.name, row.values) for row in rows] == [("model.1", (None, "ReLU"))]
    rows = list(compare_plans([{"model": [LINEAR]}, {"model": {"layers": [LINEAR], "freeze": ["0"]}}]))
    assert [(row.name, row.values) for row in rows] == [("model.freeze", (None, ["0"]))]


def test_a_default_of_a_component_that_only_some_have_is_no_row() -> None:
    """An option of all runs has its row where it differs, whatever its default."""

    def defaults(component: str, option: str) -> Sequence[Any]:
        return [{"Linear": {"bias": True}}.get(component, {}).get(option)]

    names = [row.name for row in compare_plans([{"model": [LINEAR]}, {"model": ["ReLU"]}], defaults=defaults)]
    assert names == ["model.0", "model.0.Linear.in_features", "model.0.Linear.out_features"]
    other = {"Linear": {**LINEAR["Linear"], "bias": False}}
    rows = list(compare_plans([{"model": [LINEAR]}, {"model": [other]}], defaults=defaults))
    assert [(row.name, row.values) for row in rows] == [("model.0.Linear.bias", (True, False))]


def test_equal_values_are_shown_on_request() -> None:
    """Names of components among them."""
    plan = {"seed": 0, "model": [LINEAR]}
    assert list(compare_plans([plan, plan])) == []
    rows = {row.name: row.values for row in compare_plans([plan, plan], equal=True)}
    assert rows["seed"] == (0, 0)
    assert rows["model.0"] == ("Linear", "Linear")
    assert rows["model.0.Linear.out_features"] == (8, 8)


def test_a_value_is_told_in_few_letters() -> None:
    """Options that are off are not told."""
    assert brief({"Linear": {"bias": False, "n": 0.1234567}}) == "Linear {n: 0.123457}"
    assert brief(None) == "-"
    assert len(brief(list(range(1000)))) == 48
