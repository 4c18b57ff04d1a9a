"""What all figures have in common: one colour for each role, limits on points and panels, titles and legends.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; `annpipe.figure_style` has the
settings of matplotlib. The background is always white, on light and dark pages.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, Literal, ParamSpec

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from annpipe import RunView, figure_style, fit_figure, one_line, shortened

INK = "#262626"
TRAIN, VAL, TEST = "#0072B2", "#E69F00", "#CC79A7"
PREDICTION, TRUTH = "#D55E00", "#111111"
_SPLIT_COLOURS = {"train": TRAIN, "val": VAL, "test": TEST}
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
COLOUR_MAP = "cividis"

MAX_POINTS = 2000
"""Points in one figure; an SVG of so many stays under 500 kB."""
MAX_PANELS = 6
MAX_LETTERS, SHORT = 40, 16
"""The longest name as a title, and as a tick, in columns of a terminal: a wide letter counts two."""

Doubles = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

Options = ParamSpec("Options")


def split_colour(name: str) -> str:
    """The colour of a split's rows; that of test rows for those of a file."""
    return _SPLIT_COLOURS.get(name, TEST)


def styled(draw: Callable[Concatenate[RunView, Options], Figure]) -> Callable[Concatenate[RunView, Options], Figure]:
    """Draws with annpipe's style alone, whatever the user's matplotlibrc says, and leaves that as it was."""

    @functools.wraps(draw)
    def drawn(view: RunView, /, *options: Options.args, **named: Options.kwargs) -> Figure:
        with figure_style(_names(view)):
            figure = draw(view, *options, **named)
            fit_figure(figure)
            return figure

    return drawn


def _names(view: RunView) -> Iterator[str]:
    """Every text that comes from the run: a font with its letters is needed."""
    yield view.name
    for split in (view.train, view.val, view.test):
        if split is not None:
            yield from (*split.inputs, *split.targets)
            for words in split.categories.values():
                yield from words


def panels(view: RunView, title: str, count: int = 1) -> tuple[Figure, list[Axes]]:
    """A titled figure with up to twelve panels, `count`, at most four in a row; 6.4 by 4 inches when there is one."""
    columns = count if count <= 3 else min(4, math.ceil(count / 2))
    rows = math.ceil(count / columns)
    width, height = {1: 6.4, 2: 9.0, 3: 11.0, 4: 12.0}[columns], {1: 4.0, 2: 6.4, 3: 8.4}[rows]
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes: list[Axes] = [grid[index // columns, index % columns] for index in range(count)]
    for index in range(count, rows * columns):
        grid[index // columns, index % columns].set_axis_off()
    figure.suptitle(titled(view, title), x=0.012, ha="left")
    return figure, axes


def panels_over_strips(view: RunView, title: str, count: int = 1) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """A titled figure with `count` panels, each over a low strip with the same x axis."""
    columns = count if count <= 3 else math.ceil(count / 2)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=({1: 6.4, 2: 9.0, 3: 11.0}[columns], {1: 4.8, 2: 8.0}[rows]), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1] * rows)
    pairs = [(grid[2 * row, column], grid[2 * row + 1, column]) for row in range(rows) for column in range(columns)]
    for pair in pairs[count:]:
        for axes in pair:
            axes.set_axis_off()
    figure.suptitle(titled(view, title), x=0.012, ha="left")
    return figure, pairs[:count]


def titled(view: RunView, title: str) -> str:
    """The title of a figure, with the run's name."""
    return f"{shown(view.name)} · {title}" if view.name else title


def message(view: RunView, title: str, text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure, (axes,) = panels(view, title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=axes.transAxes)
    return figure


def shown(name: str, most: int = MAX_LETTERS) -> str:
    """A name as text: short enough for an axis, on one line, and never read as a formula of TeX."""
    return shortened(one_line(name), most).replace("$", r"\$")


def points(axes: Axes, x: Doubles, y: Doubles, **look: Any) -> None:
    """Points, the smaller and fainter the more there are."""
    size, alpha = (
        (8.0, 1.0) if len(x) <= 20 else (6.0, 0.9) if len(x) <= 50 else (4.0, 0.7) if len(x) <= 500 else (3.0, 0.5)
    )
    usual: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": size, "alpha": alpha, "mew": 0}
    axes.plot(x, y, **(usual | look))


def span(values: Doubles) -> tuple[float, float]:
    """Lowest and highest, held apart when they are the same."""
    low, high = float(values.min()), float(values.max())
    gap = abs(low) * 0.1 or 1.0
    return (low, high) if low < high else (low - gap, high + gap)


def legend(axes: Axes, location: Literal["best", "lower left", "lower right"] = "best") -> None:
    """A legend where it hides least, with points that are full and large whatever they are in the plot."""
    _full_marks(axes.legend(loc=location))


def legend_below(figure: Figure, all_axes: Sequence[Axes]) -> None:
    """One legend of all panels below them, where it hides nothing: for panels that are full of data."""
    entries: dict[str, Any] = {}
    for axes in all_axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        longest = max(map(len, entries))
        columns = max(1, min(len(entries), int(figure.get_figwidth() * 12 / (longest + 5))))
        _full_marks(figure.legend(list(entries.values()), list(entries), loc="outside lower left", ncols=columns))


def _full_marks(drawn: Legend) -> None:
    for handle in drawn.legend_handles:
        if isinstance(handle, Line2D):
            handle.set_alpha(1)
            handle.set_markersize(max(6.0, handle.get_markersize()))
