"""The values that layers `tap` while a model runs, by name, for layers further on."""

from __future__ import annotations

import threading

import torch

from annpipe.portable.stack import Stack


class Taps(threading.local):
    """The tapped values of one model by name: each thread has its own, and a copy begins with none."""

    def __init__(self) -> None:
        self.values: dict[str, torch.Tensor] = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()

    def value(self, name: str) -> torch.Tensor:
        """The value of the tap in this pass; raises RuntimeError where it has none yet."""
        if name not in self.values:
            raise RuntimeError(f"the tap '{name}' has no value yet")
        return self.values[name]


class TappedStack(Stack):
    """A whole model with taps, whose values are dropped after each pass."""

    def __init__(self, *layers: torch.nn.Module) -> None:
        super().__init__(*layers)
        held = (value for module in self.modules() for value in vars(module).values())
        self.taps = next((value for value in held if isinstance(value, Taps)), Taps())

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        try:
            return super().forward(input)
        finally:
            self.taps.values.clear()
