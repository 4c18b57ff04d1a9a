"""The callback `histograms`: draws the distribution of weights and gradients, every so many epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pydantic import Field

from annpipe import Look, OptionError, RunView, callback
from annpipe_std.callbacks.interval import Interval
from annpipe_std.plots.style import PREDICTION, TRAIN, Doubles, message, panels, shown, styled

COLOURS = {"weights": TRAIN, "gradients": PREDICTION}
MOST_PANELS = 12

Of = Literal["weights", "gradients"]
Tensors = Mapping[str, torch.Tensor]


@callback(name="histograms")
class Histograms:
    """Draws how the values of each weight and each gradient are spread, every so many epochs.

    The figures are `looks/histograms/weights_epoch_<n>` and `gradients_epoch_<n>` among the run's artifacts. Gradients
    are those that the last step before took, clipped if the run clips them.
    """

    def __init__(
        self,
        every: Annotated[int, Field(gt=0, description="Draw each time so many epochs have passed.")],
        of: Annotated[list[Of] | None, Field(description="What to draw: weights, gradients; both if left out.")] = None,
        bins: Annotated[int, Field(ge=2, le=1000, description="Bars of a histogram, at most.")] = 60,
    ) -> None:
        if of == []:
            raise OptionError("of", "there is nothing to draw", help="name weights or gradients, or leave it out")
        self.of, self.bins = tuple(dict.fromkeys(of or ("weights", "gradients"))), bins
        self._every = Interval(every)

    def on_look(self, look: Look) -> None:
        """Draws where it is time, each figure under a name of its own."""
        if not self._every.is_due(look.epoch):
            return
        for what in self.of:
            tensors = look.parameters() if what == "weights" else look.gradients()
            figure = histograms(look.view(), f"{what} after epoch {look.epoch:,}", tensors, self.bins, COLOURS[what])
            look.artifact(f"histograms/{what}_epoch_{look.epoch}", figure)

    def state_dict(self) -> dict[str, int]:
        return {"last": self._every.last}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._every.last = state["last"]


@styled
def histograms(view: RunView, title: str, tensors: Tensors, bins: int, colour: str) -> Figure:
    """A panel for each tensor; of more than twelve, some of the matrices from the first to the last."""
    if not tensors:
        return message(view, title, "The model has none.")
    matrices = [name for name, tensor in tensors.items() if tensor.ndim > 1]
    names = matrices if len(tensors) > MOST_PANELS and matrices else list(tensors)
    indices = np.linspace(0, len(names) - 1, min(len(names), MOST_PANELS)).round().astype(int)
    few = f", {len(indices)} of {len(tensors)} tensors" if len(indices) < len(tensors) else ""
    figure, all_axes = panels(view, title + few, len(indices))
    for axes, index in zip(all_axes, indices, strict=True):
        _draw(axes, names[index], tensors[names[index]], bins, colour)
    return figure


def counted(values: Doubles, bins: int) -> tuple[Doubles, Doubles]:
    """How many values lie in each of equal parts of their range, and the edges of these: (parts,), (parts + 1,).

    Of few values there are fewer parts than `bins`, so that most have some.
    """
    counts, edges = np.histogram(values, bins=min(bins, max(5, math.ceil(2 * math.sqrt(len(values))))))
    return counts.astype(np.float64), edges


def _draw(axes: Axes, name: str, tensor: torch.Tensor, bins: int, colour: str) -> None:
    """The counts on a linear axis, with mean and spread as words."""
    values = tensor.double().flatten().numpy()
    finite = values[np.isfinite(values)]
    shape = " × ".join(map(str, tensor.shape)) or "1"
    axes.set_title(f"{shown(name)}, {shape}", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if lost := len(values) - len(finite):
        axes.set_xlabel(f"{lost:,} not finite", fontsize=8)
    if not len(finite):
        return
    counts, edges = counted(finite, bins)
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.8)
    if not lost:
        axes.set_xlabel(f"mean {finite.mean():.2g}, std {finite.std():.2g}", fontsize=8)
