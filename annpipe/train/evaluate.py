"""The model on one split: its loss and metrics, in blocks, without gradients."""

from __future__ import annotations

import torch

from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.losses import leaves
from annpipe.plan.plan import Plan
from annpipe.train.data import Rows
from annpipe.train.parts import Parts
from annpipe.train.stored import StoredRows

BLOCK = 8192  # rows at a time
MOST_OUTPUTS = 2**24  # numbers that the loss sees at once of rows in files: 64 MiB in single precision


def predict(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The outputs for x, (rows, …) -> (rows, …), in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(block) for block in torch.split(x, BLOCK)])
    finally:
        model.train(was_training)


def evaluate(plan: Plan, parts: Parts, rows: Rows | StoredRows) -> dict[str, float]:
    """`loss` and every metric of the plan over the rows, predicted in blocks.

    The loss sees all rows at once where they are in memory. Of rows in files it sees as many as give MOST_OUTPUTS
    numbers, and is then the mean over such pieces, or the sum for a loss that is one.
    """
    metrics = {key: instantiate(m, plan.registry) for key, m in parts.metrics.items()}
    loss = _LossInPieces(plan, parts, rows)
    was_training = parts.model.training
    parts.model.eval()
    try:
        with torch.no_grad():
            for x, y in rows.blocks(BLOCK):
                prediction = parts.model(x)
                for metric in metrics.values():
                    metric.update(*_in_units(parts, prediction, y))
                loss.take(prediction)
            values = {"loss": loss.value()}
    finally:
        parts.model.train(was_training)
    for key, metric in metrics.items():
        values[key] = _computed(key, metric.compute())
    return values


class _LossInPieces:
    """The loss over rows whose predictions come in blocks. It sees many at once: a weighted mean has no blocks."""

    def __init__(self, plan: Plan, parts: Parts, rows: Rows | StoredRows) -> None:
        self._loss, self._y, self._device = parts.loss, rows.y, rows.device
        self._most = MOST_OUTPUTS if isinstance(rows, StoredRows) else None
        self._is_sum = all(leaf.options.get("reduction") == "sum" for leaf in leaves(plan.loss))
        self._room = torch.empty(0)  # predictions lie in one piece of memory, so that blocks leave no holes behind
        self._held = self._seen = 0
        self._total = 0.0

    def take(self, prediction: torch.Tensor) -> None:
        """The predictions for the next rows."""
        if not len(self._room):
            outputs = max(1, prediction[0].numel())
            most = len(self._y) if self._most is None else max(self._most // outputs, len(prediction))
            self._room = prediction.new_empty((min(most, len(self._y)), *prediction.shape[1:]))
        if self._held + len(prediction) > len(self._room):
            self._close()
        self._room[self._held : self._held + len(prediction)] = prediction
        self._held += len(prediction)

    def _close(self) -> None:
        y = self._y[self._seen : self._seen + self._held].to(self._device)
        value = float(self._loss(self._room[: self._held], y))
        self._total += value if self._is_sum or self._held == len(self._y) else value * self._held
        self._seen, self._held = self._seen + self._held, 0

    def value(self) -> float:
        """The loss over all rows."""
        in_pieces = self._seen > 0
        self._close()
        return self._total / self._seen if in_pieces and not self._is_sum else self._total


def _in_units(parts: Parts, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth as metrics see them: in the units of the data, which a loss need not see."""
    scale = parts.transformed.targets
    return (prediction, y) if scale is None else (scale.inverse(prediction), scale.inverse(y))


def _computed(key: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a plugin's metric may return anything: checked right here
    except (TypeError, ValueError) as error:
        raise RunError(f"the metric '{key}' computed {type(value).__name__}, not a number") from error
