"""Makes the texts of a figure fit: short numbers at ticks, fewer or slanted ones where they would meet, cut titles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from annpipe.errors import shortened, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

SLANTS = 35.0, 90.0
UPRIGHT = SLANTS[-1]
MOST_ATTEMPTS = 8
MOST_SLANTED = 24
LEAST_LETTERS = 8
SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))
PLAIN_BELOW = 1e4


def fit_figure(figure: Figure) -> None:
    """Lays the figure out, and again as long as texts meet or leave their place; at its end the layout is fixed.

    Ticks from ten thousand on are written as `100K` or `2.5M`. Where labels of an axis meet, numbers get fewer and
    names are slanted, then every other one is left out. Titles and labels that are longer than their panel are cut.
    """
    from matplotlib.ticker import ScalarFormatter

    for axis in _axes(figure):
        if type(axis.get_major_formatter()) is ScalarFormatter and axis.get_scale() == "linear":
            axis.set_major_formatter(_short_numbers())
    for _ in range(MOST_ATTEMPTS):
        figure.draw_without_rendering()  # ticks are made when a figure is first drawn, with the settings of then
        changed = [_cut_titles(figure), *(_spread_ticks(axis) for axis in _axes(figure))]
        if not any(changed):
            break
    else:
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # saving would draw it once more to lay it out again


def _short_numbers() -> Any:
    from matplotlib.ticker import ScalarFormatter

    class ShortNumbers(ScalarFormatter):
        """Numbers as `100K`, or matplotlib's own words with an offset beside the axis where these would be alike."""

        def format_ticks(self, values: Any) -> list[str]:
            numbers = [float(value) for value in values]
            largest = max(map(abs, numbers), default=0.0)
            unit, suffix = next(((unit, suffix) for unit, suffix in SUFFIXES if largest >= unit), (1.0, ""))
            short = [
                f"{number / unit:.4g}{suffix if number else ''}".replace("-", "\N{MINUS SIGN}") for number in numbers
            ]
            if PLAIN_BELOW <= largest < 1e15 and len(set(short)) == len(set(numbers)):
                self.set_locs([])  # without an offset
                return short
            words: list[str] = super().format_ticks(values)
            return words

    return ShortNumbers(useMathText=True)


def _axes(figure: Figure) -> Iterator[Axis]:
    for axes in figure.axes:
        if axes.axison:
            yield from (axes.xaxis, axes.yaxis)


def _cut_titles(figure: Figure) -> bool:
    """Shortens titles and labels that are longer than their panel; whether there were some."""
    from matplotlib.text import Text

    changed = [_cut(text, figure.bbox.width * 0.97, is_upright=False) for text in figure.texts]
    for axes in figure.axes:
        room, height = _room(axes, figure), axes.get_window_extent().height
        titles = [child for child in axes.get_children() if isinstance(child, Text) and child not in axes.texts]
        changed += [_cut(title, room, is_upright=False) for title in titles]
        if axes.axison:
            changed.append(_cut(axes.xaxis.label, room, is_upright=False))
            changed.append(_cut(axes.yaxis.label, height, is_upright=True))
    return any(changed)


def _room(axes: Axes, figure: Figure) -> float:
    """From the panel's left side to that of the next panel in its row, or to the edge of the figure."""
    box = axes.get_window_extent()
    others = [other.get_window_extent() for other in figure.axes if other is not axes]
    beside = [other.x0 for other in others if other.x0 >= box.x1 - 1 and other.y0 < box.y1 and other.y1 > box.y0]
    return float(min([*beside, figure.bbox.width]) - box.x0 - 8)


def _cut(text: Text, room: float, *, is_upright: bool) -> bool:
    """Shortens the lines of a text that take more than so many pixels."""
    words = text.get_text()
    box = text.get_window_extent()
    length = box.height if is_upright else box.width
    if not words or length <= room + 1:
        return False
    lines = words.replace(r"\$", "$").split("\n")
    most = max(LEAST_LETTERS, int(max(map(text_width, lines)) * room / length) - 1)
    short = "\n".join(shortened(line, most) for line in lines).replace("$", r"\$")
    text.set_text(short)
    return short != words


def tick_labels(axis: Axis) -> list[Text]:
    """The labels that are drawn, in their order: matplotlib keeps ticks beyond the ends of an axis as well."""
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    ticks = [tick for tick in axis.get_major_ticks() if low - margin <= tick.get_loc() <= high + margin]
    return [tick.label1 for tick in ticks if tick.label1.get_text() and tick.label1.get_visible()]


def _spread_ticks(axis: Axis) -> bool:
    """Fewer numbers, slanted or fewer names, where the labels of an axis meet; whether anything was changed."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    labels = tick_labels(axis)
    if not labels_meet(labels):
        return False
    locator = axis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(nbins=max(1, len(labels) - 2), min_n_ticks=1)
        return True
    if not isinstance(locator, FixedLocator):
        return False
    angle = next((angle for angle in SLANTS if angle > labels[0].get_rotation()), None)
    if axis is axis.axes.xaxis and angle is not None and len(labels) <= MOST_SLANTED:
        _slant(axis, angle)
        return True
    words = [label.get_text() for label in axis.get_ticklabels()]
    axis.set_ticks(list(axis.get_majorticklocs())[::2], words[::2])
    if axis is axis.axes.xaxis and labels[0].get_rotation():
        _slant(axis, labels[0].get_rotation())
    return True


def _slant(axis: Axis, angle: float) -> None:
    for label in axis.get_ticklabels():
        label.set(rotation=angle, ha="right", va="top" if angle < UPRIGHT else "center", rotation_mode="anchor")


def labels_meet(labels: Sequence[Text]) -> bool:
    """Whether labels of one axis lie on one another; slanted ones may lie side by side, a line apart."""
    for label, following in itertools.pairwise(labels):
        box, next_box = label.get_window_extent(), following.get_window_extent()
        angle = math.radians(label.get_rotation() % 180)
        if angle:
            if abs(next_box.x1 - box.x1) * math.sin(angle) < line_height(label):
                return True
        elif box.padded(1.0).overlaps(next_box):
            return True
    return False


def line_height(label: Text) -> float:
    """How high the lines of a text are together, in pixels."""
    figure = label.figure
    assert figure is not None
    lines = label.get_text().count("\n") + 1
    return float(label.get_fontsize()) * figure.dpi / 72 * 1.2 * lines
