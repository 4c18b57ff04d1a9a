"""What all figures of a sweep have in common: labels that fit and are no formulas, the style, plain ticks."""

from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from annpipe.sweep.figures.page import (
    legend_below,
    path_label,
    plain_logarithms,
    short,
    styled,
    text,
    titled,
    values_label,
)
from tests.sweep.figures.swept import GRID, LAYER, LR, loss, sweep


@pytest.mark.parametrize(
    ("words", "shown"),
    [("a_b^2", "a_b^2"), ("$x$ and $y$", r"\$x\$ and \$y\$"), ("two\nlines", r"two\nlines")],
)
def test_text_is_shown_as_it_is_written(words: str, shown: str) -> None:
    """No formula between dollar signs, and no second line."""
    assert text(words) == shown


@pytest.mark.parametrize(
    ("value", "most", "shown"),
    [
        ("ReLU", 4, "ReLU"),
        ("LeakyReLU", 6, "Leaky…"),
        (0.1 + 0.2, 24, "0.3"),
        ({"Adam": {"lr": 0.1}}, 24, "Adam lr 0.1"),
        ([1, None, True], 24, "[1, null, true]"),
        ("$" * 3, 3, r"\$\$\$"),
    ],
)
def test_a_value_is_shortened_to_what_fits(value: object, most: int, shown: str) -> None:
    """Counted in letters that are seen: the signs that keep it from being a formula come after."""
    assert short(value, most) == shown


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("seed", "seed"),
        ("optimizer.Adam.lr", "optimizer.Adam\nlr"),
        ("model.1", "model.1"),
        (f"{'a' * 40}.lr", f"{'a' * 14}…{'a' * 9}\nlr"),
    ],
)
def test_a_path_is_a_heading_of_two_lines(path: str, label: str) -> None:
    """What it belongs to above; a position stays with its list."""
    assert path_label(path) == label


def test_values_are_named_by_their_short_paths() -> None:
    """As many as fit, cut between words."""
    swept = sweep(GRID, loss)
    assert values_label(swept, {LR: 0.001, LAYER: "ReLU"}, 80) == "lr 0.001, model.1 ReLU"
    assert values_label(swept, {LR: 0.001, LAYER: "ReLU"}, 20) == "lr 0.001, model.1 …"
    assert values_label(swept, {}, 80) == ""


def test_paths_of_the_same_name_are_written_in_full() -> None:
    """So that a label says which of the two it is."""
    swept = sweep({"optimizer.Adam.lr": [1], "optimizer.groups.0.lr": [2]}, lambda values: 1.0)
    assert values_label(swept, {"optimizer.Adam.lr": 1}, 80) == "optimizer.Adam.lr 1"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.1, 10, ["0.1", "0.2", "0.5", "1", "2", "5", "10"]), (1e-4, 1, ["0.0001", "0.001", "0.01", "0.1", "1"])],
)
def test_logarithmic_ticks_are_plain_numbers(low: float, high: float, ticks: list[str]) -> None:
    """Some between the powers of ten where these are few."""
    panel = Figure().subplots()
    panel.set_yscale("log")
    panel.set_ylim(low, high)
    plain_logarithms(panel.yaxis, low, high)
    labels = dict(zip(panel.get_yticks(), [label.get_text() for label in panel.get_yticklabels()], strict=True))
    assert [label for value, label in labels.items() if low * 0.999 <= value <= high * 1.001] == ticks
    assert not any(label.get_text() for label in panel.get_yticklabels(minor=True))


def test_the_style_ends_with_its_block() -> None:
    """And does not depend on what the user has set."""
    with mpl.rc_context({"axes.grid": False, "lines.linewidth": 7.0, "font.size": 3.0}):
        with styled(sweep(GRID, loss)):
            inside = [mpl.rcParams[name] for name in ("axes.grid", "lines.linewidth", "font.size")]
        after = [mpl.rcParams[name] for name in ("axes.grid", "lines.linewidth", "font.size")]
    assert inside == [True, 1.8, 10.0]
    assert after == [False, 7.0, 3.0]


def test_a_figure_is_called_by_the_sweep_and_its_title() -> None:
    """In the size asked for, in inches."""
    figure = titled(sweep({LR: [1]}, lambda values: 1.0), "loss of $x$", 5.0, 3.0)
    assert figure.get_suptitle() == r"small · loss of \$x\$"
    assert figure.get_size_inches().tolist() == [5.0, 3.0]


def test_a_legend_stands_below_where_something_has_a_label() -> None:
    """Each label once."""
    figure = Figure()
    panel = figure.subplots()
    legend_below(figure, panel, 2)
    assert figure.legends == []
    panel.plot([0, 1], [0, 1], label="trial")
    legend_below(figure, panel, 0)
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["trial"]
