"""Stands in for annpipe beside a saved model: the copy of a plugin file imports its names from here.

A saved model needs its layers, and nothing of annpipe. Each name of annpipe that a plugin file takes is found here as
something harmless: a mark returns what it marks, an error can be raised and caught, and any other name is a class that
can be called, subclassed, subscripted and joined with `|`, with any arguments. The copy of this file beside a model
ends with annpipe's real `Stack` and `Taps`, since layers run them.
"""

from __future__ import annotations

import threading
from typing import Any

import torch

MARKS = (
    *("average", "callback", "data", "distribution", "initializer", "layer", "loss", "metric", "optimizer", "plot"),
    *("scheduler", "transform"),
)


class _Lenient(type):
    """The class of stand-in classes: an attribute that is asked for is another stand-in."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name)


class StandIn(metaclass=_Lenient):
    """Takes any arguments, keeps those that have a name, and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        vars(self).update(kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Takes any arguments of a class statement."""

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else type(self)()

    def __str__(self) -> str:
        return ""


class StandInError(Exception):
    """An error with annpipe's words: those without a name, in their order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(": ".join(map(str, args)))
        vars(self).update(kwargs)


def mark(component: Any = None, /, *args: Any, **kwargs: Any) -> Any:
    """A decorator that marks nothing, with or without arguments."""
    return component if callable(component) else lambda marked: marked


def stand_in(name: str) -> Any:
    """What stands in for a name of annpipe's: always the same, so that what is raised under it is caught under it."""
    if name not in globals():
        base: Any = StandInError if name.endswith(("Error", "Exception", "Fault", "NotFound")) else StandIn
        globals()[name] = mark if name in MARKS else type(base)(name, (base,), {})
    return globals()[name]


def option_bounds(*args: Any, **kwargs: Any) -> None:
    """Stands in for pydantic's `Field`: bounds and words of options, which the model does not need."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return stand_in(name)


class Stack(torch.nn.Sequential):
    """Layers run one after another; of a layer that gives a tuple the first flows on.

    That is an LSTM's or GRU's sequence of hidden states (rows, steps, features) and an attention's output; the states
    after the last step, and attention's weights, are let go.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        for module in self:
            output = passed(module, input)
            input = output[0] if isinstance(output, tuple | list) else output
        return input


def passed(module: torch.nn.Module, input: torch.Tensor) -> Any:
    """What a layer gives; an attention takes what arrives as query, key and value, and computes no weights."""
    if isinstance(module, torch.nn.MultiheadAttention):
        return module(input, input, input, need_weights=False)
    return module(input)


class Taps(threading.local):
    """The tapped values of one model by name: each thread has its own, and a copy begins with none."""

    def __init__(self) -> None:
        self.values: dict[str, torch.Tensor] = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()

    def value(self, name: str) -> torch.Tensor:
        """What flowed through the tap; raises RuntimeError where nothing has yet."""
        if name not in self.values:
            raise RuntimeError(f"nothing has flowed through the tap '{name}' yet")
        return self.values[name]


__all__ = [
    "Archive",
    "ArchiveError",
    "Blocks",
    "CellFormat",
    "Dataset",
    "Entry",
    "Expression",
    "Field",
    "Fields",
    "Look",
    "Loss",
    "LossTerm",
    "MetricKey",
    "OptionError",
    "Outline",
    "OutputRoles",
    "Registry",
    "Remark",
    "RunView",
    "Slab",
    "Stack",
    "Stepping",
    "Taps",
    "Typing",
    "average",
    "callback",
    "cell_numbers",
    "cell_texts",
    "check_bound",
    "check_memory",
    "data",
    "describe",
    "did_you_mean",
    "distribution",
    "initializer",
    "layer",
    "loss",
    "metric",
    "named_files",
    "one_line",
    "open_file",
    "optimizer",
    "plot",
    "run",
    "run_sweep",
    "scheduler",
    "transform",
]
