"""The style of all figures: colours, fonts and sizes of matplotlib, whatever the user's own settings are.

The background is white and opaque, so that a figure reads the same on a light and on a dark page.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from annpipe.files.fonts import OWN, families_for, letters_beyond

INK, AXIS, FAINT = "#262626", "#8a8a8a", "#e4e4e4"
STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": AXIS,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": AXIS,
    "ytick.color": AXIS,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "font.size": 10,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "annpipe",  # the same figure gives the same file
}


@contextmanager
def figure_style(texts: Iterable[str] = ()) -> Iterator[None]:
    """Within it matplotlib draws in annpipe's style, with fonts of this machine that have the letters of `texts`.

    The settings are as before at its end. Warnings of letters without a font are left out: `write_figure` keeps such
    text as text.
    """
    import matplotlib

    families, _ = families_for(letters_beyond(texts))
    with matplotlib.rc_context(), without_glyph_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | {"font.family": [OWN, *families]})
        yield


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """matplotlib says nothing of letters that its fonts have not, nor that it has no bold boxes for them."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
