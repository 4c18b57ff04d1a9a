"""Columns to read out of a network's outputs: class names and their probabilities, numbers in the units of the data.

A copy of this file goes beside `answering.py` into every MLflow model, so that it answers as `annpipe predict` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .description import ModelColumn, ModelTarget, TargetRoles

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any]

PROBABILITIES = ("scores", "log-probabilities")  # what a network may give for each class that tells its probability


def prediction_columns(targets: Sequence[ModelTarget], outputs: torch.Tensor) -> dict[str, Array]:
    """A column for each target, and for each of its classes where the model gives probabilities.

    `outputs` is (rows, …), of which each target has its columns: one, or the scores of its classes. A row whose outputs
    are NaN has no prediction: NaN or None.
    """
    columns: dict[str, Array] = {}
    for target in targets:
        output = outputs if target.span is None else outputs[:, slice(*target.span)]
        if target.labels:
            columns |= _of_scores(target, output)
        elif target.roles:
            columns |= _of_roles(target.name, target.roles, output)
        elif target.shape:
            columns |= _shaped(target, output)
        else:
            columns |= _of_one(target, output[:, 0])
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
        if target.classes is not None and (not target.labels or target.gives in PROBABILITIES):
            more = target.classes
        elif target.roles and len(target.roles.names) > 1:
            more = target.roles.names
        types += [ModelColumn(name=f"{target.name}_{name}", type="double") for name in more]
    return tuple(types)


def _of_scores(target: ModelTarget, scores: torch.Tensor) -> dict[str, Array]:
    if scores.ndim > 2:  # a class for each position of an image or sequence
        return {target.name: scores.argmax(1).numpy()}
    assert target.classes is not None  # of scores that are not of positions
    predicted = {target.name: _named(scores.argmax(1), scores.isnan().any(1), target.classes)}
    if target.gives == "scores":
        return predicted | _by_class(target.name, target.classes, scores.double().softmax(1).numpy())
    if target.gives == "log-probabilities":
        return predicted | _by_class(target.name, target.classes, scores.double().exp().numpy())
    return predicted


def _of_one(target: ModelTarget, output: torch.Tensor) -> dict[str, Array]:
    if target.classes is None:
        return {target.name: output.numpy()}
    p = output.double().sigmoid() if target.gives == "logits" else output.double()
    predicted = {target.name: _named((p > 0.5).long(), p.isnan(), target.classes)}
    return predicted | _by_class(target.name, target.classes, np.stack([1 - p.numpy(), p.numpy()], 1))


def _of_roles(name: str, roles: TargetRoles, outputs: torch.Tensor) -> dict[str, Array]:
    """The prediction under the target's name; where a target has several outputs, also each of these by what it is."""
    point = outputs[:, roles.point]
    columns = {name: (point.exp() if roles.is_log else point).numpy()}
    if len(roles.names) > 1:
        columns |= {f"{name}_{role}": column.numpy() for role, column in zip(roles.names, outputs.T, strict=True)}
    return columns


def _shaped(target: ModelTarget, output: torch.Tensor) -> dict[str, Array]:
    """The whole array; of one number or label a position, (rows, positions), a column each."""
    if target.gives is not None:
        output = output.double().sigmoid() if target.gives == "logits" else output.double()
    if output.ndim != 2:
        return {target.name: output.numpy()}
    return {f"{target.name}_{position}": column.numpy() for position, column in enumerate(output.unbind(1))}


def _named(chosen: torch.Tensor, lost: torch.Tensor, names: Sequence[str]) -> Array:
    words: Array = np.array(names, dtype=object)[chosen.numpy()]
    words[lost.numpy()] = None
    return words


def _by_class(target: str, names: Sequence[str], probabilities: Array) -> dict[str, Array]:
    return {f"{target}_{name}": p for name, p in zip(names, probabilities.T, strict=True)}


def lost_rows(columns: Mapping[str, Array]) -> Iterator[int]:
    """The rows of a block that have no answer, by position."""
    first = next(iter(columns.values()))
    lost = first == None if first.dtype == object else np.isnan(first.reshape(len(first), -1)).any(1)  # noqa: E711  # each cell
    yield from np.flatnonzero(lost).tolist()
