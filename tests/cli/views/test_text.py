"""Tables of text: columns are as wide as their widest cell."""

from __future__ import annotations

import pytest

from annpipe.cli.views.text import aligned, fitted, least_width, wrapped


def test_columns_are_aligned_left_or_right() -> None:
    """Without blanks at the end of a line."""
    rows = [("name", "count"), ("a", "1"), ("longer", "12")]
    assert aligned(rows) == ["name    count", "a       1", "longer  12"]
    assert aligned(rows, [False, True]) == ["name    count", "a           1", "longer     12"]


def test_a_remark_sets_no_width() -> None:
    """A row of a single cell is a line of its own."""
    assert aligned([("a", "b"), ("… and 3 more rows",)]) == ["a  b", "… and 3 more rows"]


def test_wide_letters_take_two_columns() -> None:
    """Korean headers and values are aligned with others."""
    assert aligned([("지역", "b"), ("abcd", "c")]) == ["지역  b", "abcd  c"]
    rows = [("이름", "n"), ("가나다", "1"), ("e\u0301", "2"), ("abcdefg", "3")]
    assert aligned(rows) == ["이름     n", "가나다   1", "e\u0301        2", "abcdefg  3"]
    assert aligned(rows, [True, False])[1] == " 가나다  1"


@pytest.mark.parametrize("width", [8, 12, 20, 60])
def test_words_stay_whole_where_they_fit(width: int) -> None:
    """Else a path breaks behind its marks, and only what is longer than a line between letters; numbers do not."""
    text = "lr 0.001, model.1.Linear.out_features -1.5e-05 지역코드지역코드"
    lines = wrapped(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert any("-1.5e-05" in line for line in lines)
    assert wrapped("a bc", 3) == ["a", "bc"]


@pytest.mark.parametrize("width", [20, 30, 45, 200])
def test_a_table_is_fitted_to_a_width(width: int) -> None:
    """Cells are wrapped first; columns that do not fit stand below, with the first column again."""
    rows = [["", *(f"the run number {n}" for n in range(6))], ["optimizer.Adam.lr", *("0.00123" for _ in range(6))]]
    lines = fitted(rows, width)
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines).count("0.00123") == 6
    assert (len(lines) == 2) == (width == 200)
    assert fitted(rows, None) == aligned(rows)


def test_a_column_that_is_whole_gives_way_last() -> None:
    """An id can be copied as long as there is room for it."""
    rows = [["RUN", "NAME"], ["my-run-1234", "a rather long name"]]
    assert fitted(rows, 22, whole=[0])[1].startswith("my-run-1234")
    assert least_width(rows, whole=[0]) == len("my-run-1234") + 2 + len("rather")
