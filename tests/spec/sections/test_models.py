"""The rules of the sections: strict types, bounds, and what a split says of its rows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from annpipe.spec.sections.models import Device, Head, Section, Split, Sweep, Tracking, Train


@pytest.mark.parametrize(
    ("model", "field", "right", "wrong"),
    [
        (Train, "epochs", [1, None], [0, -1, 1.0, "1", True]),
        (Train, "batch_size", ["all", 1], [0, "some", 2.0]),
        (Train, "max_seconds", [0.1, 5, None], [0, -1, "5"]),
        (Train, "shuffle", [True], [1, "true"]),
        (Train, "non_finite", ["stop", "skip", "rollback"], ["go", None]),
        (Device, "threads", ["auto", 1], [0, "some"]),
        (Device, "precision", ["float32", "float64"], ["float16"]),
        (Split, "val", [0, 0.5], [1, 1.0, -0.1]),
        (Split, "folds", [2, None], [1]),
        (Split, "seed", [0, 2**63 - 1, None], [-1, 2**63]),
        (Split, "by", ["part", None], ["", 3]),
        (Sweep, "goal", ["minimize", "maximize", None], ["best"]),
        (Sweep, "retries", [0, 3], [-1]),
        (Tracking, "wait_seconds", [0, 1.5], [-1, None]),
        (Head, "seed", [0], [-1, 0.5, "0"]),
        (Head, "tags", [{"a": 1, "b": "x", "c": True}], [{"a": [1]}, ["a"]]),
    ],
)
def test_an_option_takes_what_it_says(model: type[Section], field: str, right: list[Any], wrong: list[Any]) -> None:
    """Nothing is converted."""
    needed: dict[str, Any] = {"version": 1, "name": "a"} if model is Head else {}
    for value in right:
        assert getattr(model(**needed, **{field: value}), field) == value
    for value in wrong:
        with pytest.raises(ValidationError):
            model(**needed, **{field: value})


@pytest.mark.parametrize("model", [Device, Split, Train, Sweep, Tracking, Head])
def test_a_section_is_closed_and_does_not_change(model: type[Section]) -> None:
    """Every option has words for the help."""
    needed = {"version": 1, "name": "a"} if model is Head else {}
    with pytest.raises(ValidationError, match="Extra inputs"):
        model(**needed, unknown=1)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model(**needed), next(iter(model.model_fields)), 1)
    assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(
    ("split", "facts"),
    [
        ({}, (False, False, (), {}, False)),
        ({"val": 0.2, "test": 0.1}, (True, True, (), {}, False)),
        ({"folds": 5}, (True, False, (), {}, False)),
        ({"by": "part"}, (True, True, ("part",), {}, True)),
        ({"val": 0.2, "groups": "person", "order": "day"}, (True, False, ("person", "day"), {}, True)),
        ({"val": 0.2, "stratify": "kind"}, (True, False, (), {}, False)),
        ({"val_rows": "a.txt"}, (True, False, (), {"val": "a.txt"}, True)),
        ({"val_rows": "a.txt", "test_rows": "b.txt"}, (True, True, (), {"val": "a.txt", "test": "b.txt"}, True)),
    ],
)
def test_what_a_split_says_of_its_rows(split: dict[str, Any], facts: tuple[Any, ...]) -> None:
    """Val, test, columns beside inputs and targets, files, and whether only the rows tell how many are held out."""
    made = Split(**split)
    assert (made.has_val, made.has_test, made.columns, made.files, made.needs_rows) == facts
