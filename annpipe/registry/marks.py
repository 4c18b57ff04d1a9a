"""Decorators that mark components for discovery (`@layer`, `@loss`, …); a mark registers nothing.

    @layer
    class Swish(torch.nn.Module): ...

    @loss(name="huber_quantile")
    class QuantileLoss(torch.nn.Module): ...

A mark only leaves a note on what it marks, so importing a plugin has no side effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, overload

ATTRIBUTE = "__annpipe__"

C = TypeVar("C", bound=Callable[..., Any])
Example = Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """What a decorator noted: the kind, the name in specs (None: the object's own) and further traits."""

    kind: str
    name: str | None = None
    traits: Mapping[str, Any] = field(default_factory=dict)


def mark_of(component: Any) -> Mark | None:
    """The component's own mark; one inherited from a marked base class does not count."""
    try:
        mark = vars(component).get(ATTRIBUTE)
    except TypeError:
        return None
    return mark if isinstance(mark, Mark) else None


@overload
def data(component: C, /) -> C: ...
@overload
def data(
    *, name: str | None = None, fields: Callable[..., Any] | None = None, example: Example | None = None
) -> Callable[[C], C]: ...
def data(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    fields: Callable[..., Any] | None = None,
    example: Example | None = None,
) -> C | Callable[[C], C]:
    """Marks a callable that returns a `Dataset`, or a `ChunkedDataset` of rows larger than memory.

    `fields`, called with the same options, tells the `Fields` of that dataset without making it, so that shapes
    are checked before any data exists; without it the data is made to see its shapes. `example` holds options to show
    where no single one is required and yet some must be given.
    """
    return _marking(component, Mark("data", name, _without_none(fields=fields, example=example)))


@overload
def transform(component: C, /) -> C: ...
@overload
def transform(
    *,
    name: str | None = None,
    takes: str = "number",
    gives: str = "number",
    fills: bool = False,
    example: Example | None = None,
) -> Callable[[C], C]: ...
def transform(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    takes: str = "number",
    gives: str = "number",
    fills: bool = False,
    example: Example | None = None,
) -> C | Callable[[C], C]:
    """Marks a `torch.nn.Module` class with `fit(x)` and `forward(x)`, x of shape (rows, columns), NaN where missing.

    `takes` says for which columns it is: "number" (booleans too), "category", "date" (days since 1970-01-01), "any", or
    "image" for one input of images; `gives` what becomes of them: "number", or "same"; `fills` whether no value is
    missing afterwards. What it learns in `fit` goes into buffers (or into parameters, which are then trained with the
    model). One that may stand for a target has `inverse(y)`. One whose class says `only_training = True` acts on each
    batch while training; one that says `learns_in_blocks = True` has `partial_fit(x)` and `finish()`, for rows that do
    not fit into memory. `example` is options to show where the bare name would be refused.
    """
    traits = {"takes": takes, "gives": gives, "fills": fills}
    return _marking(component, Mark("transform", name, traits | _without_none(example=example)))


@overload
def layer(component: C, /) -> C: ...
@overload
def layer(
    *,
    name: str | None = None,
    repeats: str | None = None,
    shares: str | None = None,
    uses: str | None = None,
    sets: str | None = None,
    reads: str | None = None,
    example: Example | None = None,
) -> Callable[[C], C]: ...
def layer(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    repeats: str | None = None,
    shares: str | None = None,
    uses: str | None = None,
    sets: str | None = None,
    reads: str | None = None,
    example: Example | None = None,
) -> C | Callable[[C], C]:
    """Marks a `torch.nn.Module` class whose forward takes one tensor, rows first.

    `repeats` names the option that says how many times its stack follows itself, each time with weights of its own:
    the class gets one long stack. Where the option that `shares` names is true, it gets the stack once, and runs it
    that often. `uses` names the option that names a block of the spec, whose layers come as `stack`: what is returned
    the first time stands wherever that block is used so.

    `sets` names the option with the name under which the layer puts what arrives into `tap_values`, to pass it on as it
    is; `reads` the option with the name of a value that it takes out of these and goes on with, or with the list of
    those that it makes something of, whose shapes come as `tap_shapes`. `example` is options to show. A class that
    says `stacks = False` is never run for many models at once.
    """
    traits = _without_none(repeats=repeats, shares=shares, uses=uses, sets=sets, reads=reads, example=example)
    return _marking(component, Mark("layer", name, traits))


@overload
def initializer(component: C, /) -> C: ...
@overload
def initializer(*, name: str | None = None) -> Callable[[C], C]: ...
def initializer(component: C | None = None, /, *, name: str | None = None) -> C | Callable[[C], C]:
    """Marks a function whose parameter `tensor` is filled in place, from torch's own generator or from `generator`."""
    return _marking(component, Mark("initializer", name))


@overload
def loss(component: C, /) -> C: ...
@overload
def loss(
    *, name: str | None = None, target: str = "values", outputs: Callable[..., Any] | None = None
) -> Callable[[C], C]: ...
def loss(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    target: str = "values",
    outputs: Callable[..., Any] | None = None,
) -> C | Callable[[C], C]:
    """Marks a module `(prediction, target) -> scalar`; `target` is "values" or "classes" (int64 labels).

    `outputs`, called with the options, tells by `OutputRoles` what the outputs are that predict one target, where that
    is not the target's own value: several of them, or its logarithm.

    Where batches are put together it counts as a mean over rows. A class whose mean is over something else has a method
    `divisor(target)` that gives that number, one whose attribute `reduction` is "sum" has none, and one made of losses
    may have `terms()`, a list of `LossTerm`, so that each of them keeps its own.
    """
    return _marking(component, Mark("loss", name, {"target": target} | _without_none(outputs=outputs)))


@overload
def optimizer(component: C, /) -> C: ...
@overload
def optimizer(*, name: str | None = None) -> Callable[[C], C]: ...
def optimizer(component: C | None = None, /, *, name: str | None = None) -> C | Callable[[C], C]:
    """Marks a `torch.optim.Optimizer` class; its `params` come from the engine."""
    return _marking(component, Mark("optimizer", name))


@overload
def scheduler(component: C, /) -> C: ...
@overload
def scheduler(
    *, name: str | None = None, steps_on: Literal["metric"] | None = None, length: str | None = None
) -> Callable[[C], C]: ...
def scheduler(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    steps_on: Literal["metric"] | None = None,
    length: str | None = None,
) -> C | Callable[[C], C]:
    """Marks a learning-rate scheduler class; its `optimizer` comes from the engine.

    One that `steps_on="metric"` is stepped with the value of a metric after each look: of the one that its option of
    the type `MetricKey` names, else of the loss. `length` names the option with its number of steps, which is the run's
    where it is null.
    """
    return _marking(component, Mark("scheduler", name, _without_none(steps_on=steps_on, length=length)))


@overload
def average(component: C, /) -> C: ...
@overload
def average(
    *, name: str | None = None, each: Literal["step", "epoch"] = "step", update_bn: bool = False
) -> Callable[[C], C]: ...
def average(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    each: Literal["step", "epoch"] = "step",
    update_bn: bool = False,
) -> C | Callable[[C], C]:
    """Marks a `torch.optim.swa_utils.AveragedModel` class; its `model` comes from the engine.

    `each` says when parameters are taken in, `update_bn` whether the statistics of BatchNorm are measured anew. An
    option `start` is the share of the run after which averaging begins.
    """
    return _marking(component, Mark("average", name, {"each": each, "update_bn": update_bn}))


@overload
def distribution(component: C, /) -> C: ...
@overload
def distribution(*, name: str | None = None) -> Callable[[C], C]: ...
def distribution(component: C | None = None, /, *, name: str | None = None) -> C | Callable[[C], C]:
    """Marks a `torch.distributions.Distribution` class."""
    return _marking(component, Mark("distribution", name))


@overload
def metric(component: C, /) -> C: ...
@overload
def metric(*, name: str | None = None, classes: bool = False, threshold: str | None = None) -> Callable[[C], C]: ...
def metric(
    component: C | None = None, /, *, name: str | None = None, classes: bool = False, threshold: str | None = None
) -> C | Callable[[C], C]:
    """Marks an accumulator class with `update(prediction, target)` and `compute() -> float`.

    One that counts `classes` is for labels, or for 0 and 1, and a run with other targets is warned of it. `threshold`
    names the option with the number above which an output is a 1: where the spec leaves it null, it is 0 for raw scores
    (logits) and 0.5 for all else.
    """
    return _marking(component, Mark("metric", name, _without_none(classes=classes or None, threshold=threshold)))


@overload
def callback(component: C, /) -> C: ...
@overload
def callback(
    *, name: str | None = None, check: Callable[..., None] | None = None, example: Example | None = None
) -> Callable[[C], C]: ...
def callback(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    check: Callable[..., None] | None = None,
    example: Example | None = None,
) -> C | Callable[[C], C]:
    """Marks a class with `on_look(look)`, called after each epoch at which the run looks.

    `check`, called with the `Outline` of a run before it begins, raises OptionError for a run that it does not fit.
    `example` holds options to show where no single one is required and yet some must be given.
    """
    return _marking(component, Mark("callback", name, _without_none(check=check, example=example)))


@overload
def plot(component: C, /) -> C: ...
@overload
def plot(
    *, name: str | None = None, check: Callable[..., None] | None = None, of_rows: bool | None = None
) -> Callable[[C], C]: ...
def plot(
    component: C | None = None,
    /,
    *,
    name: str | None = None,
    check: Callable[..., None] | None = None,
    of_rows: bool | None = None,
) -> C | Callable[[C], C]:
    """Marks a function whose first parameter is a `RunView` and that returns a matplotlib figure.

    `check`, called with the `Outline` of a run before it begins, raises OptionError for a run that it cannot draw.
    `of_rows=False` says that the figure shows nothing of rows: `annpipe evaluate` leaves it out.
    """
    return _marking(component, Mark("plot", name, _without_none(check=check, of_rows=of_rows)))


def _without_none(**traits: Any) -> dict[str, Any]:
    return {key: value for key, value in traits.items() if value is not None}


def _marking(component: C | None, mark: Mark) -> C | Callable[[C], C]:
    def leave(target: C) -> C:
        setattr(target, ATTRIBUTE, mark)
        return target

    return leave if component is None else leave(component)
