"""The model that is looked into: a trained network on the CPU, the raw rows to look at it with, and its measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.datasets.steps.tensors import Rows, Transformed, to_tensors
from annpipe.draft.component import Component
from annpipe.draft.metric_keys import large_is_good
from annpipe.errors import DataError
from annpipe.errors.suggest import did_you_mean
from annpipe.export.model import model_targets
from annpipe.inspection.importance import RawColumns
from annpipe.plan.output_roles import Points, plan_roles, points
from annpipe.plan.plan import Plan
from annpipe.portable.description import ModelTarget
from annpipe.portable.predictions import prediction_columns
from annpipe.train.loop.evaluate import LossInPieces, measured, predict
from annpipe.train.parts import Parts

LOSS = "loss"


@dataclass(frozen=True)
class SubjectMeasures:
    """The loss of a run and its metrics by key, each with the head that it is for.

    `takes_classes` tells that the loss compares with class labels, `labels` names the targets of heads whose losses do.
    """

    loss: torch.nn.Module
    metrics: Mapping[str, tuple[Component, str | None]]
    predictions: Points
    takes_classes: bool
    labels: Sequence[str] = ()
    heads: Sequence[str] = ()

    @property
    def keys(self) -> list[str]:
        """The keys of what can be measured."""
        return [LOSS, *(f"{head}/{LOSS}" for head in self.heads), *self.metrics]

    def higher_is_better(self, key: str) -> bool:
        """Whether large values of a measure are good."""
        return key in self.metrics and large_is_good(self.metrics[key][0])


@dataclass(frozen=True)
class ModelSubject:
    """A trained network in evaluation mode, with raw rows, `rows_name` of which says which they are.

    `network` takes what `transformed` makes of raw columns. `measures` is None where the rows have no targets.
    """

    network: torch.nn.Module
    transformed: Transformed
    dataset: Dataset
    rows_name: str
    targets: tuple[ModelTarget, ...]
    dtype: torch.dtype
    measures: SubjectMeasures | None

    @property
    def inputs(self) -> RawColumns:
        """The raw columns by name, (rows, …) each."""
        return self.dataset.inputs

    def features(self, inputs: RawColumns) -> torch.Tensor:
        """What the network takes for raw columns, (rows, …)."""
        return self.transformed.features(inputs, self.dtype)

    def answers(self, inputs: RawColumns) -> dict[str, torch.Tensor]:
        """What the model answers in numbers, (rows,) each, under the names of `annpipe predict`.

        A number in the units of the data, or the probability of each class, of two classes that of the second; where
        the loss knows no probabilities, the scores. Raises DataError where an answer is an array.
        """
        output = predict(self.network, self.features(inputs))
        if self.transformed.targets is not None:
            output = self.transformed.targets.inverse(output)
        return {name: column for target in self.targets for name, column in _numbers(target, output).items()}

    def rows(self, inputs: RawColumns) -> Rows:
        """Features and targets as the loss sees them; there must be targets."""
        assert self.measures is not None
        return to_tensors(
            replace(self.dataset, inputs=inputs),
            torch.device("cpu"),
            self.dtype,
            classes=self.measures.takes_classes,
            columns=self.transformed,
            labels=self.measures.labels,
        )

    def value(self, key: str, inputs: RawColumns) -> float:
        """The measure `key` (`loss`, `accuracy`, `species/accuracy`) of the answers for raw columns."""
        measures = self.measures
        assert measures is not None
        rows = self.rows(inputs)
        metrics = {key: measures.metrics[key]} if key in measures.metrics else {}
        scale = self.transformed.targets
        values = measured(self.network, LossInPieces(measures.loss, rows), metrics, rows, scale, measures.predictions)
        return values[key]

    def some(self, most: int) -> ModelSubject:
        """The same with at most so many of the rows, at equal distances."""
        if self.dataset.rows <= most:
            return self
        return self.at(torch.linspace(0, self.dataset.rows - 1, most).round().long())

    def at(self, positions: torch.Tensor) -> ModelSubject:
        """The same with the rows at some positions."""
        inputs = {name: tensor[positions] for name, tensor in self.dataset.inputs.items()}
        targets = {name: tensor[positions] for name, tensor in self.dataset.targets.items()}
        dataset = Dataset(inputs, targets, categories=self.dataset.categories)
        return replace(self, dataset=dataset)


def subject_of(plan: Plan, parts: Parts, split: str | None = None) -> ModelSubject:
    """A run's own model and the rows of a split: of val, else test, else train where none is named.

    Of chunked data the rows are the sample that the run keeps. The parts must be on the CPU.
    """
    splits = parts.splits.by_name
    name = split or next(name for name in ("val", "test", "train") if name in splits)
    heads = [head.name for head in plan.outputs]
    measures = SubjectMeasures(
        loss=parts.loss,
        metrics=parts.metrics,
        predictions=points(plan_roles(plan), has_heads=bool(heads)),
        takes_classes=plan.request.takes_classes,
        labels=plan.request.labels,
        heads=heads,
    )
    return ModelSubject(
        network=parts.model,
        transformed=parts.transformed,
        dataset=splits[name],
        rows_name=name,
        targets=model_targets(plan, parts.splits.train),
        dtype=parts.rows["train"].dtype,
        measures=measures,
    )


def check_column(subject: ModelSubject, column: str) -> None:
    """Raises DataError where the model takes no such column."""
    if column not in subject.inputs:
        names = list(subject.inputs)
        columns = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise DataError(f"the model takes no column '{column}'", did_you_mean(column, names) or f"it takes {columns}")


def _numbers(target: ModelTarget, output: torch.Tensor) -> dict[str, torch.Tensor]:
    """The columns of one target that are numbers."""
    columns = prediction_columns([target], output)
    arrays = [name for name, column in columns.items() if column.ndim > 1]
    if arrays or (target.labels and output.ndim > 2):
        message = f"the model answers '{target.name}' with an array for each row"
        raise DataError(message, "only answers of one number or class can be looked at so")
    numbers = {name: _tensor(column) for name, column in columns.items() if column.dtype.kind == "f"}
    if target.classes is None:
        return {name: numbers[name] for name in list(numbers)[:1]} if target.roles else numbers
    if not numbers:
        scores = output if target.span is None else output[:, slice(*target.span)]
        return {f"{target.name}_{name}": score for name, score in zip(target.classes, scores.double().T, strict=True)}
    return dict(list(numbers.items())[1:]) if len(target.classes) == 2 else numbers


def _tensor(column: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(column)).double()
