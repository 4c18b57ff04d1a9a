"""Outputs of a network → columns to read: class names and their probabilities, numbers in the units of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


def answers(targets: Sequence[Mapping[str, Any]], outputs: torch.Tensor) -> dict[str, Array]:
    """A column for each target, and for each of its classes where the model tells probabilities.

    `targets` are those of model.json, `outputs` is (rows, …), of which each target has its columns: one, or the scores
    of its classes. A row whose outputs are NaN has no answer: NaN or None.
    """
    found: dict[str, Array] = {}
    for target in targets:
        own = outputs if target["span"] is None else outputs[:, slice(*target["span"])]
        if target["labels"]:
            found |= _of_scores(target, own)
        elif roles := target.get("roles"):
            found |= _of_roles(target["name"], roles, own)
        elif target["shape"]:
            found |= _shaped(target, own)
        else:
            found |= _of_one(target, own[:, 0])
    return found


def _of_scores(target: Mapping[str, Any], scores: torch.Tensor) -> dict[str, Array]:
    names, gives = target["classes"], target["gives"]
    if scores.ndim > 2:  # a class for each place of an image or sequence
        return {target["name"]: scores.argmax(1).numpy()}
    found = {target["name"]: _named(scores.argmax(1), scores.isnan().any(1), names)}
    if gives == "scores":
        return found | _by_class(target["name"], names, scores.double().softmax(1))
    if gives == "log-probabilities":
        return found | _by_class(target["name"], names, scores.double().exp())
    return found


def _of_one(target: Mapping[str, Any], output: torch.Tensor) -> dict[str, Array]:
    if target["classes"] is None:
        return {target["name"]: output.numpy()}
    share = output.double().sigmoid() if target["gives"] == "logits" else output.double()
    classes = target["classes"]
    found = {target["name"]: _named((share > 0.5).long(), share.isnan(), classes)}
    return found | _by_class(target["name"], classes, torch.stack([1 - share, share], 1))


def _of_roles(name: str, roles: Mapping[str, Any], outputs: torch.Tensor) -> dict[str, Array]:
    """The prediction under the target's name; where a target has several outputs, also each of these by what it is."""
    point = outputs[:, roles["point"]]
    found = {name: (point.exp() if roles["is_log"] else point).numpy()}
    if len(roles["names"]) > 1:
        found |= {f"{name}_{role}": column.numpy() for role, column in zip(roles["names"], outputs.T, strict=True)}
    return found


def _shaped(target: Mapping[str, Any], output: torch.Tensor) -> dict[str, Array]:
    """The whole array; of one number or label a place, (rows, places), a column each."""
    if target["gives"] is not None:
        output = output.double().sigmoid() if target["gives"] == "logits" else output.double()
    if output.ndim != 2:
        return {target["name"]: output.numpy()}
    return {f"{target['name']}_{place}": column.numpy() for place, column in enumerate(output.unbind(1))}


def _named(chosen: torch.Tensor, lost: torch.Tensor, names: Sequence[str]) -> Array:
    words: Array = np.array(names, dtype=object)[chosen.numpy()]
    words[lost.numpy()] = None
    return words


def _by_class(target: str, names: Sequence[str], shares: torch.Tensor) -> dict[str, Array]:
    return {f"{target}_{name}": share.numpy() for name, share in zip(names, shares.unbind(1), strict=True)}


def lost_rows(columns: Mapping[str, Array]) -> Iterator[int]:
    """The rows of a block that have no answer, by position."""
    first = next(iter(columns.values()))
    lost = first == None if first.dtype == object else np.isnan(first.reshape(len(first), -1)).any(1)  # noqa: E711  # each cell
    yield from np.flatnonzero(lost).tolist()
