"""Evaluates the model on one split: its loss and metrics, in blocks of rows, without gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.steps.tensors import Rows
from annpipe.draft.component import Component
from annpipe.draft.metric_keys import large_is_good
from annpipe.errors import RunError
from annpipe.plan.output_roles import Points, plan_roles, points
from annpipe.plan.plan import Plan
from annpipe.portable.columns import Targets
from annpipe.portable.heads import HeadLosses
from annpipe.train.divisors import Terms, head_terms, is_sum
from annpipe.train.parts import Parts
from annpipe.train.tally import divided

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


def evaluate(plan: Plan, parts: Parts, rows: Rows | OnDiskRows) -> dict[str, float]:
    """`loss` and every metric of the plan over the rows, those of heads too."""
    loss = LossInPieces(parts.loss, rows, is_sum=is_sum(plan, parts.loss))
    predictions = points(plan_roles(plan), has_heads=bool(plan.outputs))
    return measured(parts.model, loss, parts.metrics, rows, parts.transformed.targets, predictions)


def measured(
    model: torch.nn.Module,
    loss: LossInPieces,
    metrics: Mapping[str, tuple[Component, str | None]],
    rows: Rows | OnDiskRows,
    scale: Targets | None,
    predictions: Points,
) -> dict[str, float]:
    """`loss` and every metric by its key, predicted in blocks.

    `metrics` has with each the head that it is for. `scale` converts targets back to the units of the data, in which
    metrics see them; `predictions` tells which of the outputs they see.
    """
    accumulators = {key: instantiate(metric) for key, (metric, _) in metrics.items()}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for x, y in rows.iter_chunks(BLOCK):
                prediction = model(x)
                for key, accumulator in accumulators.items():
                    head = metrics[key][1]
                    output, target = loss.of_head(head, *_in_units(scale, prediction, y))
                    accumulator.update(predictions.of(head, output), target)
                loss.take(prediction)
            values = loss.values()
    finally:
        model.train(was_training)
    return values | {key: _computed(key, accumulator.compute()) for key, accumulator in accumulators.items()}


class LossInPieces:
    """The loss over rows whose predictions come in blocks.

    It sees all rows at once where they are in memory. Of rows in files it sees as many as give MOST_OUTPUTS numbers;
    such pieces are then put together by what the loss divides by, or added up for a loss that `is_sum`.
    """

    def __init__(self, loss: torch.nn.Module, rows: Rows | OnDiskRows, *, is_sum: bool = False) -> None:
        self._loss, self._y, self._device, self._is_sum = loss, rows.y, rows.device, is_sum
        self._most = MOST_OUTPUTS if isinstance(rows, OnDiskRows) else None
        self._predictions = torch.empty(0)  # one piece of memory, so that blocks leave no holes
        self._held = self._n_done = 0
        self._terms = {"loss": Terms(loss)}
        if isinstance(loss, HeadLosses):
            of = zip(loss.names, head_terms(loss), strict=True)
            self._terms |= {f"{name}/loss": Terms(t.loss, t.prediction, t.target) for name, t in of}
        self._tallies: dict[str, list[float]] = {}

    def take(self, prediction: torch.Tensor) -> None:
        """Takes the predictions for the next rows."""
        if not len(self._predictions):
            outputs = max(1, prediction[0].numel())
            most = len(self._y) if self._most is None else max(self._most // outputs, len(prediction))
            self._predictions = prediction.new_empty((min(most, len(self._y)), *prediction.shape[1:]))
        if self._held + len(prediction) > len(self._predictions):
            self._close()
        self._predictions[self._held : self._held + len(prediction)] = prediction
        self._held += len(prediction)

    def of_head(self, head: str | None, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What a head gives and its target, or all of both."""
        if head is None or not isinstance(self._loss, HeadLosses):
            return prediction, y
        return self._loss.of_head(head, prediction, y)

    def _next_piece(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Predictions and targets of the rows that are held."""
        y = self._y[self._n_done : self._n_done + self._held].to(self._device)
        prediction = self._predictions[: self._held]
        self._n_done, self._held = self._n_done + self._held, 0
        return prediction, y

    def _close(self) -> None:
        """Adds the piece to those before."""
        prediction, y = self._next_piece()
        if self._is_sum:
            for key, value in self._of(prediction, y).items():
                self._tallies[key] = [self._tallies.get(key, [0.0])[0] + float(value)]
            return
        for key, terms in self._terms.items():
            now = [*terms.numerators(prediction, y).tolist(), *terms.divisors(y).tolist()]
            before = self._tallies.get(key, [0.0] * len(now))
            self._tallies[key] = [old + new for old, new in zip(before, now, strict=True)]

    def _of(self, prediction: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss by its key, and that of each head."""
        heads = self._loss.by_head(prediction, y) if isinstance(self._loss, HeadLosses) else {}
        return {"loss": self._loss(prediction, y)} | {f"{name}/loss": value for name, value in heads.items()}

    def values(self) -> dict[str, float]:
        """The loss over all rows, and that of each head."""
        if not self._n_done:
            return {key: float(value) for key, value in self._of(*self._next_piece()).items()}
        self._close()
        if self._is_sum:
            return {key: tally[0] for key, tally in self._tallies.items()}
        return {key: divided(self._tallies[key], terms.sums) for key, terms in self._terms.items()}


def _in_units(scale: Targets | None, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth as metrics see them: in the units of the data, which a loss need not see."""
    return (prediction, y) if scale is None else (scale.inverse(prediction), scale.inverse(y))


def _computed(key: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # a plugin's metric may return anything: checked right here
    except (TypeError, ValueError) as error:
        raise RunError(f"the metric '{key}' computed {type(value).__name__}, not a number") from error


def higher_is_better(plan: Plan, parts: Parts) -> frozenset[str]:
    """The keys of metrics whose class says `higher_is_better`."""
    return frozenset(key for key, (metric, _) in parts.metrics.items() if large_is_good(metric))
