"""Columns to read out of a network's outputs: class names and their probabilities, numbers in the units of the data.

A copy of this file goes beside `answering.py` into every MLflow model, so that it answers as `annpipe predict` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .description import ModelColumn, ModelTarget, TargetRoles

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any]


CLASS, PROBABILITIES, VALUE = "class", "probabilities", "value"
OF_PROBABILITIES = ("scores", "log-probabilities")  # what a network may give for each class that tells its probability


@dataclass(frozen=True)
class ModelAnswer:
    """What a model says of each row, (rows, …): the class of a target, its probabilities, or a value.

    A class is a position among those of its target, -1 where there is none. `columns` has a name for each column of
    values that are (rows, columns) and are shown apart, as probabilities are.
    """

    name: str
    target: ModelTarget
    values: torch.Tensor
    what: str = VALUE
    columns: tuple[str, ...] = ()


def answers(targets: Sequence[ModelTarget], outputs: torch.Tensor) -> list[ModelAnswer]:
    """The class of each target and its probabilities where the model gives them, or its value, in the targets' order.

    `outputs` is (rows, …), of which each target has its columns: one, or the scores of its classes. A row whose outputs
    are NaN has no answer: NaN, or the class -1. It is made of torch's functions alone, and so can be exported.
    """
    answered: list[ModelAnswer] = []
    for target in targets:
        output = outputs if target.span is None else outputs[:, slice(*target.span)]
        if target.labels:
            answered += _of_scores(target, output)
        elif target.roles:
            answered += _of_roles(target, target.roles, output)
        elif target.shape:
            answered.append(_shaped(target, output))
        else:
            answered += _of_one(target, output[:, 0])
    return answered


def prediction_columns(targets: Sequence[ModelTarget], outputs: torch.Tensor) -> dict[str, Array]:
    """A column for each target, and for each of its classes where the model gives probabilities.

    A row whose outputs are NaN has no prediction: NaN or None.
    """
    columns: dict[str, Array] = {}
    for answer in answers(targets, outputs):
        if answer.what == CLASS:
            columns[answer.name] = class_names(answer.values.numpy(), answer.target.classes or ())
        elif answer.columns:
            each = answer.values.unbind(1)
            columns |= {name: column.numpy() for name, column in zip(answer.columns, each, strict=True)}
        else:
            columns[answer.name] = answer.values.numpy()
    return columns


def prediction_types(targets: Sequence[ModelTarget]) -> tuple[ModelColumn, ...]:
    """What `prediction_columns` gives by name and type: a target with a shape of its own is one array."""
    types: list[ModelColumn] = []
    for target in targets:
        if target.shape:
            types.append(ModelColumn(name=target.name, type="long" if target.labels else "double", shape=target.shape))
            continue
        types.append(ModelColumn(name=target.name, type="string" if target.classes is not None else "double"))
        more: Sequence[str] = ()
        if target.classes is not None and (not target.labels or target.gives in OF_PROBABILITIES):
            more = target.classes
        elif target.roles and len(target.roles.names) > 1:
            more = target.roles.names
        types += [ModelColumn(name=f"{target.name}_{name}", type="double") for name in more]
    return tuple(types)


def class_names(positions: Array, classes: Sequence[str]) -> Array:
    """(rows,) positions -> (rows,) names, None for -1."""
    return np.array([*classes, None], dtype=object)[positions]


def _of_scores(target: ModelTarget, scores: torch.Tensor) -> list[ModelAnswer]:
    if scores.ndim > 2:  # a class for each position of an image or sequence
        return [ModelAnswer(target.name, target, scores.argmax(1))]
    assert target.classes is not None  # of scores that are not of positions
    predicted = [_chosen(target, scores.argmax(1), scores.isnan().any(1))]
    if target.gives == "scores":
        return [*predicted, _by_class(target, scores.double().softmax(1))]
    if target.gives == "log-probabilities":
        return [*predicted, _by_class(target, scores.double().exp())]
    return predicted


def _of_one(target: ModelTarget, output: torch.Tensor) -> list[ModelAnswer]:
    if target.classes is None:
        return [ModelAnswer(target.name, target, output)]
    import torch

    p = output.double().sigmoid() if target.gives == "logits" else output.double()
    return [_chosen(target, (p > 0.5).long(), p.isnan()), _by_class(target, torch.stack([1 - p, p], 1))]


def _of_roles(target: ModelTarget, roles: TargetRoles, outputs: torch.Tensor) -> list[ModelAnswer]:
    """The prediction under the target's name; where a target has several outputs, also each of these by what it is."""
    point = outputs[:, roles.point]
    answered = [ModelAnswer(target.name, target, point.exp() if roles.is_log else point)]
    if len(roles.names) > 1:
        columns = zip(roles.names, outputs.unbind(1), strict=True)
        answered += [ModelAnswer(f"{target.name}_{role}", target, column) for role, column in columns]
    return answered


def _shaped(target: ModelTarget, output: torch.Tensor) -> ModelAnswer:
    """The whole array; of one number or label a position, (rows, positions), a column each."""
    if target.gives is not None:
        output = output.double().sigmoid() if target.gives == "logits" else output.double()
    n_columns = output.shape[1] if output.ndim == 2 else 0
    return ModelAnswer(target.name, target, output, columns=tuple(f"{target.name}_{at}" for at in range(n_columns)))


def _chosen(target: ModelTarget, positions: torch.Tensor, lost: torch.Tensor) -> ModelAnswer:
    return ModelAnswer(target.name, target, positions.masked_fill(lost, -1), CLASS)


def _by_class(target: ModelTarget, probabilities: torch.Tensor) -> ModelAnswer:
    assert target.classes is not None
    columns = tuple(f"{target.name}_{name}" for name in target.classes)
    return ModelAnswer(f"{target.name}_probabilities", target, probabilities, PROBABILITIES, columns)


def lost_rows(columns: Mapping[str, Array]) -> Iterator[int]:
    """The rows of a block that have no answer, by position."""
    first = next(iter(columns.values()))
    lost = first == None if first.dtype == object else np.isnan(first.reshape(len(first), -1)).any(1)  # noqa: E711  # each cell
    yield from np.flatnonzero(lost).tolist()
