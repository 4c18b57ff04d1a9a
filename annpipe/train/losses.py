"""Builds the loss of a run, with the class weights that its data gives, and checks its labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.draft.component import Component
from annpipe.draft.losses import compares_classes, ignored_label, takes_classes, weighted
from annpipe.errors import RunError
from annpipe.plan.plan import Plan


def build_loss(plan: Plan, y: torch.Tensor) -> torch.nn.Module:
    """The plan's loss; `y` are the targets of the train split, (rows, …) labels or (rows, outputs) of 0 and 1."""
    loss = instantiate(with_weights(plan, y), target_names=list(plan.fields.targets))
    assert isinstance(loss, torch.nn.Module)
    return loss


def check_labels(plan: Plan, y: Mapping[str, torch.Tensor]) -> None:
    """Raises RunError for class labels that no output stands for, and where no label counts.

    `y` are the targets of each split, (rows, …).
    """
    last, names = plan.model[-1].output_shape, list(plan.fields.targets)
    heads: list[tuple[str, Component, int, int | None]] = []
    if plan.outputs:
        spans = plan.loss.options["spans"]
        heads = [(h.name, h.loss, spans[h.name][1] - spans[h.name][0], names.index(h.name)) for h in plan.outputs]
    elif last:
        heads = [(names[0], plan.loss, last[0], None)]
    for name, loss, width, column in heads:
        if not takes_classes(loss):
            continue
        for split, values in y.items():
            labels = values if column is None else values[:, column].round().long()
            _check_labels(f"'{name}' in the {split} split", labels, width, ignored_label(loss))


def _check_labels(what: str, labels: torch.Tensor, width: int, ignored: int | None) -> None:
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored
    if not bool(counts.any()):
        raise RunError(f"all labels of {what} are {ignored}, which `ignore_index` leaves out: there is no loss to take")
    wrong = counts & ((labels < 0) | (labels >= width))
    if bool(wrong.any()):
        row = int(wrong.reshape(len(labels), -1).any(1).nonzero()[0])
        label = int(labels[wrong].flatten()[0])
        message = f"the loss takes class labels from 0 to {width - 1}, one for each of the {width} outputs; {what} has"
        where = f"(row {row} of the split, from 0)"
        raise RunError(f"{message} {label} {where}: correct the labels or the last layer's width")


def with_weights(plan: Plan, y: torch.Tensor) -> Component:
    """The plan's loss with numbers out of the targets `y` of the train split where it says `balanced`."""
    width = plan.model[-1].output_shape[0] if plan.model[-1].output_shape else 1
    spans = plan.loss.options["spans"] if plan.outputs else {}
    names = list(plan.fields.targets)

    def weights(loss: Component, target: str | None) -> list[float]:
        if compares_classes(loss):
            start, stop = spans.get(target, (0, width))
            labels = y if target is None else y[:, names.index(target)].round().long()
            return class_weights(labels, stop - start)
        return positive_weights(y if target is None else y[:, names.index(target)])

    return weighted(plan.loss, weights)


def class_weights(labels: torch.Tensor, width: int) -> list[float]:
    """A weight for each class, n / (k · count): all k classes then weigh the same (King and Zeng, 2001).

    Outputs beyond the largest label never compare with a row; theirs is 1. Raises RunError for a class without rows.
    """
    counts = torch.bincount(labels.flatten().cpu()).tolist()
    absent = [str(number) for number, count in enumerate(counts) if count == 0]
    if absent:
        classes = f"class {absent[0]} has" if len(absent) == 1 else f"the classes {', '.join(absent)} have"
        raise RunError(f"`weight: balanced`: {classes} no rows in the train split, so there is no weight to give")
    n, k = sum(counts), len(counts)
    return [n / (k * count) for count in counts] + [1.0] * (width - k)


def positive_weights(targets: torch.Tensor) -> list[float]:
    """A weight of the 1s for each output: how many 0s there are for each of them."""
    ones = targets.reshape(len(targets), -1).double().cpu().sum(0)
    if bool((ones == 0).any()):
        raise RunError("`pos_weight: balanced`: an output has no 1 in the train split, so there is no weight to give")
    weights: list[float] = ((len(targets) - ones) / ones).tolist()
    return weights
