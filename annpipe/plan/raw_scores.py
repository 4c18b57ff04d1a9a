"""Whether outputs of 0 or 1 are raw scores, whose middle is 0, or probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from annpipe.draft.component import Component
from annpipe.draft.losses import by_target
from annpipe.plan.plan import Layer
from annpipe.registry.traits import LayerTraits, LossTraits

PASSING = frozenset({"Identity", "Flatten", "Unflatten"})  # these change no value


def last_layer(layers: Sequence[Layer]) -> Component | None:
    """The last layer that changes values."""
    changing = [layer.component for layer in layers if layer.component.name not in PASSING]
    return changing[-1] if changing else None


def raw_targets(layers: Sequence[Layer], loss: Component, targets: Sequence[str]) -> frozenset[str]:
    """The targets whose outputs a loss makes raw scores of: it takes logits, and the last layer gives nothing else."""
    last = last_layer(layers)
    if last is not None and last.traits(LayerTraits).gives:
        return frozenset()
    compared = [target for leaf, target in by_target(loss) if leaf.traits(LossTraits).expects == "logits"]
    return frozenset(targets) if None in compared else frozenset(targets) & frozenset(compared)
