"""The layers and parameters of models that were run on the meta device, kept for the next plan of the same spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from annpipe.contract import Fields
from annpipe.draft.sections import Draft

if TYPE_CHECKING:  # a sweep holds a cache before it knows that its specs are right, and torch takes seconds to import
    from torch.nn import Parameter

    from annpipe.plan.plan import Layer


class ShapeCache:
    """Layers and parameters by the model that they are of: the same model is not run again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Layer, ...], Mapping[str, Parameter]]] = {}

    def model(self, drafted: Draft, fields: Fields) -> tuple[tuple[Layer, ...], Mapping[str, Parameter]]:
        """The filled layers of a draft's model, with their shapes, and its parameters by name; raises SpecError."""
        from annpipe.plan.checks.refusals import parameters_of
        from annpipe.plan.shapes.run import run_shapes

        # Also the places count: what is wrong elsewhere with one of the layers is reported at its own.
        key = repr((drafted.model, drafted.blocks, drafted.head.plugins, fields))
        if key not in self._known:
            layers = run_shapes(drafted.model, drafted.data, fields)
            self._known[key] = layers, parameters_of(layers)
        return self._known[key]
