"""Writes figures to files, with control characters escaped in every text that they show.

A control character makes an SVG invalid XML, and a direction mark makes a text read differently from what it says. Both
are escaped also in tick labels, which are made only while the figure is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from annpipe.errors import one_line, visible


def write_figure(figure: Any, file: Path | BinaryIO, **options: Any) -> None:
    """Writes a matplotlib figure to a file; `options` are those of `savefig`."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        words = text.get_text()
        if not words.isprintable():
            text.set_text(visible(words))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _escape_ticks(axis)
    figure.savefig(file, **options)


def _escape_ticks(axis: Any) -> None:
    """Escapes tick labels, which the formatter of an axis makes each time the axis is drawn."""
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

    formatter = axis.get_major_formatter()
    if not isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
        return  # it writes numbers

    class Escaped(Formatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return one_line(formatter(x, pos))

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return [one_line(words) for words in formatter.format_ticks(values)]

        def set_locs(self, locs: Any) -> None:
            formatter.set_locs(locs)

        def get_offset(self) -> str:
            return str(formatter.get_offset())

    axis.set_major_formatter(Escaped())
