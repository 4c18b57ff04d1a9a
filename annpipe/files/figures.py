"""A figure becomes a file: what it shows is text, whatever columns, classes and runs are called.

A control character makes an SVG that is no XML any more, and a mark of direction one that reads differently from what
it says. Both are escaped in all that a figure writes, also in what it writes beside axes only while it is drawn.
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
    """Words beside an axis come from its formatter each time that it is drawn."""
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

    found = axis.get_major_formatter()
    if not isinstance(found, FixedFormatter | FuncFormatter | StrCategoryFormatter):
        return  # it writes numbers

    class Escaped(Formatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return one_line(found(x, pos))

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return [one_line(words) for words in found.format_ticks(values)]

        def set_locs(self, locs: Any) -> None:
            found.set_locs(locs)

        def get_offset(self) -> str:
            return str(found.get_offset())

    axis.set_major_formatter(Escaped())
