"""Places in a plugin's source: the name of a component, and its parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.registry.place import name_place, parameter_place

SOURCE = '''"""Äußerst kurz."""
import torch

class Swish(torch.nn.Module):
    """x."""
    width: int
    def __init__(self, beta: float = 1.0, *, in_features: int) -> None: ...

class Fields:
    epochs: int
    patient: bool = True

def waves(rows: int, /, noise: float, *more: int, seed: int = 0, **rest: int): ...

class Holder:
    @staticmethod
    async def later(self, x: int): ...
'''


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "plugin.py"
    path.write_text(SOURCE, encoding="utf-8")
    return str(path)


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SOURCE.splitlines(), start=1) if text in line)


def marked(place: object) -> str:
    """The stretch of the source that a place marks."""
    line, column, length = (getattr(place, name) for name in ("line", "column", "length"))
    return SOURCE.splitlines()[line - 1][column - 1 : column - 1 + length]


@pytest.mark.parametrize(
    ("definition", "name"),
    [("class Swish", "Swish"), ("def waves", "waves"), ("async def later", "later"), ("class Fields", "Fields")],
)
def test_a_definition_is_marked_at_its_name(definition: str, name: str, file: str) -> None:
    """Of a class, a function, an async function inside a class."""
    place = name_place(file, line_of(definition))
    assert place is not None
    assert (place.line, marked(place)) == (line_of(definition), name)


@pytest.mark.parametrize(
    ("definition", "parameter", "line"),
    [
        ("class Swish", "beta", "def __init__"),
        ("class Swish", "in_features", "def __init__"),
        ("class Fields", "patient", "patient: bool"),
        *(("def waves", name, "def waves") for name in ("rows", "noise", "more", "seed", "rest")),
        ("async def later", "x", "async def later"),
    ],
)
def test_a_parameter_is_marked_where_it_stands(definition: str, parameter: str, line: str, file: str) -> None:
    """In the signature, that of `__init__`, or among the fields of a class without one."""
    place = parameter_place(file, line_of(definition), parameter)
    assert place is not None
    assert (place.line, marked(place)) == (line_of(line), parameter)


def test_a_parameter_that_is_not_there_is_marked_at_the_name(file: str) -> None:
    """A base class may have it."""
    place = parameter_place(file, line_of("class Swish"), "gamma")
    assert place == name_place(file, line_of("class Swish"))
    assert marked(place) == "Swish"


@pytest.mark.parametrize("content", [None, b"def broken(:\n", b"\xff\xfe\xff", b"x = 1\0\n", b"x = 1\n"])
def test_without_a_readable_definition_the_line_is_all(content: bytes | None, tmp_path: Path) -> None:
    """A file that is gone, broken, no text, or has nothing at that line."""
    path = tmp_path / "gone.py"
    if content is not None:
        path.write_bytes(content)
    place = name_place(str(path), 3)
    assert place is not None
    assert (place.file, place.line, place.column, place.length) == (str(path), 3, 1, 1)


def test_what_has_no_source_has_no_place() -> None:
    """A component of an extension module."""
    assert name_place("", 3) is None
    assert parameter_place("", 3, "beta") is None


def test_a_byte_order_mark_moves_nothing(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "plugin.py"
    path.write_text(SOURCE, encoding="utf-8-sig")
    place = name_place(str(path), line_of("class Swish"))
    assert marked(place) == "Swish"
