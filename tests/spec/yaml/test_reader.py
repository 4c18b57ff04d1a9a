"""Reading: YAML 1.2 scalars, places, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from annpipe.errors import SpecError
from annpipe.spec.yaml.nodes import leaves, plain
from annpipe.spec.yaml.parser import MAX_BYTES_IN_PYTHON, Parser, PythonParser, parsers
from annpipe.spec.yaml.reader import MAX_BYTES, MAX_NODES, core_value, read_file, read_text


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


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\na: 2", "duplicate-key", 2),
        ("a: !!python/object:os.system x", "yaml-tag", 1),
        ("a: !!int 3", "yaml-tag", 1),
        ("a: !<x", "yaml-tag", 1),
        ("a: &x {b: 1}\nc:\n  <<: *x", "yaml-merge", 3),
        ("a: *nowhere", "yaml-alias", 1),
        ("a: &x [*x]", "yaml-alias", 1),
        ("a: &x 1\nb: &x [*x]", "yaml-alias", 2),
        ("a: &x:y 1", "not-yaml", 1),
        ("a: 1\n---\nb: 2", "several-documents", 2),
        ("a: 1\n...\nb: 2", "several-documents", 3),
        ("%YAML 1.1\n---\na: 1", "yaml-directive", 1),
        ("a: 1\n...\n# x\n%TAG ! x\n--- b", "yaml-directive", 4),
        ("a: 1\n\tb: 2", "yaml-tab", 2),
        ("a: [1, 2", "yaml-unclosed", 1),
        ("[a]: 1", "yaml-key", 1),
        ("a: 1\n: 2", "yaml-key", 2),
        ("- a", "not-a-mapping", 1),
        ("", "not-a-mapping", 1),
        ("a: \x07", "yaml-character", 1),
        ("a: 1\nb: x\u2028c: 2", "yaml-character", 2),
        ("a: 1\nb: \ud800", "yaml-character", 2),
        ("a: 1\r\nb:\r\n  - \x00", "yaml-character", 3),
        ("a: " + "9" * 5000, "number-too-long", 1),
    ],
)
def test_what_a_spec_may_not_say_is_refused_at_its_line(text: str, code: str, line: int, parser: Parser) -> None:
    """Each refusal has its code and place, whichever parser reads."""
    with pytest.raises(SpecError) as caught:
        read_text(text, "f", parser)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.place is not None
    assert problem.place.line == line
    assert problem.help


def test_both_places_of_a_duplicate_key_are_named() -> None:
    """The second is the fault, the first is shown with it; a key of many characters is cut in the message."""
    with pytest.raises(SpecError) as caught:
        read_text(f"{'k' * 100}: 1\nb: 2\n{'k' * 100}: 3\n", "f")
    [problem] = caught.value.problems
    assert problem.place is not None
    assert (problem.place.line, problem.related[0][0].line) == (3, 1)
    assert len(problem.message) < 80


@pytest.mark.parametrize("parser", parsers())
def test_anchors_and_aliases_repeat_a_value(parser: Parser) -> None:
    """An alias is the value that its anchor marked last."""
    text = "a: &x [1, 2]\nb: *x\nc: &x 3\nd: [*x, &x 4, *x]\n"
    assert plain(read_text(text, "f", parser)) == {"a": [1, 2], "b": [1, 2], "c": 3, "d": [3, 4, 4]}


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_columns_count_characters_whatever_the_line_breaks_and_the_script(
    tmp_path: Path, break_: str, mark: str, parser: Parser
) -> None:
    """Each value stands in the text where its place says: after a byte order mark, Korean, emoji, in each style."""
    lines = ["이름: 값", "😀: [학습, '두 번', *a]", "b: &a 긴", "", "c:", '  - 끝: "따"\t# 말', "  - 여러 줄", "    더"]
    lines[1] = lines[1].replace(", *a", "")
    (tmp_path / "s.yaml").write_bytes((mark + break_.join(lines)).encode())
    root = read_file(tmp_path / "s.yaml", parser)
    seen = {}
    for path, leaf in leaves(root):
        assert leaf.place.length <= len(lines[leaf.place.line - 1])
        start = leaf.place.column - 1
        seen[path] = lines[leaf.place.line - 1][start : start + leaf.place.length]
    assert list(seen.values()) == ["값", "학습", "'두 번'", "&a 긴", '"따"', "여러 줄"]
    assert [key.place.column for key, _ in root.pairs] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "a: " + "{b: " * 50_000,
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
    ],
)
def test_hostile_nesting_and_aliases_are_refused(text: str) -> None:
    """Depth and size are bounded while composing, with what aliases stand for."""
    with pytest.raises(SpecError) as caught:
        read_text(text, "f")
    assert caught.value.problems[0].code in ("spec-too-deep", "spec-too-large")


def test_what_aliases_repeat_is_counted_as_often_as_it_is_repeated() -> None:
    """The limit is on values, wherever they come from; just below it all is well."""
    inside = f"a: &a [{'1,' * (MAX_NODES // 4)}]\n"
    assert read_text(inside + "b: [*a, *a]", "f")
    with pytest.raises(SpecError) as caught:
        read_text(inside + "b: [*a, *a, *a]", "f")
    assert caught.value.problems[0].code == "spec-too-large"


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    """The limit is on bytes; an endless device is no file."""
    path = tmp_path / "spec.yaml"
    path.write_text("a: 1\n#" + "x" * MAX_BYTES)
    for large in (path, Path("/dev/zero")):
        if large.exists():
            with pytest.raises(SpecError) as caught:
                read_file(large)
            expected = "spec-too-large" if large == path else "file-not-readable"
            assert caught.value.problems[0].code == expected


def test_the_parser_in_python_reads_less_and_says_why() -> None:
    """It is thirty times slower, so it is given a thirty-second of the text."""
    text = "a: 1\n#" + "x" * MAX_BYTES_IN_PYTHON
    with pytest.raises(SpecError) as caught:
        read_text(text, "f", PythonParser)
    assert "reinstall pyyaml" in str(caught.value.problems[0].help)


@pytest.mark.parametrize(("name", "code"), [("", "file-not-readable"), ("a\0b", "file-not-readable")])
def test_what_is_no_file_is_a_problem_of_the_file(tmp_path: Path, name: str, code: str) -> None:
    """A folder, or a name that no file can have."""
    with pytest.raises(SpecError) as caught:
        read_file(tmp_path / name)
    assert caught.value.problems[0].code == code


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
    path.write_bytes("a: 1\r\n값: ".encode() + b"\xff\n")
    with pytest.raises(SpecError) as caught:
        read_file(path)
    place = caught.value.problems[0].place
    assert place is not None
    assert (place.line, place.column) == (2, 4)
