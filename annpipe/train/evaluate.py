"""The model on one split: its loss and metrics, in blocks, without gradients."""

from __future__ import annotations

import torch

from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.plan import Plan
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
    """`loss` and every metric of the plan over the rows, predicted in blocks; the loss sees all rows at once."""
    metrics = {key: instantiate(m, plan.registry) for key, m in parts.metrics.items()}
    was_training = parts.model.training
    parts.model.eval()
    predictions = []
    try:
        with torch.no_grad():
            for x, y in zip(torch.split(rows.x, BLOCK), torch.split(rows.y, BLOCK), strict=True):
                predictions.append(parts.model(x))
                for metric in metrics.values():
                    metric.update(*_in_units(parts, predictions[-1], y))
            loss = parts.loss(torch.cat(predictions), rows.y)  # a sum or a weighted mean has no blocks
    finally:
        parts.model.train(was_training)
    values = {"loss": float(loss)}
    for key, metric in metrics.items():
        values[key] = _computed(key, metric.compute())
    return values


def _in_units(parts: Parts, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth as metrics see them: in the units of the data, which a loss need not see."""
    scale = parts.transformed.targets
    return (prediction, y) if scale is None else (scale.inverse(prediction), scale.inverse(y))


def _computed(key: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a plugin's metric may return anything: checked right here
    except (TypeError, ValueError) as error:
        raise RunError(f"the metric '{key}' computed {type(value).__name__}, not a number") from error
