"""What the numbers mean that a saved model gives: what model.json says of the targets and of the loss."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from annpipe.contract import Dataset
from annpipe.draft.component import Component, to_data
from annpipe.draft.losses import by_target, takes_classes
from annpipe.plan.plan import Plan
from annpipe.plan.predictions import plan_roles
from annpipe.registry.traits import LossTraits
from annpipe.train.loop.figures import output_parts
from annpipe.train.losses import with_weights
from annpipe.train.parts import Parts

OF_TWO = ("logits", "probabilities")


def described_targets(plan: Plan, train: Dataset) -> list[dict[str, Any]]:
    """Each target with its shape and words, and which columns of the output predict it (`span`, None for all).

    `labels` tells that these are scores of classes; where the model tells classes, `classes` names them. `gives` is
    what the loss takes outputs for ("scores", "logits", "probabilities", "log-probabilities"), None for another loss:
    then the largest output is the class, and there are no probabilities. `roles` says what the outputs of a target are
    that are not its value (`annpipe.OutputRoles`).
    """
    parts = output_parts(plan)
    losses = {head.name: head.loss for head in plan.outputs}
    known = plan_roles(plan)
    found = []
    for name, field in plan.fields.targets.items():
        loss, span = losses.get(name, plan.loss), parts[name].span
        gives, labels = _expected(plan, loss, name), takes_classes(loss)
        words = list(train.categories.get(name, field.categories))
        classes: list[str] | None = None
        if labels:
            width = plan.model[-1].output_shape[0] if span is None else span[1] - span[0]
            classes = [*words[:width], *map(str, range(len(words), width))]
        elif gives in OF_TWO:
            classes = words or ["0", "1"]
        told = {
            "name": name,
            "type": field.type,
            "shape": list(field.shape),
            "span": span and list(span),
            "labels": labels,
        }
        roles = {"roles": asdict(own)} if (own := known[name]) else {}
        found.append(told | {"words": words, "classes": classes, "gives": gives} | roles)
    return found


def _expected(plan: Plan, loss: Component, target: str) -> str | None:
    """What the losses that see a target take the model's output for."""
    for leaf, name in by_target(loss):
        expects = leaf.traits(LossTraits).expects
        if name in (None, target) and expects is not None:
            return expects
    return None


def described_loss(plan: Plan, parts: Parts) -> dict[str, Any]:
    """What a spec says of the loss by the path at which it does, with the numbers that the train split gave for
    `balanced`: `loss`, or that of each head.
    """
    loss = with_weights(plan, parts.rows["train"].y)
    if not plan.outputs:
        return {"loss": to_data(loss)}
    return {f"model.outputs.{head.name}.loss": to_data(loss.options["losses"][head.name]) for head in plan.outputs}
