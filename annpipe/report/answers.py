"""Answers of a trained model for the rows of its report: truth and prediction of each target, the loss of each row."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.datasets.cell_columns import Array
from annpipe.datasets.steps.tensors import to_tensors
from annpipe.draft.losses import ignored_label
from annpipe.export.model import OF_TWO, model_targets
from annpipe.plan.checks.thresholds import OF_PROBABILITIES, OF_RAW_SCORES, raw_targets_of
from annpipe.plan.plan import Plan
from annpipe.portable.description import ModelTarget
from annpipe.train.loop.evaluate import predict
from annpipe.train.loop.figures import output_parts
from annpipe.train.parts import Parts

MOST_ROWS = 10_000  # that are measured for a report
MOST_SINGLE_LOSSES = 1_000  # rows whose loss is computed one row at a time


@dataclass(frozen=True)
class ReportRows:
    """The rows that a report measures: those of `split`, or some at equal distances where it has more.

    `numbers` are the positions of the rows in their split, from 1; None where the split itself is a sample.
    """

    split: str
    rows: Dataset
    total: int
    numbers: Array | None

    @property
    def is_held_out(self) -> bool:
        """Whether the model was not trained on them."""
        return self.split != "train"


@dataclass(frozen=True)
class TargetAnswers:
    """Truth and prediction of a target, (rows, …) each: numbers in the units of the data, or positions among `classes`.

    A truth of -1 is no label. `probability` is (rows, classes), None where the model gives none.
    """

    target: str
    kind: Literal["numbers", "classes"]
    truth: Array
    predicted: Array
    classes: tuple[str, ...] = ()
    probability: Array | None = None


@dataclass(frozen=True)
class ModelAnswers:
    """The answers by target, and the loss of each row: of all, or of the rows at `at` where they take long."""

    targets: tuple[TargetAnswers, ...]
    losses: Array
    at: Array
    loss: float


def report_rows(parts: Parts) -> ReportRows:
    """The rows of test, else of val, else of train."""
    name = next(name for name in ("test", "val", "train") if name in parts.splits.by_name)
    split, total = parts.splits.by_name[name], len(parts.rows[name])
    at = equal_distances(split.rows, MOST_ROWS)
    return ReportRows(name, rows_at(split, at), total, at.numpy() + 1 if split.rows == total else None)


def equal_distances(n: int, most: int) -> torch.Tensor:
    """All positions up to n, or `most` of them at equal distances."""
    return torch.arange(n) if n <= most else torch.linspace(0, n - 1, most, dtype=torch.float64).round().long()


def rows_at(dataset: Dataset, at: torch.Tensor) -> Dataset:
    """Some rows of a dataset."""
    inputs = {name: tensor[at] for name, tensor in dataset.inputs.items()}
    targets = {name: tensor[at] for name, tensor in dataset.targets.items()}
    return replace(dataset, inputs=inputs, targets=targets, truth={}, aside={})


def model_answers(plan: Plan, parts: Parts, rows: Dataset) -> ModelAnswers:
    """Predicts the rows; what the model gives for a target that compares with nothing in the data is left out."""
    device, request = parts.rows["train"].device, plan.request
    tensors = to_tensors(
        rows,
        device,
        parts.rows["train"].dtype,
        classes=request.takes_classes,
        columns=parts.transformed,
        labels=request.labels,
    )
    output = predict(parts.model, tensors.x)
    losses, at = row_losses(parts.loss, output, tensors.y)
    with torch.no_grad():
        whole = float(parts.loss(output, tensors.y))
    units = output.cpu()
    if parts.transformed.targets is not None:
        units = parts.transformed.targets.inverse(units)
    by_target = {name: part.of(units) for name, part in output_parts(plan).items()}
    targets = _answers(plan, model_targets(plan, parts.splits.train), rows, by_target)
    return ModelAnswers(targets, losses, at, whole)


def row_losses(loss: torch.nn.Module, output: torch.Tensor, y: torch.Tensor) -> tuple[Array, Array]:
    """The loss of each row and the positions of these rows; none where the loss takes no single row.

    Torch's own losses give all rows at once; others are asked for one row after the other, of at most a thousand.
    """
    with torch.no_grad():
        if type(loss).__module__ == "torch.nn.modules.loss" and getattr(loss, "reduction", None) in ("mean", "sum"):
            single: Any = copy.copy(loss)
            single.reduction = "none"
            each = single(output, y)
            if each.ndim and len(each) == len(output):
                return each.flatten(1).mean(1).double().cpu().numpy() if each.ndim > 1 else _doubles(each), _all(each)
        at = equal_distances(len(output), MOST_SINGLE_LOSSES)
        try:
            values = torch.stack([loss(output[i : i + 1], y[i : i + 1]).reshape(()) for i in at.tolist()])
        except Exception:  # a loss may refuse a single row in any way: then no row is the worst
            return np.empty(0), np.empty(0, dtype=np.int64)
    return _doubles(values), at.numpy()


def _doubles(values: torch.Tensor) -> Array:
    array: Array = values.double().cpu().numpy()
    return array


def _all(rows: torch.Tensor) -> Array:
    return np.arange(len(rows))


def _answers(
    plan: Plan, described: tuple[ModelTarget, ...], rows: Dataset, outputs: Mapping[str, torch.Tensor]
) -> tuple[TargetAnswers, ...]:
    losses = {head.name: head.loss for head in plan.outputs}
    raw = raw_targets_of(plan)
    answers = []
    for target in described:
        name = target.name
        output, truth = outputs[name], rows.targets[name]
        ignored = ignored_label(losses.get(name, plan.loss))
        answered = (
            _of_labels(target, output, truth, ignored) if target.labels else _of_values(target, output, truth, raw)
        )
        answers += [answered] if answered is not None else []
    return tuple(answers)


def _of_labels(
    target: ModelTarget, output: torch.Tensor, truth: torch.Tensor, ignored: int | None
) -> TargetAnswers | None:
    """Of a loss that compares scores with class labels."""
    if output.ndim != truth.ndim + 1:
        return None
    labels, predicted, probability = truth.long(), output.argmax(1), None
    labels = labels if ignored is None else torch.where(labels == ignored, -1, labels)
    if output.ndim == 2 and target.gives in ("scores", "log-probabilities"):
        scores = output.double()
        probability = (scores.softmax(1) if target.gives == "scores" else scores.exp()).numpy()
    words = target.classes or ()
    classes = (*words[: output.shape[1]], *map(str, range(len(words), output.shape[1])))
    return TargetAnswers(target.name, "classes", labels.numpy(), predicted.numpy(), classes, probability)


def _of_values(
    target: ModelTarget, output: torch.Tensor, truth: torch.Tensor, raw: frozenset[str]
) -> TargetAnswers | None:
    """Of a loss that compares values: two classes where these are 0 and 1 alone, else numbers."""
    if output.numel() != truth.numel():
        return None
    value, truth = output.reshape(truth.shape).double(), truth.double()
    if not bool(((truth == 0) | (truth == 1)).all()):
        return TargetAnswers(target.name, "numbers", truth.numpy(), value.numpy())
    probability = None
    if target.gives in OF_TWO:
        value = value.sigmoid() if target.gives == "logits" else value
        probability = torch.stack([1 - value, value], 1).numpy() if value.ndim == 1 else None
        predicted = value > OF_PROBABILITIES
    else:
        predicted = value > (OF_RAW_SCORES if target.name in raw else OF_PROBABILITIES)
    classes = target.classes or target.words or ("0", "1")
    return TargetAnswers(
        target.name, "classes", truth.long().numpy(), predicted.long().numpy(), tuple(classes[:2]), probability
    )
