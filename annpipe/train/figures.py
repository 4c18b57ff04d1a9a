"""The figures of a run: what a plot may see, and the files it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from annpipe.contract import RunView
from annpipe.plan.component import Component
from annpipe.plan.losses import takes_classes
from annpipe.plan.plan import Plan
from annpipe.registry import Registry
from annpipe.train.data import Transformed
from annpipe.train.evaluate import predict
from annpipe.train.parts import Parts
from annpipe.train.splits import Splits

Predict = Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
LARGE = 1_000_000  # bytes from which a PNG serves better than an SVG


def run_view(plan: Plan, parts: Parts, history: Mapping[str, tuple[list[int], list[float]]]) -> RunView:
    """The run as a plot sees it, on the CPU and in the units of the data."""
    splits = parts.splits
    predicting = predictor(plan, parts)
    datasets = (splits.train, splits.val, splits.test)
    transformed = bool(plan.transforms)
    return RunView(plan.head.name, *datasets, history, predicting, parts.model, plan.loss.name, transformed)


def view_of_data(name: str, splits: Splits) -> RunView:
    """The splits as a plot sees them before there is a model: nothing is predicted."""

    def predict(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise RuntimeError("there is no model yet")

    return RunView(name, splits.train, splits.val, splits.test, {}, predict, torch.nn.Identity(), "")


def predictor(plan: Plan, parts: Parts) -> Predict:
    """A function from inputs by name, (rows, …), to outputs by target: (rows,), (rows, …) or class scores."""
    names = list(plan.fields.targets)
    whole = takes_classes(plan.loss, plan.registry) or bool(plan.fields.targets[names[0]].shape)
    return predicting(parts.model, parts.transformed, names, whole=whole, like=parts.rows["train"].x)


def predicting(
    model: torch.nn.Module, transformed: Transformed, targets: Sequence[str], *, whole: bool, like: torch.Tensor
) -> Predict:
    """The same of a model and what was applied to its rows once; `whole` where one target has all of the output.

    `like` is a tensor on the model's device.
    """
    dtype = next(iter(model.parameters()), torch.empty(0)).dtype

    def by_name(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output = predict(model, transformed.features(inputs, dtype).to(like.device)).cpu()
        if transformed.targets is not None:
            output = transformed.targets.inverse(output)
        if whole:
            return {targets[0]: output}
        return {name: output[:, position] for position, name in enumerate(targets)}

    return by_name


def draw(
    plots: Sequence[Component], registry: Registry, view: RunView, folder: Path
) -> Iterator[tuple[Path, str | None]]:
    """Draws every plot into `folder`: the file of each, or the reason why there is none."""
    for number, plot in enumerate(plots):
        name = plot.name if plot.name not in [p.name for p in plots[:number]] else f"{plot.name}_{number}"
        try:
            file = save_figure(_figure(registry, plot, view), folder, name)
        except Exception as error:  # a plot that fails costs its figure, never the run; the reason is shown
            yield folder / f"{name}.svg", f"{type(error).__name__}: {error}"
        else:
            yield file, None


def _figure(registry: Registry, plot: Component, view: RunView) -> Any:
    entry = registry.find("plot", plot.name)
    assert entry
    return registry.load(entry)(view, **plot.options)


def save_figure(figure: Any, folder: Path, name: str) -> Path:
    """As SVG; a drawing that would be large as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    figure.savefig(path)
    if path.stat().st_size > LARGE:
        path.unlink()
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=144)
    return path
