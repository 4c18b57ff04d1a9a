"""The figure `columns`: the distribution of each column in each split, and its number of missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from annpipe import RunView, plot
from annpipe_std.plots.rows import is_discrete, rows_label, sample, splits
from annpipe_std.plots.style import SHORT, Doubles, legend_below, message, panels, shown, span, split_colour, styled

TITLE = "columns"
MAX_COLUMNS = 12
MAX_BARS = 12
MAX_BINS = 30
MAX_VALUES = 200_000
MAX_GRID = 1e6
LONGEST_TITLE = 26
UNSEEN = "not in train"


@dataclass(frozen=True)
class Values:
    """One column: of each split the values that are there and its label, how many are missing, what they stand for."""

    name: str
    parts: Mapping[str, Doubles]
    labels: Mapping[str, str]
    missing: int
    rows: int
    words: tuple[str, ...] = ()
    is_class: bool = False

    @property
    def whole(self) -> Doubles:
        """The values of all splits."""
        return np.concatenate(list(self.parts.values()))


@plot
@styled
def columns(view: RunView) -> Figure:
    """Each column by split: histograms of numbers, bars of categories and classes, and how many values are missing.

    Targets come first; of more than twelve columns the first twelve are drawn.
    """
    if not splits(view):
        return message(view, TITLE, "There are no rows.")
    names = [*view.train.targets, *view.train.inputs]
    drawn = names[:MAX_COLUMNS]
    title = TITLE if len(drawn) == len(names) else f"{len(drawn)} of {len(names)} columns"
    figure, all_axes = panels(view, title, len(drawn))
    for axes, name in zip(all_axes, drawn, strict=True):
        _draw(axes, _values(name, view))
    legend_below(figure, all_axes)
    return figure


def _values(name: str, view: RunView) -> Values:
    tensors = {part: {**rows.inputs, **rows.targets}[name] for part, rows in splits(view).items()}
    target = view.train.targets.get(name)
    is_class = target is not None and target.ndim == 1 and not target.is_floating_point()
    flat = {part: tensor.detach().cpu().double().flatten().numpy() for part, tensor in tensors.items()}
    few = {part: values[sample(len(values), MAX_VALUES)] for part, values in flat.items()}
    there = {part: values[np.isfinite(values)] for part, values in few.items()}
    missing = sum(int(np.isnan(values).sum()) for values in flat.values())
    words = view.train.categories.get(name, ())
    labels = {part: rows_label(part, rows.rows, rows.rows) for part, rows in splits(view).items()}
    return Values(name, there, labels, missing, sum(map(len, flat.values())), words, is_class)


def _draw(axes: Axes, column: Values) -> None:
    lost = f"\n{column.missing:,} missing ({column.missing / column.rows:.1%})" if column.missing else ""
    axes.set_title(shown(column.name, LONGEST_TITLE) + lost)
    if not len(column.whole):
        axes.text(0.5, 0.5, "every value is missing", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
    elif column.words or column.is_class or is_discrete(column.whole):
        _bars(axes, column)
    else:
        _histogram(axes, column)


def _bars(axes: Axes, column: Values) -> None:
    """The share of each value in each split, the most frequent of many; they stand in the order of their numbers."""
    values, counts = np.unique(column.whole, return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_BARS])
    labels = [_word(value, column.words) for value in values[kept]]
    height = 0.8 / len(column.parts)
    for number, (part, part_values) in enumerate(column.parts.items()):
        shares = [float((part_values == value).mean()) if len(part_values) else 0.0 for value in values[kept]]
        at = np.arange(len(kept)) + (number - (len(column.parts) - 1) / 2) * height
        axes.barh(at, shares, height, color=split_colour(part), label=column.labels[part])
    others = len(values) - len(kept)
    axes.set_yticks(range(len(kept)), labels)
    axes.set_ylabel("" if not others else f"the most frequent; {others:,} more", fontsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(_percent)
    axes.set_xlabel("rows of the split", fontsize=8)


def _percent(fraction: float, position: object) -> str:
    """`2.5%` or `10%`, with no more digits than it takes."""
    return f"{100 * fraction:.3g}%"


def _word(value: float, words: Sequence[str]) -> str:
    if not words:
        return f"{value:g}"
    return shown(words[int(value)], SHORT) if 0 <= value < len(words) else UNSEEN


def _histogram(axes: Axes, column: Values) -> None:
    """The share of each split in bins that all splits have in common."""
    edges = bin_edges(column.whole)
    first = next(iter(column.parts), "")
    for part, part_values in column.parts.items():
        shares = np.histogram(part_values, edges)[0] / max(len(part_values), 1)
        colour = split_colour(part)
        if part == first:
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=column.labels[part])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(_percent)
    axes.set_ylabel("rows of the split", fontsize=8)
    axes.set_xlabel("value", fontsize=8)


def bin_edges(values: Doubles) -> Doubles:
    """The edges of at most MAX_BINS equal bins, (bins + 1,); of values on a grid, as whole numbers are, between these.

    A bin then holds as many of the grid's points as each other one, so that no bin is empty or twice as high by
    chance of its edges.
    """
    wanted = min(MAX_BINS, max(5, round(len(values) ** 0.5)))
    low, high = span(values)
    step = _grid_step(values)
    if step is None:
        return np.linspace(low, high, wanted + 1)
    points = round((high - low) / step) + 1
    width = max(1, -(-points // wanted)) if points > MAX_BINS else 1
    return low - step / 2 + step * width * np.arange(-(-points // width) + 1, dtype=np.float64)


def _grid_step(values: Doubles) -> float | None:
    """The distance of values that all lie at equal distances, some left out; None where they lie anywhere."""
    different = np.unique(values)
    if len(different) < 2:
        return None
    distances = np.diff(different)
    step = float(distances.min())
    times = distances / step
    is_grid = bool((np.abs(times - times.round()) < 1e-6 * times).all()) and times.sum() < MAX_GRID
    return step if is_grid else None
