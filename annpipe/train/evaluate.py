"""The model on one split: its loss and metrics, in blocks, without gradients."""

from __future__ import annotations

import torch

from annpipe.ends import HeadLosses
from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.metric_keys import head_key
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
    metrics = {key: instantiate(metric, plan.registry) for key, (metric, _) in parts.metrics.items()}
    was_training = parts.model.training
    parts.model.eval()
    predictions = []
    try:
        with torch.no_grad():
            for x, y in zip(torch.split(rows.x, BLOCK), torch.split(rows.y, BLOCK), strict=True):
                predictions.append(parts.model(x))
                for key, metric in metrics.items():
                    metric.update(*_of_head(parts, parts.metrics[key][1], *_in_units(parts, predictions[-1], y)))
            losses = _losses(parts.loss, torch.cat(predictions), rows.y)  # a sum or a weighted mean has no blocks
    finally:
        parts.model.train(was_training)
    values = {key: float(loss) for key, loss in losses.items()}
    for key, metric in metrics.items():
        values[key] = _computed(key, metric.compute())
    return values


def _losses(loss: torch.nn.Module, prediction: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss by its key, and that of each head."""
    heads = loss.by_head(prediction, y) if isinstance(loss, HeadLosses) else {}
    return {"loss": loss(prediction, y)} | {f"{head_key(name)}/loss": value for name, value in heads.items()}


def _of_head(
    parts: Parts, head: str | None, prediction: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a head gives and its target, or all of both."""
    if head is None or not isinstance(parts.loss, HeadLosses):
        return prediction, y
    return parts.loss.of_head(head, prediction, y)


def _in_units(parts: Parts, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth as metrics see them: in the units of the data, which a loss need not see."""
    scale = parts.transformed.targets
    return (prediction, y) if scale is None else (scale.inverse(prediction), scale.inverse(y))


def _computed(key: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a plugin's metric may return anything: checked right here
    except (TypeError, ValueError) as error:
        raise RunError(f"the metric '{key}' computed {type(value).__name__}, not a number") from error
