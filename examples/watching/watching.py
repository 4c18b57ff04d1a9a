"""A metric, a callback and a plot of one's own. See spec.yaml beside this file."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from matplotlib.figure import Figure
from pydantic import Field

from annpipe import Look, OptionError, Outline, RunView, callback, metric, plot


@metric
class Within:
    """The share of predictions that are off by no more than a tolerance."""

    higher_is_better = True

    def __init__(
        self, tolerance: Annotated[float, Field(gt=0, description="In the units of the target.")] = 0.1
    ) -> None:
        self.tolerance = tolerance
        self._hits: torch.Tensor | None = None
        self._count = 0

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        hits = ((prediction - target).abs() <= self.tolerance).sum()
        self._hits = hits if self._hits is None else self._hits + hits
        self._count += target.numel()

    def compute(self) -> float:
        return math.nan if self._hits is None or not self._count else float(self._hits) / self._count


@callback
class GradientWatch:
    """Keeps a table of the gradient's norm at each look, and ends the run where it has become small."""

    def __init__(
        self, least: Annotated[float, Field(ge=0, description="A norm below which nothing more is learnt.")] = 0.0
    ) -> None:
        self.least = least
        self._norms: list[list[float]] = []

    def on_look(self, look: Look) -> None:
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in look.gradients().values()))
        self._norms.append([look.epoch, norm])
        rows = "".join(f"{epoch:.0f},{value:.6g}\n" for epoch, value in self._norms)
        look.artifact("gradient_norms.csv", f"epoch,norm\n{rows}")
        if norm < self.least:
            look.stop(f"the norm of the gradient is {norm:.3g}, less than {self.least:g}")

    def state_dict(self) -> dict[str, list[list[float]]]:
        return {"norms": self._norms}

    def load_state_dict(self, state: dict[str, list[list[float]]]) -> None:
        self._norms = state["norms"]


def one_input(outline: Outline) -> None:
    """Refuses, before the run, what `error_over_input` could not draw."""
    if len(outline.fields.inputs) != 1 or next(iter(outline.fields.inputs.values())).shape:
        raise OptionError("", "it draws over the only input, a number", help="draw `residuals` instead")


@plot(check=one_input)
def error_over_input(
    view: RunView, parts: Annotated[int, Field(ge=2, description="Into how many parts the input is cut.")] = 20
) -> Figure:
    """How far off the predictions are where: the mean error in each part of the input's range."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    ((name, x),) = view.train.inputs.items()
    for target, y in view.train.targets.items():
        error = (view.predict({name: x})[target] - y).abs()
        order = x.argsort()
        places = torch.stack([part.mean() for part in x[order].tensor_split(parts)])
        means = torch.stack([part.mean() for part in error[order].tensor_split(parts)])
        axes.plot(places, means, "o-", label=target)
    axes.set(xlabel=name, ylabel="mean |prediction - target|", ylim=(0, None))
    axes.legend()
    return figure
