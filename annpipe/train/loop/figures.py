"""Draws the figures of a run, and makes the view of the run that plots get."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from annpipe.contract import RunView
from annpipe.datasets.steps.splits import Splits
from annpipe.datasets.steps.tensors import Transformed
from annpipe.draft.component import Component
from annpipe.draft.losses import takes_classes
from annpipe.errors.wording import article
from annpipe.files.figures import write_figure
from annpipe.files.private import private_folder
from annpipe.files.whole import write_whole
from annpipe.plan.checks.thresholds import raw_targets_of
from annpipe.plan.output_roles import PointColumn, n_outputs, plan_roles, point_of
from annpipe.plan.plan import Plan
from annpipe.train.loop.evaluate import predict
from annpipe.train.parts import Parts

Predict = Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
LARGE = 1_000_000  # bytes from which a PNG serves better than an SVG


def run_view(plan: Plan, parts: Parts, history: Mapping[str, tuple[list[int], list[float]]]) -> RunView:
    """The run as a plot sees it, on the CPU and in the units of the data."""
    splits = parts.splits
    predicting = predictor(plan, parts)
    datasets = (splits.train, splits.val, splits.test)
    transformed = bool(plan.transforms)
    loss = " + ".join(head.loss.name for head in plan.outputs) or plan.loss.name
    losses = {head.name: head.loss.name for head in plan.outputs}
    raw = raw_targets_of(plan)
    return RunView(
        plan.head.name, *datasets, history, predicting, parts.model, loss, transformed, losses, raw_scores=raw
    )


def sampled(parts: Parts) -> str | None:
    """Which part of the rows figures show, where it is not all of them."""
    shown = {name: (part.rows, len(parts.rows[name])) for name, part in parts.splits.by_name.items()}
    few = [f"{some:,} of {total:,} rows of {name}" for name, (some, total) in shown.items() if some < total]
    return f"figures show {', '.join(few)}, at equal distances" if few else None


def view_of_data(name: str, splits: Splits) -> RunView:
    """The splits as a plot sees them before there is a model: nothing is predicted."""

    def predict(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise RuntimeError("there is no model yet")

    return RunView(name, splits.train, splits.val, splits.test, {}, predict, torch.nn.Identity(), "")


def predictor(plan: Plan, parts: Parts) -> Predict:
    """A function from inputs by name, (rows, …), to outputs by target: (rows,), (rows, …) or class scores."""
    return predicting(parts.model, parts.transformed, output_parts(plan), parts.rows["train"].device)


@dataclass(frozen=True)
class OutputPart:
    """Which columns of the output predict a target, None for all of it; the point where that is one number a row."""

    span: Sequence[int] | None = None
    point: PointColumn | None = None

    def of(self, output: torch.Tensor) -> torch.Tensor:
        """The target's part of an output: numbers (rows,), scores of classes (rows, classes), or all of it."""
        part = output if self.span is None else output[:, self.span[0] : self.span[1]]
        return part if self.point is None else self.point.of(part)


def output_parts(plan: Plan) -> dict[str, OutputPart]:
    """By target, which part of the model's output predicts it."""
    known = plan_roles(plan)
    if plan.outputs:
        spans = plan.loss.options["spans"]
        return {
            head.name: OutputPart(spans[head.name], None if takes_classes(head.loss) else point_of(known[head.name]))
            for head in plan.outputs
        }
    targets = plan.fields.targets
    if takes_classes(plan.loss) or next(iter(targets.values())).shape:
        return {next(iter(targets)): OutputPart()}
    parts, start = {}, 0
    for name in targets:
        stop = start + n_outputs(known[name])
        parts[name] = OutputPart((start, stop), point_of(known[name]))
        start = stop
    return parts


def predicting(
    model: torch.nn.Module, transformed: Transformed, parts: Mapping[str, OutputPart], device: torch.device
) -> Predict:
    """The same of a model on its device, what was applied to its rows once, and the parts of its output by target."""
    dtype = next(iter(model.parameters()), torch.empty(0)).dtype

    def by_name(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output = predict(model, transformed.features(inputs, dtype).to(device)).cpu()
        if transformed.targets is not None:
            output = transformed.targets.inverse(output)
        return {name: part.of(output) for name, part in parts.items()}

    return by_name


def draw(plots: Sequence[Component], view: RunView, folder: Path) -> Iterator[tuple[Path, str | OSError | None]]:
    """Draws every plot into `folder`: the file of each, or why there is none: a text for a plot's own fault.

    An OSError is the disk's, not the plot's.
    """
    for number, plot in enumerate(plots):
        name = plot.name if plot.name not in [p.name for p in plots[:number]] else f"{plot.name}_{number}"
        try:
            drawn, ending = rendered(plot.load()(view, **plot.options))
        except Exception as error:  # a plot that fails costs its figure, never the run; the reason is shown
            yield folder / f"{name}.svg", f"{type(error).__name__}: {error}"
            continue
        path = folder / f"{name}{ending}"
        try:
            private_folder(folder)
            write_whole(path, drawn)
        except OSError as error:
            yield path, error
        else:
            yield path, None


def save_figure(figure: Any, folder: Path, name: str) -> Path:
    """As SVG; a drawing that would be large as PNG. Raises OSError, and leaves no half of a file."""
    drawn, ending = rendered(figure)
    private_folder(folder)
    path = folder / f"{name}{ending}"
    write_whole(path, drawn)
    return path


def rendered(figure: Any) -> tuple[bytes, str]:
    """The bytes of a figure's file, and its ending. Raises TypeError for anything but a figure of matplotlib."""
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        returned = "nothing"
        if figure is not None:
            returned = f"{article(type(figure).__name__)}, and no matplotlib.figure.Figure"
        raise TypeError(f"it returned {returned}: end it with `return figure`")
    drawn = io.BytesIO()
    write_figure(figure, drawn, format="svg")
    if drawn.tell() <= LARGE:
        return drawn.getvalue(), ".svg"
    drawn = io.BytesIO()
    write_figure(figure, drawn, format="png", dpi=144)
    return drawn.getvalue(), ".png"
