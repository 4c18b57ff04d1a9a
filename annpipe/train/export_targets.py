"""What the numbers mean that a saved model gives: what model.json says of the targets and of the loss."""

from __future__ import annotations

from typing import Any

from annpipe.contract import Dataset
from annpipe.plan.component import to_data
from annpipe.plan.losses import by_target, takes_classes
from annpipe.plan.plan import Plan
from annpipe.train.losses import with_weights
from annpipe.train.parts import Parts

OF_TWO = ("logits", "probabilities")


def described_targets(plan: Plan, train: Dataset) -> list[dict[str, Any]]:
    """Each target with its shape and words; where the model tells its classes, their names, and what it gives of each.

    `gives` is what the loss takes outputs for ("scores", "logits", "probabilities", "log-probabilities"), None for
    another loss: then the largest output is the class, and there are no probabilities.
    """
    labels = takes_classes(plan.loss, plan.registry)
    shape = plan.model[-1].output_shape
    found = []
    for name, field in plan.fields.targets.items():
        gives = _expected(plan, name)
        words = list(train.categories.get(name, field.categories))
        classes: list[str] | None = None
        if labels:
            classes = [*words[: shape[0]], *map(str, range(len(words), shape[0]))]
        elif gives in OF_TWO:
            classes = words or ["0", "1"]
        found.append({"name": name, "shape": list(field.shape), "words": words, "classes": classes, "gives": gives})
    return found


def _expected(plan: Plan, target: str) -> str | None:
    """What the losses that see a target take the model's output for."""
    for leaf, name in by_target(plan.loss):
        entry = plan.registry.find("loss", leaf.name)
        expects = entry.traits.get("expects") if entry else None
        if name in (None, target) and isinstance(expects, str):
            return expects
    return None


def described_loss(plan: Plan, parts: Parts) -> Any:
    """The loss as a spec says it, with the numbers that the train split gave for `balanced`."""
    return to_data(with_weights(plan, parts.rows["train"].y))
