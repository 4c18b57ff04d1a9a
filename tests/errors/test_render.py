"""How problems are drawn: excerpts, carets, and nothing that would steer a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.errors import Place, Problem
from annpipe.errors.render import LINE, render


def drawn(folder: Path, text: str, line: int, column: int, length: int) -> list[str]:
    file = folder / "spec.yaml"
    file.write_bytes(text.encode())
    return render(Problem("code", "message", Place(str(file), line, column, length))).splitlines()


@pytest.mark.parametrize(
    ("before", "marked"),
    [("a: ", "fast"), ("학습: ", "빠름"), ("\ta: ", "x"), ("e\u0301: ", "é"), ("a: [😀, ", "😀")],
)
def test_carets_stand_under_the_exact_text(tmp_path: Path, before: str, marked: str) -> None:
    """Also behind characters that take two columns, or none."""
    *_, source, carets = drawn(tmp_path, f"x: 1\n{before}{marked} # end\n", 2, len(before) + 1, len(marked))
    wide = {"학": 2, "습": 2, "빠": 2, "름": 2, "😀": 2, "\u0301": 0}
    assert source == f"2 │ {before}{marked} # end"
    blank = carets.removeprefix("  │ ").rstrip("^")
    assert sum(wide.get(c, 1) for c in blank) == sum(wide.get(c, 1) for c in before)
    assert blank.count("\t") == before.count("\t")
    assert carets.count("^") == sum(wide.get(c, 1) for c in marked)


def test_a_long_line_is_cut_around_its_carets(tmp_path: Path) -> None:
    """Both sides end in an ellipsis, and the carets still stand under the word."""
    *_, source, carets = drawn(tmp_path, "x" * 5000 + " here " + "y" * 5000, 1, 5002, 4)
    assert len(source) <= LINE + 10
    assert source.endswith("…")
    assert source[carets.index("^") :][:4] == "here"


def test_carets_end_where_the_excerpt_does(tmp_path: Path) -> None:
    """A number of 5000 digits has no 5000 carets."""
    *_, source, carets = drawn(tmp_path, "seed: " + "1" * 5000, 1, 7, 5000)
    assert len(carets) <= len(source)


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
def test_lines_break_where_yaml_breaks_them(tmp_path: Path, break_: str) -> None:
    """Not at a form feed or a line separator."""
    *_, source, _ = drawn(tmp_path, f"a: 1{break_}b: x\u2028\fy{break_}c: 3", 3, 1, 1)
    assert source == "3 │ c: 3"


@pytest.mark.parametrize("evil", ["\x1b[31m", "\x07", "\u202e", "\x9b"])
def test_nothing_that_steers_a_terminal_is_printed(tmp_path: Path, evil: str) -> None:
    """Neither from the file nor from a message, a help or a path."""
    file = tmp_path / "spec.yaml"
    file.write_text(f"a: {evil}x\n", encoding="utf-8")
    place = Place(str(file), 1, 4, 2)
    problem = Problem("code", f"found '{evil}'", place, f"write {evil}", ((Place(f"no{evil}", 1, 1), "here"),))
    assert evil not in render(problem)


def test_a_file_that_is_gone_leaves_the_place(tmp_path: Path) -> None:
    """Without an excerpt."""
    assert render(Problem("code", "message", Place("gone.yaml", 3, 7))) == "error[code]: message\n  ┌─ gone.yaml:3:7"


def test_the_command_line_is_its_own_excerpt() -> None:
    """With the carets under the value."""
    text = "--set seed=fast"
    *_, source, carets = render(Problem("code", "message", Place(text, 1, 12, 4))).splitlines()
    assert source == f"1 │ {text}"
    assert carets.index("^") == source.index("fast")
