"""The model on one split: its loss and metrics, in blocks, without gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from annpipe.ends import HeadLosses
from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.component import Component
from annpipe.plan.metric_keys import head_key
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
    """`loss` and every metric of the plan over the rows, those of heads too."""
    return measured(parts.model, parts.loss, parts.metrics, plan.registry, rows, parts.transformed.targets)


def measured(
    model: torch.nn.Module,
    loss: torch.nn.Module,
    metrics: Mapping[str, tuple[Component, str | None]],
    registry: Registry,
    rows: Rows,
    scale: Targets | None,
) -> dict[str, float]:
    """`loss` and every metric by its key, predicted in blocks; the loss sees all rows at once.

    `metrics` has with each the head that it is for. `scale` leads targets back to the units of the data, in which
    metrics see them.
    """
    accumulators = {key: instantiate(metric, registry) for key, (metric, _) in metrics.items()}
    was_training = model.training
    model.eval()
    predictions = []
    try:
        with torch.no_grad():
            for x, y in zip(torch.split(rows.x, BLOCK), torch.split(rows.y, BLOCK), strict=True):
                predictions.append(model(x))
                for key, accumulator in accumulators.items():
                    accumulator.update(*_of_head(loss, metrics[key][1], *_in_units(scale, predictions[-1], y)))
            losses = _losses(loss, torch.cat(predictions), rows.y)  # a sum or a weighted mean has no blocks
    finally:
        model.train(was_training)
    values = {key: float(value) for key, value in losses.items()}
    return values | {key: _computed(key, accumulator.compute()) for key, accumulator in accumulators.items()}


def _losses(loss: torch.nn.Module, prediction: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss by its key, and that of each head."""
    heads = loss.by_head(prediction, y) if isinstance(loss, HeadLosses) else {}
    return {"loss": loss(prediction, y)} | {f"{head_key(name)}/loss": value for name, value in heads.items()}


def _of_head(
    loss: torch.nn.Module, head: str | None, prediction: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a head gives and its target, or all of both."""
    if head is None or not isinstance(loss, HeadLosses):
        return prediction, y
    return loss.of_head(head, prediction, y)


def _in_units(scale: Targets | None, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth as metrics see them: in the units of the data, which a loss need not see."""
    return (prediction, y) if scale is None else (scale.inverse(prediction), scale.inverse(y))


def _computed(key: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a plugin's metric may return anything: checked right here
    except (TypeError, ValueError) as error:
        raise RunError(f"the metric '{key}' computed {type(value).__name__}, not a number") from error
