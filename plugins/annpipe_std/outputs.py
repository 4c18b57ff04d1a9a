"""The layer `output_of`: passes on one part of another layer's output (states, cells, weights, the last step)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from annpipe import layer

Part = Literal["sequence", "last_step", "hidden", "cell", "weights"]


@layer(name="output_of", example={"layer": {"LSTM": 32}, "part": "last_step"})
class OutputOf(torch.nn.Module):
    """A layer, and the part of its output that is passed on; without `output_of` that is the first item of a tuple.

    `sequence` is the value at each step, (rows, steps, features), and `last_step` that at the last one, (rows,
    features). Of torch's recurrent layers `hidden` is the last hidden state of the last layer and `cell` an LSTM's
    last cell, (rows, features); of `bidirectional` ones both directions side by side, each at the step it reads last,
    whereas `last_step` has the first step only of the backward direction. Of MultiheadAttention `weights` are those
    that it gives to steps, (rows, steps, steps), averaged over heads. Of any layer that gives a tuple a number is the
    place in it, from 0, and a list of numbers leads into tuples in tuples.

    Raises ValueError where the layer has no such part.
    """

    def __init__(
        self,
        layer: Annotated[torch.nn.Module, Field(description="the layer")],
        part: Annotated[
            Part | int | list[int], Field(ge=0, description="what flows on: a word, or places in the tuple")
        ],
    ) -> None:
        super().__init__()
        self.layer = layer
        self.part = part
        _check(layer, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output = self._whole_output(x)
        if self.part in ("hidden", "cell"):
            return self._state(output[1])
        value = output
        for index in self._indices(output):
            value = self._at(index, value)
        if self.part == "last_step" and value.ndim != 3:
            raise ValueError(
                f"it has no steps: {type(self.layer).__name__} has {value.ndim} dimensions of output, rows included"
            )
        part: torch.Tensor = value[:, -1] if self.part == "last_step" else value
        return part

    def _whole_output(self, x: torch.Tensor) -> Any:
        """The whole output of the layer; attention is that of a sequence to itself."""
        if isinstance(self.layer, torch.nn.MultiheadAttention):
            return self.layer(x, x, x, need_weights=self.part not in ("sequence", "last_step"))
        return self.layer(x)

    def _indices(self, output: Any) -> Sequence[int]:
        """The indices that lead to the part through nested tuples."""
        if isinstance(self.part, str):
            return [1] if self.part == "weights" else [0] * isinstance(output, tuple | list)
        return [self.part] if isinstance(self.part, int) else self.part

    def _at(self, index: int, value: Any) -> Any:
        parts = list(value) if isinstance(value, tuple | list) else []
        if index >= len(parts):
            what = f"a tuple of {len(parts)}, counted from 0" if parts else "a single tensor"
            raise ValueError(f"the output of {type(self.layer).__name__} is {what}; `part` is {self.part}")
        return parts[index]

    def _state(self, states: Any) -> torch.Tensor:
        """The hidden states or cells, (layers · directions, rows, features), of the last layer: (rows, features)."""
        both = states if isinstance(states, tuple) else (states,)
        state: torch.Tensor = both[1 if self.part == "cell" else 0]
        return torch.cat([*state[-2:]], -1) if self.layer.bidirectional else state[-1]

    def extra_repr(self) -> str:
        return str(self.part)


def _check(layer: torch.nn.Module, part: Part | int | list[int]) -> None:
    """Raises ValueError where a layer has no such part."""
    name = type(layer).__name__
    is_recurrent, has_cells = isinstance(layer, torch.nn.RNNBase), isinstance(layer, torch.nn.LSTM)
    if part in ("hidden", "cell") and not is_recurrent:
        raise ValueError(
            f"{name} has no `{part}`, as RNN, GRU and LSTM have; for a tuple give an index, as in `part: 1`"
        )
    if part == "cell" and not has_cells:
        raise ValueError(f"{name} has no `cell`, as LSTM has; say `part: hidden`")
    if part == "weights" and not isinstance(layer, torch.nn.MultiheadAttention):
        raise ValueError(f"{name} has no `weights`, as MultiheadAttention has")
    if part == []:
        raise ValueError("`part` is an empty list: give an index")
    if is_recurrent and not isinstance(part, str) and part not in (0, [0]):
        words = "`hidden` or `cell`" if has_cells else "`hidden`"
        raise ValueError(f"the states of {name} have the layers first, not the rows; say {words}")
