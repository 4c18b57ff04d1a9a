"""What is allowed in a model but rarely meant: warnings at their lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annpipe.errors import Problem
from annpipe.plan.plan import Layer
from annpipe.registry import Registry

PASSING = frozenset({"Identity", "Flatten", "Unflatten"})  # these change no value


def linear_collapse(layers: Sequence[Layer], registry: Registry) -> Iterator[Problem]:
    """Two linear layers with no nonlinearity between them: W₂(W₁x + b₁) + b₂ is again Wx + b."""
    before: Layer | None = None
    for layer in layers:
        component = layer.component
        if component.name in PASSING:
            continue
        entry = registry.find("layer", component.name)
        is_linear = bool(entry and entry.traits.get("linear"))
        if is_linear and before is not None:
            first = before.component
            related = ((first.place, "after this one"),) if first.place else ()
            yield Problem(
                "linear-collapse",
                f"{first.name} and {component.name} meet with no nonlinearity between them: "
                "together they are equal to one linear layer",
                component.place,
                "put an activation such as ReLU between them, unless this is what you want to see",
                related,
                severity="warning",
            )
        before = layer if is_linear else None
