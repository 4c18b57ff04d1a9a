"""The callback `gradient_norms`: records the norm of the gradient of each layer while a run trains."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from annpipe import Look, callback, norms_by_layer
from annpipe_std.callbacks.interval import Interval


@callback(name="gradient_norms")
class GradientNorms:
    """Records the Euclidean norm of each layer's gradient as `gradient_norm/<layer>`, a curve for each layer.

    The gradients are those that the last step before took, clipped if the run clips them. `annpipe inspect --gradients`
    shows them.
    """

    def __init__(
        self, every: Annotated[int, Field(gt=0, description="Record each time so many epochs have passed.")] = 1
    ) -> None:
        self._every = Interval(every)

    def on_look(self, look: Look) -> None:
        """Records where it is time."""
        if self._every.is_due(look.epoch):
            norms = norms_by_layer(look.gradients())
            look.record({f"gradient_norm/{layer}": norm for layer, norm in norms.items()})

    def state_dict(self) -> dict[str, int]:
        return {"last": self._every.last}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._every.last = state["last"]
