"""The figures of a sweep's finished trials, each a file of its own.

    values       the metric against each swept value
    curves       the metric over the epochs
    parallel     every trial a line through all of its values to its metric
    importance   how much of the metric each parameter explains
    repeats      mean and 95 % interval over seeds and splits

`page` is the paper that all are drawn on, `scales` where a value stands on it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.files.figure_fit import fit_figure
from annpipe.files.private import private_folder
from annpipe.sweep.figures.curves import Curve, draw_curves
from annpipe.sweep.figures.importance import draw_importance
from annpipe.sweep.figures.page import styled
from annpipe.sweep.figures.parallel import draw_parallel
from annpipe.sweep.figures.repeats import draw_repeats
from annpipe.sweep.figures.values import draw_values
from annpipe.sweep.results.table import SweepResult
from annpipe.train.loop.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_figures"]


def draw_figures(swept: SweepResult, folder: Path, curves: Mapping[int, Curve]) -> list[Path]:
    """Draws into `folder` what there is to show of a sweep; gives the files, none where no trial has a finite value.

    `curves` has by trial the epochs and the metric's values at them. A figure with nothing to say is left out: curves
    of a single epoch, parallel coordinates and importance of a single parameter. One that cannot be drawn costs itself
    alone: a text file says what went wrong.
    """
    if swept.best is None:
        return []
    private_folder(folder)
    drawn: dict[str, Callable[[], Figure | None]] = {
        "values": lambda: draw_values(swept),
        "curves": lambda: draw_curves(swept, curves),
        "parallel": lambda: draw_parallel(swept),
        "importance": lambda: draw_importance(swept),
        "repeats": lambda: draw_repeats(swept),
    }
    paths = []
    with styled(swept):
        for name, draw in drawn.items():
            try:
                figure = draw()
                if figure is not None:
                    fit_figure(figure)
                    paths.append(save_figure(figure, folder, name))
            except Exception:  # recorded in the figure's place: hours of training do not end in a bug of a drawing
                paths.append(folder / f"{name}_failed.txt")
                paths[-1].write_text(traceback.format_exc(), encoding="utf-8", newline="\n")
    return paths
