"""Components as expressions of a script, with the imports and copied sources that they need."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from annpipe.backend.instantiate import fitted
from annpipe.draft.blocks import used_block
from annpipe.draft.component import Component, transform
from annpipe.eject.imports import Imports
from annpipe.eject.layout import Argument, Code, Group, call, flat, literal
from annpipe.eject.refused import NotEjected, refused
from annpipe.eject.sources import Sources
from annpipe.expression import Expression as Formula
from annpipe.registry.entry import Parameter
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import holds_stacks

BY_POSITION = 2  # arguments that a reader of torch knows without their names: `nn.Linear(1, 100)`
PACKAGES = {
    "torch.nn": "nn.",
    "torch.nn.init": "nn.init.",
    "torch.optim": "torch.optim.",
    "torch.optim.lr_scheduler": "torch.optim.lr_scheduler.",
}
RESERVED = frozenset(
    {
        *("torch", "nn", "np", "pd", "plt", "math", "copy", "Path", "HERE", "SEED", "EPOCHS", "BATCH_SIZE", "STEPS"),
        *("model", "loss_function", "optimizer", "scheduler", "averaged", "generator", "inputs", "targets", "order"),
        *("x_train", "y_train", "x_val", "y_val", "x_test", "y_test", "train", "val", "test", "epoch", "step", "loss"),
        *("train_losses", "val_losses", "total", "seen", "rows", "batch", "parameters", "columns", "table", "taps"),
        *("target_scale", "prediction", "figure", "axes", "closure", "parts", "weight", "value", "best", "data"),
        *("train_rows", "val_rows", "test_rows", "shuffle", "measure", "transform", "x", "y", "trained", "current"),
    }
)
"""The names that a script may have itself."""


@dataclass
class Writer:
    """Writes components as expressions; `shared` has the names of blocks that were built before."""

    has_tuples: bool = False
    imports: Imports = field(default_factory=Imports)
    shared: dict[str, str] = field(default_factory=dict)
    uses_taps: bool = False

    def __post_init__(self) -> None:
        self.sources = Sources(self.imports, set(RESERVED), self.has_tuples)
        self.imports.module("torch")
        self.imports.member("torch", "nn")

    def call(
        self, component: Component, before: Sequence[Argument] = (), supplied: Mapping[str, Code] | None = None
    ) -> Code:
        """The call that builds a component; `before` are arguments that stand first, `supplied` others by name.

        Only what differs from the defaults is written.
        """
        if component.traits(LayerTraits).block:
            return self.stack(component.options["layers"])
        if block := used_block(component):
            return self._shared(block, component)
        arguments = [*before, *self._arguments(component, supplied or {}, len(before))]
        return call(self.name(component), *arguments)

    def _shared(self, block: str, component: Component) -> Code:
        """A block with one set of weights: built and named where it is first used."""
        if block in self.shared:
            return self.shared[block]
        name = f"shared_{len(self.shared) + 1}"
        built = self.stack(component.options["stack"])
        assert isinstance(built, Group)
        self.shared[block] = name
        return Group(f"({name} := {built.head}", built.arguments, ("(", "))"), spread=built.spread)

    def name(self, component: Component) -> str:
        """What the class or function is called in the script: torch's own, or a copy."""
        module, _, attribute = component.entry.target.rpartition(":")
        if component.entry.loaded is None and module in PACKAGES:
            return PACKAGES[module] + attribute
        if component.entry.loaded is None and module.partition(".")[0] == "torch":
            return self.imports.member(module, attribute)
        try:
            return self.sources.of(component.load())
        except (NotEjected, OSError, TypeError, SyntaxError) as error:
            raise refused(component, str(error)) from error

    def _arguments(self, component: Component, supplied: Mapping[str, Code], n_before: int) -> list[Argument]:
        """The arguments in the order of the signature, in which annpipe makes them too: random numbers are drawn so."""
        is_torch = component.entry.target.startswith("torch.")
        natives = component.traits(LayerTraits).native_defaults
        defaults = _own_defaults(component) if is_torch else {}
        names = _positional(component) if is_torch else []
        arguments: list[Argument] = []
        by_position = not n_before
        for parameter in component.entry.parameters:
            if parameter.name in supplied:
                value: Code | None = supplied[parameter.name]
            else:
                value = self._option(component, parameter, {**defaults, **natives})
            if value is None:
                by_position = False
                continue
            number = len(arguments)
            if by_position and number < BY_POSITION and names[number : number + 1] == [parameter.name]:
                arguments.append(value)
            else:
                by_position = False
                arguments.append((f"{parameter.name}=", value))
        return arguments

    def _option(self, component: Component, parameter: Parameter, natives: Mapping[str, Any]) -> Code | None:
        """The value of an option; None where it is the default."""
        if parameter.supplied and parameter.name == "tap_values":
            self.uses_taps = True
            return "taps"
        if parameter.name not in component.options:
            return None
        value = component.options[parameter.name]
        default = natives.get(parameter.name, parameter.default)
        if not parameter.required and not parameter.supplied and _same(value, default):
            return None
        return self.option(component, parameter, value)

    def option(self, component: Component, parameter: Parameter, value: Any) -> Code:
        """The value of an option as an expression."""
        if isinstance(value, list) and holds_stacks(parameter.option_type):
            if any(isinstance(layers, list) for layers in value):
                return Group("", tuple(self.stack(layers) for layers in value), "[]")
            return self._repeated(component, value) or self.stack(value)
        if isinstance(value, Formula):
            raise refused(component, f"its formula '{value}' has no plain form here")
        if component.kind == "distribution" and isinstance(value, float | int) and _takes_numbers(component):
            return literal(value)
        nested = transform(value, _Nested)
        taken = fitted(parameter.option_type, nested)
        # of a tensor the numbers that the spec says: it gets the dtype of the script where it is made
        return call("torch.tensor", literal(value)) if isinstance(taken, torch.Tensor) else self.value(taken)

    def value(self, value: Any) -> Code:
        """A value as an expression, components inside it built."""
        match value:
            case _Nested():
                return self.call(value.component)
            case list():
                return Group("", tuple(map(self.value, value)), "[]")
            case tuple() if len(value) != 1:
                return Group("", tuple(map(self.value, value)))
            case dict():
                return Group(
                    "", tuple((f"{flat(literal(key))}: ", self.value(item)) for key, item in value.items()), "{}"
                )
        return literal(value)

    @property
    def stack_class(self) -> str:
        """What runs layers one after another: torch's own, where no layer gives a tuple."""
        if not self.has_tuples:
            return "nn.Sequential"
        from annpipe.portable.stack import Stack

        return self.sources.of(Stack)

    def stack(self, layers: Sequence[Component], cls: str | None = None) -> Code:
        """Layers that run one after another, each on a line."""
        return call(cls or self.stack_class, *map(self.call, layers), spread=len(layers) > 1)

    def _repeated(self, component: Component, layers: Sequence[Component]) -> Code | None:
        """A stack that follows itself, as a comprehension; None where its times differ, or it holds several layers."""
        repeats = component.traits(LayerTraits).repeats
        times = component.options.get(repeats) if repeats else None
        if times is None or times < 2 or len(layers) != times or len({repr(layer.to_data()) for layer in layers}) > 1:
            return None
        if any(used_block(layer) for layer in layers):
            return None
        return call(self.stack_class, Group("*", (self.call(layers[0]),), "[]", True, f"for _ in range({times})"))


@dataclass(frozen=True)
class _Nested:
    """A component that is the value of an option, or stands in one."""

    component: Component


def _same(value: Any, default: Any) -> bool:
    """Whether an option is at its default; 1 and True are two values."""
    if isinstance(value, list) and isinstance(default, tuple):
        default = list(default)
    return bool(value == default) and isinstance(value, bool) == isinstance(default, bool)


def _positional(component: Component) -> list[str]:
    """The first arguments of torch's own class or function that need no name."""
    loaded: Any = component.load()
    try:
        parameters = list(inspect.signature(loaded).parameters.values())
    except (TypeError, ValueError):
        return []
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return [parameter.name for parameter in component.entry.parameters]  # overloads: as the registry has read them
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def _takes_numbers(component: Component) -> bool:
    """Whether a distribution of torch makes tensors of numbers by itself."""
    return "broadcast_all" in inspect.getsource(vars(component.load())["__init__"])


def _own_defaults(component: Component) -> dict[str, Any]:
    """The defaults of torch's own class, where the registry has others."""
    loaded: Any = component.load()
    try:
        parameters = inspect.signature(loaded).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty and not callable(p.default)}
