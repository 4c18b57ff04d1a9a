"""The loss of a run, with the weights that its data gives."""

from __future__ import annotations

import torch

from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.component import Component
from annpipe.plan.losses import compares_classes, weighted
from annpipe.plan.plan import Plan


def build_loss(plan: Plan, y: torch.Tensor) -> torch.nn.Module:
    """The plan's loss; `y` are the targets of the train split, (rows, …) labels or (rows, outputs) of 0 and 1."""
    loss = instantiate(with_weights(plan, y), plan.registry, target_names=list(plan.fields.targets))
    assert isinstance(loss, torch.nn.Module)
    return loss


def with_weights(plan: Plan, y: torch.Tensor) -> Component:
    """The plan's loss with numbers out of the targets `y` of the train split where it says `balanced`."""
    width = plan.model[-1].output_shape[0] if plan.model[-1].output_shape else 1
    spans = plan.loss.options["spans"] if plan.outputs else {}
    names = list(plan.fields.targets)

    def weights(loss: Component, target: str | None) -> list[float]:
        if compares_classes(loss, plan.registry):
            start, stop = spans.get(target, (0, width))
            labels = y if target is None else y[:, names.index(target)].round().long()
            return class_weights(labels, stop - start)
        return positive_weights(y if target is None else y[:, names.index(target)])

    return weighted(plan.loss, plan.registry, weights)


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
