"""Warns of targets outside the range of the last layer, when a run begins, since only the data has their range."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from annpipe.draft.losses import leaves, takes_classes
from annpipe.plan.plan import Plan
from annpipe.plan.warnings import PASSING
from annpipe.registry.traits import LayerTraits, LossTraits


def unreachable_targets(plan: Plan, y: torch.Tensor) -> Iterator[str]:
    """What the last layer can never give of the train targets `y`, (rows, targets), in words, for each such target."""
    changing = [layer.component for layer in plan.model if layer.component.name not in PASSING]
    limits = changing[-1].traits(LayerTraits).range if changing else None
    if limits is None or takes_classes(plan.loss) or _is_other(plan):
        return
    low, high = limits
    for position, name in enumerate(
        plan.fields.targets if y.ndim == 2 and y.shape[1] == len(plan.fields.targets) else ()
    ):
        least, most = float(y[:, position].min()), float(y[:, position].max())
        where = f"{changing[-1].name}, the last layer, gives "
        if low is not None and least < low:
            yield f"{where}no number below {low:g}, and '{name}' goes down to {least:g}"
        if high is not None and most > high:
            yield f"{where}no number above {high:g}, and '{name}' goes up to {most:g}"


def _is_other(plan: Plan) -> bool:
    """Whether the loss takes the output for something else than the target's value."""
    return any(leaf.traits(LossTraits).expects for leaf in leaves(plan.loss))
