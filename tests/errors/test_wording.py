"""Choices and bounds in words."""

from __future__ import annotations

import pytest

from annpipe.errors.wording import either, first_line, limits


def test_choices_are_joined() -> None:
    assert [either("abc"[:n]) for n in (1, 2, 3)] == ["a", "a or b", "a, b or c"]


@pytest.mark.parametrize(
    ("bounds", "words"),
    [({}, ""), ({"ge": 0}, " at least 0"), ({"gt": 0.5, "le": 2**31}, " greater than 0.5 and at most 2**31")],
)
def test_bounds_are_told_in_words(bounds: dict[str, float], words: str) -> None:
    assert limits(bounds) == words


def test_an_exception_is_told_by_its_first_line_or_its_class() -> None:
    assert first_line(ValueError("wrong:\nmore")) == "wrong"
    assert first_line(ValueError()) == "ValueError"
