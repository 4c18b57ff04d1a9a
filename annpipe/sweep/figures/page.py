"""The common style of a sweep's figures: title, fonts, and a colour for each role."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from annpipe.errors import one_line
from annpipe.spec.sections.axes import in_words
from annpipe.sweep.results.table import SweepResult, names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
TRIAL, MEAN, BEST, LOST, INK, FAINT = COLOURS[0], "#262626", COLOURS[1], "#8a8a8a", "#262626", "#e4e4e4"
MOST_LETTERS = 24

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "axes.edgecolor": "#8a8a8a",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": "#8a8a8a",
    "ytick.color": "#8a8a8a",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "font.size": 9.5,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "annpipe",  # the same sweep gives the same file
}


@contextmanager
def styled() -> Iterator[None]:
    """Draws and saves with this style alone, whatever the user's matplotlibrc says, and leaves that as it was."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # letters that the font has not are drawn as boxes
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def titled(swept: SweepResult, title: str, width: float, height: float) -> Figure:
    """A figure of so many inches with the sweep's name and a title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(f"{short(swept.name, 40)} · {text(title)}", x=0.012, ha="left")
    return figure


def laid_out(figure: Figure) -> Figure:
    """The figure with everything in its place for an SVG; saving it would draw it a first time just for that."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine(None)  # matplotlib's default, which is none
    return figure


def text(words: str) -> str:
    """Words as they are, on one line, and never read as a formula of TeX."""
    return one_line(words).replace("$", r"\$")


def short(value: Any, most: int = MOST_LETTERS) -> str:
    """A value as a label, in no more letters than fit."""
    words = in_words(value)
    return text(words if len(words) <= most else f"{words[: most - 1]}…")


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
