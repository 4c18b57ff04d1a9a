"""The common style of a sweep's figures: title, fonts, and a colour for each role."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from annpipe.errors import one_line, shortened
from annpipe.files.figure_style import INK, figure_style
from annpipe.spec.sections.axes import in_words
from annpipe.sweep.results.table import SweepResult, names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
TRIAL, MEAN, BEST, LOST = COLOURS[0], INK, COLOURS[1], "#8a8a8a"
MOST_LETTERS = 24


@contextmanager
def styled(swept: SweepResult) -> Iterator[None]:
    """Draws and saves in the style of all figures, with fonts that have the letters of the sweep's names and values."""
    values = (in_words(value) for result in swept.results for value in result.values.values())
    with figure_style([swept.name, swept.goal.metric, *(axis.path for axis in swept.axes), *values]):
        yield


def titled(swept: SweepResult, title: str, width: float, height: float) -> Figure:
    """A figure of so many inches with the sweep's name and a title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(f"{short(swept.name, 40)} · {text(title)}", x=0.012, ha="left")
    return figure


def text(words: str) -> str:
    """Words as they are, on one line, and never read as a formula of TeX."""
    return one_line(words).replace("$", r"\$")


def short(value: Any, most: int = MOST_LETTERS) -> str:
    """A value as a label, in no more letters than fit."""
    return text(shortened(one_line(in_words(value)), most))


def values_label(swept: SweepResult, values: Mapping[str, Any], most: int) -> str:
    """What makes a group or a trial differ from the others, `lr 0.001, model.1 ReLU`; empty where nothing does."""
    names = names_of(axis.path for axis in swept.axes)
    parts = [f"{text(names[path])} {short(value)}" for path, value in values.items()]
    return textwrap.shorten(", ".join(parts), most, placeholder=" …")


def path_label(path: str) -> str:
    """A path of the spec in two lines, as a heading: what it belongs to, and its own name."""
    head, _, last = path.rpartition(".")
    if last.isdecimal() or not head:
        return text(path)
    return f"{short(head)}\n{short(last)}"


def plain_logarithms(axis: Axis, low: float, high: float) -> None:
    """Ticks of a logarithmic axis from `low` to `high` as plain numbers, some between powers of ten where few are."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,), numticks=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_below(figure: Figure, panel: Axes, columns: int) -> None:
    """The panel's legend below the panels, where it hides nothing."""
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=max(1, columns))
