"""What does a loss compare with, and what of it comes from the data? Losses may hold others: asked of each inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from annpipe.plan.component import Component, components_in, transform
from annpipe.registry import Registry
from annpipe.registry.types import Choice, Named, alternatives

BALANCED = "balanced"


def leaves(loss: Component) -> Iterator[Component]:
    """The losses that compare: the loss itself, or those that it is made of."""
    inner = [part for part in components_in(dict(loss.options)) if part.kind == "loss"]
    if not inner:
        yield loss
    for part in inner:
        yield from leaves(part)


def compares_classes(loss: Component, registry: Registry) -> bool:
    """Whether a single loss compares with int64 class labels."""
    entry = registry.find("loss", loss.name)
    return bool(entry and entry.traits.get("target") == "classes")


def takes_classes(loss: Component, registry: Registry) -> bool:
    """Whether the targets are class labels: what each loss inside compares with."""
    return all(compares_classes(leaf, registry) for leaf in leaves(loss))


def balanced(loss: Component, registry: Registry) -> list[str]:
    """The options of a single loss whose numbers are to come from the train split."""
    entry = registry.find("loss", loss.name)
    return [
        option.name
        for option in (entry.options if entry else ())
        if loss.options.get(option.name) == BALANCED and _may_be_balanced(alternatives(option.option_type))
    ]


def _may_be_balanced(members: Any) -> bool:
    return Named("tensor") in members and any(isinstance(m, Choice) and BALANCED in m.values for m in members)


def weighted(loss: Component, registry: Registry, weights: Callable[[Component], Any]) -> Component:
    """The loss with numbers for `balanced`: what `weights` gives for each loss that asks for them."""
    names = balanced(loss, registry)
    own = loss.with_options(**dict.fromkeys(names, weights(loss))) if names else loss

    def inside(part: Component) -> Component:
        return weighted(part, registry, weights) if part.kind == "loss" else part

    return own.with_options(**{name: transform(value, inside) for name, value in own.options.items()})


def unweighted(loss: Component, registry: Registry) -> Component:
    """The loss without weights that come from the data, to be tried before there is any."""
    return weighted(loss, registry, lambda part: None)
