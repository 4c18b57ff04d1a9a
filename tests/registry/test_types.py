"""Option types: their text, their words, and what pydantic takes for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError

from annpipe.registry.kinds import KINDS
from annpipe.registry.types import (
    SCALARS,
    Choice,
    ListOf,
    MappingOf,
    Named,
    OneOf,
    OptionType,
    TupleOf,
    UnsupportedType,
    annotation,
    one_of,
    parse,
    words,
)

NAMES = st.sampled_from([*SCALARS, *KINDS]).map(Named)
LITERALS = st.one_of(st.text(max_size=8), st.integers(-99, 99).filter(lambda number: number not in (0, 1)))
CHOICES = st.lists(LITERALS, min_size=1, max_size=4, unique=True).map(lambda values: Choice(tuple(values)))


def _nested(inner: st.SearchStrategy[OptionType]) -> st.SearchStrategy[OptionType]:
    return st.one_of(
        inner.map(ListOf),
        st.lists(inner, min_size=1, max_size=4).map(lambda items: TupleOf(tuple(items))),
        inner.map(MappingOf),
        st.lists(inner, min_size=1, max_size=4).map(one_of),
    )


TYPES: st.SearchStrategy[OptionType] = st.recursive(st.one_of(NAMES, CHOICES), _nested, max_leaves=12)


@pytest.mark.slow
@given(TYPES)
def test_a_type_is_read_back_from_its_text(type_: OptionType) -> None:
    assert parse(str(type_)) == type_


@given(TYPES)
def test_every_type_has_words_and_an_annotation(type_: OptionType) -> None:
    assert words(type_, {"ge": 0})
    TypeAdapter(annotation(type_, {"ge": 0}))


@given(st.text(max_size=30))
def test_any_text_is_a_type_or_refused(text: str) -> None:
    try:
        type_ = parse(text)
    except (UnsupportedType, ValueError):
        return
    assert parse(str(type_)) == type_


@pytest.mark.parametrize(
    "text", ["complex", "list[complex]", "int()", "x.y", "dict[int, str]", "", "int |", "b'x'", "1j"]
)
def test_what_yaml_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedType):
        parse(text)


@pytest.mark.parametrize(
    ("text", "bounds", "said"),
    [
        ("int", {"ge": 1}, "a whole number at least 1"),
        ("float", {"ge": 0, "lt": 1}, "a number at least 0 and less than 1"),
        ("'mean' | 'sum'", {}, "one of 'mean', 'sum'"),
        (
            "int | tuple[int, int]",
            {"gt": 0},
            "a whole number greater than 0 or a list of 2, each a whole number greater than 0",
        ),
        ("float | None", {}, "a number or null"),
        ("list[layer]", {}, "a list, each a layer"),
        ("dict[str, distribution]", {}, "a mapping, each value a distribution"),
        ("bool", {"ge": 1}, "true or false"),
    ],
)
def test_words_name_the_type_and_its_bounds(text: str, bounds: dict[str, float], said: str) -> None:
    assert words(parse(text), bounds) == said


@pytest.mark.parametrize(
    ("text", "bounds", "taken", "refused"),
    [
        ("int", {"ge": 1}, [1, 5], [0, 1.0, True, "1", None]),
        ("float", {"gt": 0}, [1, 0.5], [0, -1.0, True, "0.5", None]),
        ("bool", {}, [True, False], [0, 1, "true"]),
        ("str", {}, ["a"], [1, None, True]),
        ("None", {}, [None], [0, ""]),
        ("'a' | 2", {}, ["a", 2], ["b", 3, None]),
        ("list[int]", {"ge": 0}, [[], [1, 2]], [1, [-1], ["a"]]),
        ("tuple[int, int]", {}, [[1, 2]], [[1], [1, 2, 3], 1]),
        ("int | tuple[int, int] | None", {"ge": 1}, [3, [3, 3], None], [0, [3], [0, 1], "3"]),
        ("dict[str, float]", {}, [{"a": 1.5}], [{"a": "b"}, [1]]),
        ("tensor", {"ge": 0}, [0, 1.5, [1, 2], [[1.0]], [[[0]]]], [-1, [1, -1], "a", None]),
        ("any", {}, [1, "a", None, [1]], []),
    ],
)
def test_pydantic_takes_and_refuses_strictly(
    text: str, bounds: dict[str, float], taken: list[Any], refused: list[Any]
) -> None:
    strict = ConfigDict(strict=True)  # as the engine's option models are
    adapter: TypeAdapter[Any] = TypeAdapter(annotation(parse(text), bounds), config=strict)
    for value in taken:
        assert _plain(adapter.validate_python(value)) == value
    for value in refused:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def test_a_union_is_flat_and_without_repeats() -> None:
    members: list[OptionType] = [Named("int"), OneOf((Named("str"), Named("int"))), Choice(("a",)), Choice(("b",))]
    assert str(one_of(members)) == "int | str | 'a' | 'b'"
    assert one_of([Named("int")]) == Named("int")
