"""Writes figures to files: control characters in their texts are escaped, and every letter can be read.

A control character makes an SVG invalid XML, and a direction mark makes a text read differently from what it says. Both
are escaped also in tick labels, which are made only while the figure is drawn. Letters that matplotlib's own font lacks
are drawn in a font of this machine that has them. Where it has none, an SVG keeps its texts as text, which the viewer
draws in a font of its own, and a PNG or PDF says which letters its boxes stand for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from annpipe.errors import visible
from annpipe.files.figure_style import without_glyph_warnings
from annpipe.files.fonts import families_for, letters_beyond


def write_figure(figure: Any, file: Path | BinaryIO, **options: Any) -> None:
    """Writes a matplotlib figure to a file; `options` are those of `savefig`."""
    import matplotlib

    with without_glyph_warnings(), matplotlib.rc_context():
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                _escape_ticks(axis)
        texts = list(_texts(figure))
        for text in texts:
            if not text.get_text().isprintable():
                text.set_text(visible(text.get_text()))
        if missing := _choose_fonts(texts):
            suffix = file.suffix.removeprefix(".") if isinstance(file, Path) else ""
            if options.get("format", suffix) == "svg":
                _keep_text(texts)
            else:
                _say_missing(figure, missing)
                options |= {"bbox_inches": "tight"}
        figure.savefig(file, **options)


def _texts(figure: Any) -> Iterator[Any]:
    """Every text of the figure, tick labels made where they are not yet."""
    from matplotlib.text import Text

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels(which="both")
    yield from figure.findobj(Text)


def _choose_fonts(texts: Sequence[Any]) -> frozenset[str]:
    """Gives each text fonts that have its letters; the letters for which this machine has none."""
    lacking: set[str] = set()
    for text in texts:
        families, missing = families_for(letters_beyond([text.get_text()]))
        text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *families])))
        lacking |= missing
    return frozenset(lacking)


def _keep_text(texts: Sequence[Any]) -> None:
    """Has an SVG hold its texts as text, in the same font where the viewer has it, else in one without serifs."""
    import matplotlib

    matplotlib.rcParams["svg.fonttype"] = "none"
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), "sans-serif"])


def _say_missing(figure: Any, missing: frozenset[str]) -> None:
    """A line below the figure, which is saved as large as that takes: legends stay where they are in it."""
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, 1), transform=figure.transFigure)
    scripts = sorted({unicodedata.name(letter, "unknown").split()[0].capitalize() for letter in missing})
    words = ", ".join(scripts[:4]) + (", …" if len(scripts) > 4 else "")
    note = f"Boxes stand for letters ({words}) of which this machine has no font: install one, or write an SVG."
    figure.text(0.012, -0.01, note, ha="left", va="top", fontsize=7)


def _escape_ticks(axis: Any) -> None:
    """Escapes tick labels, which the formatter of an axis makes each time the axis is drawn."""
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

    formatter = axis.get_major_formatter()
    if not isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
        return  # it writes numbers

    class Escaped(Formatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return visible(formatter(x, pos))

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return [visible(words) for words in formatter.format_ticks(values)]

        def set_locs(self, locs: Any) -> None:
            formatter.set_locs(locs)

        def get_offset(self) -> str:
            return str(formatter.get_offset())

    axis.set_major_formatter(Escaped())
