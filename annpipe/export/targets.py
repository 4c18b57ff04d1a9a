"""The targets and the loss of a plan as model.json describes them: what the numbers mean that the model gives."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from annpipe.contract import Dataset
from annpipe.draft.component import Component, to_data
from annpipe.draft.losses import by_target, takes_classes
from annpipe.plan.output_roles import plan_roles
from annpipe.plan.plan import Plan
from annpipe.portable.description import ModelTarget, TargetRoles
from annpipe.registry.traits import LossTraits
from annpipe.train.loop.figures import output_parts
from annpipe.train.losses import with_weights
from annpipe.train.parts import Parts

OF_TWO = ("logits", "probabilities")


def model_targets(plan: Plan, train: Dataset) -> tuple[ModelTarget, ...]:
    """Each target of the plan, with the words of its values and the columns of the output that predict it."""
    parts, roles = output_parts(plan), plan_roles(plan)
    losses = {head.name: head.loss for head in plan.outputs}
    targets = []
    for name, field in plan.fields.targets.items():
        loss, span = losses.get(name, plan.loss), parts[name].span
        gives, labels = _expected(plan, loss, name), takes_classes(loss)
        words = tuple(train.categories.get(name, field.categories))
        classes: tuple[str, ...] | None = None
        if labels:
            width = plan.model[-1].output_shape[0] if span is None else span[1] - span[0]
            classes = (*words[:width], *map(str, range(len(words), width)))
        elif gives in OF_TWO:
            classes = words or ("0", "1")
        target = ModelTarget(
            name=name,
            type=field.type,
            shape=tuple(field.shape),
            span=None if span is None else (span[0], span[1]),
            labels=labels,
            words=words,
            classes=classes,
            gives=gives,
            roles=TargetRoles(**asdict(role)) if (role := roles[name]) else None,
        )
        targets.append(target)
    return tuple(targets)


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
