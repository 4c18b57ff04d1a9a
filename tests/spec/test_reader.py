"""Reading: YAML 1.2 scalars, places, and what is refused."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annpipe.errors import SpecError
from annpipe.spec.nodes import plain
from annpipe.spec.reader import core_value, read_file, read_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("2.", 2.0),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("017", "017"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("Null", None),
        ("", None),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """A float is a float without a dot, and words of YAML 1.1 are words."""
    assert core_value(text) == value
    assert type(core_value(text)) is type(value)


def test_quoted_scalars_are_text() -> None:
    """Quotes make text of anything."""
    assert plain(read_text("{a: '1', b: \"true\"}", "f")) == {"a": "1", "b": "true"}


def test_every_key_and_value_has_its_place() -> None:
    """Lines and columns count from one, in characters."""
    root = read_text("a: 1\nbβ:\n  - 학습: [x, yy]\n", "f")
    key = root.key("bβ")
    inner = root.get("bβ").items[0]  # type: ignore[union-attr]
    assert key is not None
    assert (key.place.line, key.place.column, key.place.length) == (2, 1, 2)
    assert (inner.pairs[0][1].items[1].place.line, inner.pairs[0][1].items[1].place.column) == (3, 13)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\na: 2", "duplicate-key", 2),
        ("a: !!python/object:os.system x", "yaml-tag", 1),
        ("a: !!int 3", "yaml-tag", 1),
        ("a: &x {b: 1}\nc:\n  <<: *x", "yaml-merge", 3),
        ("a: *nowhere", "yaml-alias", 1),
        ("a: &x [*x]", "yaml-alias", 1),
        ("a: 1\n---\nb: 2", "several-documents", 2),
        ("a: 1\n\tb: 2", "not-yaml", 2),
        ("a: [1, 2", "not-yaml", 1),
        ("[a]: 1", "yaml-key", 1),
        ("- a", "not-a-mapping", 1),
        ("", "not-a-mapping", 1),
        ("a: " + "9" * 5000, "number-too-long", 1),
    ],
)
def test_what_a_spec_may_not_say_is_refused_at_its_line(text: str, code: str, line: int) -> None:
    """Each refusal has its code and place."""
    with pytest.raises(SpecError) as caught:
        read_text(text, "f")
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.place is not None
    assert problem.place.line == line


def test_anchors_and_aliases_repeat_a_value() -> None:
    """An alias is the value that its anchor marked."""
    assert plain(read_text("a: &x [1, 2]\nb: *x", "f")) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "a: " + "{b: " * 50_000,
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    ],
)
def test_hostile_nesting_and_aliases_are_refused_quickly(text: str) -> None:
    """Depth and size are bounded while composing."""
    begin = time.monotonic()
    with pytest.raises(SpecError) as caught:
        read_text(text, "f")
    assert caught.value.problems[0].code in ("spec-too-deep", "spec-too-large")
    assert time.monotonic() - begin < 10


@given(st.binary(max_size=300))
def test_any_bytes_are_a_spec_or_a_positioned_error(data: bytes) -> None:
    """Nothing but SpecError comes out of the reader."""
    try:
        read_text(data.decode("utf-8", "replace"), "f")
    except SpecError as error:
        assert all(problem.place for problem in error.problems)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    """The help lists the specs beside it."""
    (tmp_path / "quadratic.yaml").write_text("version: 1")
    with pytest.raises(SpecError) as caught:
        read_file(tmp_path / "quadratics.yaml")
    assert caught.value.problems[0].code == "file-not-found"
    assert "quadratic.yaml" in str(caught.value.problems[0].help)


def test_bytes_that_are_no_utf8_name_their_line(tmp_path: Path) -> None:
    """The place is the line of the first bad byte."""
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(SpecError) as caught:
        read_file(path)
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.line == 2
