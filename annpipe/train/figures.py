"""The figures of a run: what a plot may see, and the files it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from annpipe.contract import RunView
from annpipe.plan.component import Component
from annpipe.plan.losses import takes_classes
from annpipe.plan.plan import Plan
from annpipe.train.evaluate import predict
from annpipe.train.parts import Parts
from annpipe.train.splits import Splits

LARGE = 1_000_000  # bytes from which a PNG serves better than an SVG


def run_view(plan: Plan, parts: Parts, history: Mapping[str, tuple[list[int], list[float]]]) -> RunView:
    """The run as a plot sees it, on the CPU and in the units of the data."""
    splits = parts.splits
    predicting = predictor(plan, parts)
    datasets = (splits.train, splits.val, splits.test)
    transformed = bool(plan.transforms)
    return RunView(plan.head.name, *datasets, history, predicting, parts.model, plan.loss.name, transformed)


def sampled(parts: Parts) -> str | None:
    """Which part of the rows figures show, where it is not all of them."""
    shown = {name: (part.rows, len(parts.rows[name])) for name, part in parts.splits.by_name.items()}
    few = [f"{some:,} of {every:,} rows of {name}" for name, (some, every) in shown.items() if some < every]
    return f"figures show {', '.join(few)}, at equal distances" if few else None


def view_of_data(name: str, splits: Splits) -> RunView:
    """The splits as a plot sees them before there is a model: nothing is predicted."""

    def predict(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise RuntimeError("there is no model yet")

    return RunView(name, splits.train, splits.val, splits.test, {}, predict, torch.nn.Identity(), "")


def predictor(plan: Plan, parts: Parts) -> Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """A function from inputs by name, (rows, …), to outputs by target: (rows,), (rows, …) or class scores."""
    device, dtype = parts.rows["train"].device, next(iter(parts.model.parameters()), torch.empty(0)).dtype
    names = list(plan.fields.targets)

    def by_name(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output = predict(parts.model, parts.transformed.features(inputs, dtype).to(device)).cpu()
        if parts.transformed.targets is not None:
            output = parts.transformed.targets.inverse(output)
        if takes_classes(plan.loss, plan.registry) or (len(names) == 1 and plan.fields.targets[names[0]].shape):
            return {names[0]: output}
        return {name: output[:, position] for position, name in enumerate(names)}

    return by_name


def draw(plan: Plan, view: RunView, folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Draws every plot of the plan into `folder`: the file of each, or the reason why there is none."""
    for number, plot in enumerate(plan.plots):
        name = plot.name if plot.name not in [p.name for p in plan.plots[:number]] else f"{plot.name}_{number}"
        try:
            file = save_figure(_figure(plan, plot, view), folder, name)
        except Exception as error:  # a plot that fails costs its figure, never the run; the reason is shown
            yield folder / f"{name}.svg", f"{type(error).__name__}: {error}"
        else:
            yield file, None


def _figure(plan: Plan, plot: Component, view: RunView) -> Any:
    entry = plan.registry.find("plot", plot.name)
    assert entry
    return plan.registry.load(entry)(view, **plot.options)


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
