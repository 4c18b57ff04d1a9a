"""The model on one split: its loss and metrics, in blocks, without gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.component import Component
from annpipe.plan.plan import Plan
from annpipe.registry import Registry
from annpipe.train.columns_model import Targets
from annpipe.train.data import Rows
from annpipe.train.parts import Parts

BLOCK = 8192  # rows at a time


def predict(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The outputs for x, (rows, …) -> (rows, …), in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(block) for block in torch.split(x, BLOCK)])
    finally:
        model.train(was_training)


def evaluate(plan: Plan, parts: Parts, rows: Rows) -> dict[str, float]:
    """`loss` and every metric of the plan over the rows."""
    return measured(parts.model, parts.loss, parts.metrics, plan.registry, rows, parts.transformed.targets)


def measured(
    model: torch.nn.Module,
    loss: torch.nn.Module,
    metrics: Mapping[str, Component],
    registry: Registry,
    rows: Rows,
    scale: Targets | None,
) -> dict[str, float]:
    """`loss` and every metric by its key, predicted in blocks; the loss sees all rows at once.

    `scale` leads targets back to the units of the data, in which metrics see them.
    """
    accumulators = {key: instantiate(metric, registry) for key, metric in metrics.items()}
    was_training = model.training
    model.eval()
    predictions = []
    try:
        with torch.no_grad():
            for x, y in zip(torch.split(rows.x, BLOCK), torch.split(rows.y, BLOCK), strict=True):
                predictions.append(model(x))
                for accumulator in accumulators.values():
                    accumulator.update(*_in_units(scale, predictions[-1], y))
            value = loss(torch.cat(predictions), rows.y)  # a sum or a weighted mean has no blocks
    finally:
        model.train(was_training)
    return {"loss": float(value)} | {key: _computed(key, one.compute()) for key, one in accumulators.items()}


def _in_units(scale: Targets | None, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth as metrics see them: in the units of the data, which a loss need not see."""
    return (prediction, y) if scale is None else (scale.inverse(prediction), scale.inverse(y))


def _computed(key: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a plugin's metric may return anything: checked right here
    except (TypeError, ValueError) as error:
        raise RunError(f"the metric '{key}' computed {type(value).__name__}, not a number") from error
