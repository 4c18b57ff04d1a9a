"""Checks that each split has rows, and that no layer is trained on a batch of one row which it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.errors import Problem
from annpipe.errors.wording import first_line
from annpipe.plan.plan import Layer
from annpipe.spec.sections.spec import Spec


def too_few(rows: int, counts: tuple[int, int], spec: Spec) -> Iterator[Problem]:
    """A split that is asked for and takes no row, or one that leaves none to train on."""
    folds, left = spec.split.folds, rows - counts[1]
    if folds and not spec.split.groups and left < folds:
        message = f"{folds} folds of {left} rows leave some empty"
        yield Problem("wrong-value", message, spec.place("data", "split", "folds"), f"take at most {left}")
        return
    if rows - sum(counts) < 1:
        message = f"the split leaves none of the {rows} rows to train on"
        yield Problem("wrong-value", message, spec.place("data", "split"), "lower the fractions")
    for name, count, fraction in zip(("val", "test"), counts, (spec.split.val, spec.split.test), strict=True):
        if fraction and not count:
            message = f"the {name} split of {fraction:g} takes none of the {rows} rows"
            yield Problem("wrong-value", message, spec.place("data", "split", name), "raise the fraction")


def lone_row(n_train: int, spec: Spec, layers: Sequence[Layer]) -> Iterator[Problem]:
    """A layer that cannot learn from a batch of one row (batch normalization), where the last batch has one."""
    size = n_train if spec.train.batch_size == "all" else min(spec.train.batch_size, n_train)
    last = n_train % size or size
    if last != 1 or (spec.train.drop_last and size > 1 and n_train > size):
        return
    reported = set()
    for layer, reason in _refusals(layers):
        if layer.component.place not in reported:
            reported.add(layer.component.place)
            of = "every batch" if size == 1 else f"the last batch of {n_train} rows by {size}"
            message = f"{of} has one row, and {layer.component.name} cannot learn from one: {reason}"
            help_ = "take another `batch_size`" + ("" if size == 1 else ", or `drop_last: true`")
            place = layer.component.place
            related = ((spec.place("train", "batch_size"), "the size of a batch"),)
            yield Problem("wrong-value", message, place, help_, related)


def _refusals(layers: Sequence[Layer]) -> Iterator[tuple[Layer, str]]:
    """The layers that refuse one row, the innermost where they stand inside others."""
    for layer in layers:
        inside = list(_refusals(layer.inside))
        yield from inside
        if not inside and (reason := _refusal(layer)):
            yield layer, reason


def _refusal(layer: Layer) -> str | None:
    """What the layer says of one row while training, where it takes two."""
    with torch.device("meta"):
        module = instantiate(layer.component).train()
    try:
        with torch.no_grad():
            module(_input(layer, 1))
    except Exception as error:  # a layer may refuse with anything; what it refuses of two rows too is no matter of rows
        reason = first_line(error)
    else:
        return None
    try:
        with torch.no_grad():
            module(_input(layer, 2))
    except Exception:
        return None
    return reason


def _input(layer: Layer, rows: int) -> torch.Tensor:
    return torch.empty((rows, *layer.input_shape), device="meta")
