"""The figure `learning_curve`: the losses over the epochs on a log axis, with the best epoch marked."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from annpipe import RunView, plot
from annpipe_std.plots.style import INK, TRAIN, VAL, Doubles, legend, message, panels, shown, styled

TITLE = "learning curve"
CURVES = {"train/loss": TRAIN, "val/loss": VAL}
MAX_BUCKETS = 700
SMOOTHED_FROM = 200
"""Values from which on the noise hides the course, so that a median is drawn over it."""


@plot(of_rows=False)
@styled
def learning_curve(view: RunView) -> Figure:
    """The training and validation loss of each epoch, on a log axis where every loss is above zero."""
    curves = {key: _finite(*view.history[key]) for key in CURVES if view.history.get(key, ([], []))[0]}
    drawn = {key: (epochs, losses) for key, (epochs, losses, _) in curves.items() if len(losses)}
    if not drawn:
        text = "Every loss was nan or infinite." if curves else "No loss has been measured yet."
        return message(view, TITLE, text)
    figure, (axes,) = panels(view, TITLE)
    for key, (epochs, losses) in drawn.items():
        _draw(axes, key, epochs, losses, CURVES[key])
    _mark_best(axes, *next(reversed(drawn.items())))
    if lost := sum(n for _, _, n in curves.values()):
        axes.plot([], [], linestyle="", label=f"not finite: {lost:,} value{'s' * (lost != 1)}, left out")
    _scale(axes, np.concatenate([losses for _, losses in drawn.values()]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"loss ({shown(view.loss)})" if view.loss else "loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    legend(axes)
    return figure


def _finite(epochs: list[int], losses: list[float]) -> tuple[Doubles, Doubles, int]:
    """The points that can be drawn, and how many cannot."""
    x, y = np.asarray(epochs, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    good = np.isfinite(y)
    return x[good], y[good], int((~good).sum())


def _draw(axes: Axes, key: str, epochs: Doubles, losses: Doubles, colour: str) -> None:
    width = 1.8 if key == "train/loss" else 1.3
    if len(losses) < SMOOTHED_FROM:
        axes.plot(epochs, losses, color=colour, linewidth=width, label=key, marker="o" if len(losses) < 3 else "")
        return
    axes.plot(*_thinned(epochs, losses), color=colour, alpha=0.3, linewidth=0.8)
    window = len(losses) // 30 | 1
    indices = np.linspace(0, len(losses) - 1, min(len(losses), MAX_BUCKETS)).round().astype(int)
    smooth = [np.median(losses[max(0, middle - window // 2) : middle + window // 2 + 1]) for middle in indices]
    axes.plot(epochs[indices], smooth, color=colour, linewidth=width, label=f"{key}, median of {window:,} values")


def _thinned(epochs: Doubles, losses: Doubles) -> tuple[Doubles, Doubles]:
    """The lowest and the highest of each of MAX_BUCKETS stretches, so that no spike is lost."""
    if len(losses) <= 2 * MAX_BUCKETS:
        return epochs, losses
    edges = np.linspace(0, len(losses), MAX_BUCKETS + 1).astype(int)
    kept = {0, len(losses) - 1}
    for start, end in itertools.pairwise(edges):
        kept |= {start + int(losses[start:end].argmin()), start + int(losses[start:end].argmax())}
    indices = np.array(sorted(kept))
    return epochs[indices], losses[indices]


def _mark_best(axes: Axes, key: str, curve: tuple[Doubles, Doubles]) -> None:
    epochs, losses = curve
    best = int(losses.argmin())
    label = f"best {key}: {losses[best]:.4g} at epoch {epochs[best]:,.0f}"
    axes.plot(epochs[best], losses[best], "o", color=CURVES[key], markersize=8, mec=INK, mew=1.0, zorder=5, label=label)


def _scale(axes: Axes, losses: Doubles) -> None:
    """Log where every loss is above zero, log down to the smallest where some are zero, linear otherwise."""
    low, high = float(losses.min()), float(losses.max())
    if low > 0 and high / low > 1.5:
        axes.set_yscale("log")
        if high / low < 1e3:
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low > 5 else "all"))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
    elif low == 0 < high:
        axes.set_yscale("symlog", linthresh=float(losses[losses > 0].min()))
