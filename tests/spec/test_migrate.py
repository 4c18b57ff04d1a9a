"""`migrated`: names are replaced in the text of a spec, and nothing else."""

from __future__ import annotations

import pytest

from annpipe.errors import Place, Problem
from annpipe.spec.migrate import migrated


def problem(line: int, column: int, length: int, old: str, new: str) -> Problem:
    return Problem("renamed", "", Place("s.yaml", line, column, length), fix=(old, new))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_and_layout_stay(end: str) -> None:
    """Byte for byte, line ends too; two on a line are replaced as well."""
    lines = ["# fail: is a word here, too", "a:   {fail:  1,   b: [fail]}  # fail", "", "fail : 2"]
    problems = [problem(2, 7, 4, "fail", "on_failure"), problem(4, 1, 4, "fail", "on_failure")]
    result = migrated(end.join(lines), "s.yaml", problems)
    lines[1:] = ["a:   {on_failure:  1,   b: [fail]}  # fail", "", "on_failure : 2"]
    assert result.text == end.join(lines)
    assert (set(result.changed), result.by_hand) == (set(problems), ())


@pytest.mark.parametrize(
    ("text", "length", "new"),
    [
        ('"fail": 1', 6, '"on_failure": 1'),
        ("'fail': 1", 6, "'on_failure': 1"),
        ("sweep.fail: 1", 10, "sweep.on_failure: 1"),
        ("fail_.fail: 1", 11, "fail_.on_failure: 1"),
    ],
)
def test_quotes_and_paths_stay_around_the_name(text: str, length: int, new: str) -> None:
    """As in the paths that a sweep goes over."""
    assert migrated(text, "s.yaml", [problem(1, 1, length, "fail", "on_failure")]).text == new


@pytest.mark.parametrize(
    "text",
    [
        '"f\\x61il": 1',  # written with an escape
        "fail.fail: 1",  # which of the two it is cannot be known
        "fail: 1\non_failure: 2",  # a key would stand twice
    ],
)
def test_what_is_in_doubt_is_left_to_the_user(text: str) -> None:
    """And the text is as it was."""
    found = problem(1, 1, len(text.partition(":")[0]), "fail", "on_failure")
    result = migrated(text, "s.yaml", [found])
    assert (result.text, result.changed, result.by_hand) == (text, (), (found,))
