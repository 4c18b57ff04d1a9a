"""The width of texts on a terminal, and texts cut to a width."""

from __future__ import annotations

import pytest

from annpipe.errors import shortened, text_width


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("abc", 3), ("한글", 4), ("e\u0301", 1), ("ｆｕｌｌ", 8), ("é", 1)]
)
def test_the_width_is_that_of_a_terminal(text: str, width: int) -> None:
    assert text_width(text) == width


@pytest.mark.parametrize("text", ["a" * 50, "한" * 50, "한a" * 30, "mean_radius_of_the_left_and_the_right"])
@pytest.mark.parametrize("most", [1, 2, 5, 9, 10, 24, 40])
def test_a_shortened_text_fits_and_says_so(text: str, most: int) -> None:
    short = shortened(text, most)
    assert text_width(short) <= most
    assert short == text if text_width(text) <= most else "…" in short


def test_names_that_begin_alike_stay_apart() -> None:
    names = [f"mean_radius_of_the_{side}" for side in ("left", "right")]
    assert [shortened(name, 16) for name in names] == ["mean_radi…e_left", "mean_radi…_right"]
