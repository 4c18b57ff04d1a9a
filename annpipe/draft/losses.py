"""What a loss compares with (values or labels), and its weights that come from the data; for nested losses, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from annpipe.draft.component import Component, components_in, transform
from annpipe.registry.traits import LossTraits
from annpipe.registry.types import Choice, Named, alternatives

BALANCED = "balanced"
Weights = Callable[[Component, str | None], Any]


def by_target(loss: Component, target: str | None = None) -> Iterator[tuple[Component, str | None]]:
    """The losses that compare, each with the target that it is for: losses in a mapping are one for each target."""
    inside = list(_inside(loss, target))
    if not inside:
        yield loss, target
    for part, name in inside:
        yield from by_target(part, name)


def _inside(loss: Component, target: str | None) -> Iterator[tuple[Component, str | None]]:
    for value in loss.options.values():
        named = value.items() if isinstance(value, Mapping) else [(target, value)]
        for name, item in named:
            yield from ((part, name) for part in components_in(item) if part.kind == "loss")


def leaves(loss: Component) -> Iterator[Component]:
    """The losses that compare: the loss itself, or those that it is made of."""
    yield from (leaf for leaf, _ in by_target(loss))


def expected(loss: Component, target: str) -> str | None:
    """What the losses that see a target take the model's output for, as "logits"; None for the target's own value."""
    for leaf, name in by_target(loss):
        expects = leaf.traits(LossTraits).expects
        if name in (None, target) and expects is not None:
            return expects
    return None


def ignored_label(loss: Component) -> int | None:
    """The label of a single loss whose rows do not count; None for a loss without one, and for several losses."""
    compared = list(leaves(loss))
    label = compared[0].options.get("ignore_index") if len(compared) == 1 else None
    return label if isinstance(label, int) else None


def compares_classes(loss: Component) -> bool:
    """Whether a single loss compares with int64 class labels."""
    return loss.traits(LossTraits).target == "classes"


def takes_classes(loss: Component) -> bool:
    """Whether the targets are class labels: what each loss inside compares with. Those of heads are each for itself."""
    if loss.traits(LossTraits).end is not None:
        return False
    return all(compares_classes(leaf) for leaf in leaves(loss))


def balanced(loss: Component) -> list[str]:
    """The options of a single loss whose numbers are to come from the train split."""
    return [
        option.name
        for option in loss.entry.options
        if loss.options.get(option.name) == BALANCED and _may_be_balanced(alternatives(option.option_type))
    ]


def _may_be_balanced(members: Any) -> bool:
    return Named("tensor") in members and any(isinstance(m, Choice) and BALANCED in m.values for m in members)


def weighted(loss: Component, weights: Weights, target: str | None = None) -> Component:
    """The loss with numbers for `balanced`: what `weights` gives for each loss that asks for them, and its target."""
    names = balanced(loss)
    balanced_loss = loss.with_options(**dict.fromkeys(names, weights(loss, target))) if names else loss

    def inside(value: Any, name: str | None) -> Any:
        return transform(value, lambda part: weighted(part, weights, name) if part.kind == "loss" else part)

    options = {
        key: {name: inside(item, name) for name, item in value.items()}
        if isinstance(value, Mapping)
        else inside(value, target)
        for key, value in balanced_loss.options.items()
    }
    return balanced_loss.with_options(**options)


def unweighted(loss: Component) -> Component:
    """The loss without weights that come from the data, to be tried before there is any."""
    return weighted(loss, lambda part, target: None)
