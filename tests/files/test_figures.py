"""Texts of a figure have no character that an SVG may not have, or that would reorder them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure

from annpipe.files.figures import write_figure


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_title("red\x1b[31m")
    axes.bar(["a\u202eb", "c"], [1, 2])
    axes.set_yticks([0, 1], ["zero\x00", "one"])
    write_figure(figure, tmp_path / "figure.svg", metadata={"Date": None})
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u001b[31m" in text


def test_a_tick_may_have_two_lines(tmp_path: Path) -> None:
    """A line break is no control character."""
    figure = Figure()
    figure.subplots().set_xticks([0, 1], ["above\nbelow", "b"])
    write_figure(figure, tmp_path / "figure.svg")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["above\nbelow", "b"]
