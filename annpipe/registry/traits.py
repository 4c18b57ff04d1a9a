"""What the engine must know of a component beyond its options: one dataclass of traits for each kind.

A component says them in its mark (`@layer(repeats="times")`) or in `describe(traits=…)`; the index keeps them as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from annpipe.errors.suggest import did_you_mean


class TraitFault(ValueError):
    """A trait that its kind of component does not have, or a value that the trait cannot have."""


@dataclass(frozen=True)
class Traits:
    """What a component of any kind may say; `example` holds options to show where the bare name would be refused."""

    example: Mapping[str, Any] | None = None

    def to_data(self) -> dict[str, Any]:
        """The traits as JSON; what is None, False or empty is left out where that is the default."""
        usual = type(self)()
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        kept = {name: value for name, value in values.items() if value or value != getattr(usual, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


@dataclass(frozen=True)
class DataTraits(Traits):
    """`fields` is a function that returns the fields without making the data.

    It is named as `module:function`, or True where only the component's mark holds it.
    """

    fields: bool | str = False


@dataclass(frozen=True)
class TransformTraits(Traits):
    """`takes` and `gives` are the types of columns before and after; `fills` says that no value is missing after it."""

    takes: str = "number"
    gives: str = "number"
    fills: bool = False


@dataclass(frozen=True)
class LayerTraits(Traits):
    """What shapes, checks and warnings must know of a layer.

    `linear`, `nonlinear`: the function that it is. `gives`: "probabilities" or "log-probabilities", where its numbers
    are such. `range`: the least and the largest number that it can give. `needs`: the shape that it takes, in words.
    `native_defaults`: torch's own defaults where the index has others.

    These name options: `repeats` the one with the number of times, `shares` the one that shares weights, `uses` the
    one with a block's name, `sets` and `reads` the ones with the names of taps.

    `block` marks a block of the spec, `end` the layer that the inputs or the heads of a model are.
    """

    linear: bool = False
    nonlinear: bool = False
    gives: str | None = None
    range: tuple[float | None, float | None] | None = None
    needs: str | None = None
    native_defaults: Mapping[str, Any] = field(default_factory=dict)
    repeats: str | None = None
    shares: str | None = None
    uses: str | None = None
    sets: str | None = None
    reads: str | None = None
    block: bool = False
    end: Literal["inputs", "outputs"] | None = None

    @property
    def stands_for_others(self) -> bool:
        """Whether the layers inside it follow the ones around it: a repetition, or a use of a block."""
        return self.block or self.repeats is not None or self.uses is not None


@dataclass(frozen=True)
class LossTraits(Traits):
    """`target`: what the loss compares with. `expects`: what it takes the outputs for, where not the target's value.

    `outputs` is a function that returns the `OutputRoles`, named as `module:function`, or True where only the mark
    holds it. `end` marks the sum of the losses of all heads.
    """

    target: Literal["values", "classes"] = "values"
    expects: str | None = None
    outputs: bool | str = False
    end: Literal["outputs"] | None = None


@dataclass(frozen=True)
class OptimizerTraits(Traits):
    """`closure`: its step evaluates the model several times. `fused`: the devices with a fused kernel; None: none."""

    closure: bool = False
    fused: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SchedulerTraits(Traits):
    """How long a scheduler goes and what comes after that; `steps_on` is "metric" where it follows one.

    `length` is the option with the number of steps, `factors` are options whose product is that number. `after` is what
    comes beyond: torch `fails`, the rate is `zero`, it `turns` back or `repeats`; None: the rate stays. `at` is the
    option with the steps at which something happens, `parts` the option with the schedulers inside.
    """

    steps_on: Literal["metric"] | None = None
    length: str | None = None
    factors: tuple[str, ...] = ()
    after: Literal["fails", "zero", "turns", "repeats"] | None = None
    at: str | None = None
    parts: str | None = None


@dataclass(frozen=True)
class AverageTraits(Traits):
    """`each`: when parameters are taken in; `update_bn`: whether BatchNorm's statistics are measured anew."""

    each: Literal["step", "epoch"] = "step"
    update_bn: bool = False


@dataclass(frozen=True)
class MetricTraits(Traits):
    """`classes`: it counts classes: labels, or 0 and 1. `threshold`: the option with the number above which an output
    is a 1; where it is null, the plan has 0 for raw scores and 0.5 for all else.
    """

    classes: bool = False
    threshold: str | None = None


@dataclass(frozen=True)
class CallbackTraits(Traits):
    """`check` refuses runs that the callback does not fit: `module:function`, or True where only the mark holds it."""

    check: bool | str = False


@dataclass(frozen=True)
class PlotTraits(CallbackTraits):
    """`of_rows`: whether the figure shows something of rows, so that `annpipe evaluate` draws it."""

    of_rows: bool = True


SomeTraits = TypeVar("SomeTraits", bound=Traits)


def read_traits(traits: type[Traits], kind: str, data: Mapping[str, Any]) -> Traits:
    """The traits that JSON or a mark says of a kind; raises TraitFault for a name or a value that they do not have."""
    hints = _hints(traits)  # type: ignore[arg-type]  # mypy takes the hash of instances for that of the class
    for name, value in data.items():
        if name not in hints:
            help_ = did_you_mean(name, list(hints)) or f"its traits are {', '.join(hints)}"
            raise TraitFault(f"the kind '{kind}' has no trait '{name}'; {help_}")
        if not _fits(value, hints[name]):
            raise TraitFault(f"the trait '{name}' of the kind '{kind}' cannot be {value!r}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return traits(**values)


@cache
def _hints(traits: type[Traits]) -> dict[str, Any]:
    """The types of traits by their names."""
    return get_type_hints(traits)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type; lists stand for tuples."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, member) for member in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        types = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(types) == len(value) and all(map(_fits, value, types))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, origin or hint)
