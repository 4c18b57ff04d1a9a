"""Reads the type of an option from a Python annotation."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from annpipe.registry.types import (
    STACK,
    Choice,
    ListOf,
    MappingOf,
    Named,
    OptionType,
    TupleOf,
    UnsupportedType,
    one_of,
)

_BY_QUALIFIED_NAME = {
    "torch.Tensor": "tensor",
    "torch.nn.modules.module.Module": "layer",
    "torch.distributions.distribution.Distribution": "distribution",
    "torch.optim.optimizer.Optimizer": "optimizer",
    "torch.optim.lr_scheduler.LRScheduler": "scheduler",
    "annpipe.expression.Expression": "expression",
    "annpipe.contract.Loss": "loss",
    "annpipe.contract.MetricKey": "metric_key",
    "annpipe.portable.stack.Stack": STACK,
}

_PLAIN: dict[Any, str] = {
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
    None: "None",
    type(None): "None",
    Any: "any",
    Path: "path",
}


def from_annotation(annotation: Any) -> OptionType:
    """The option type that a Python annotation means; raises UnsupportedType when YAML cannot say it."""
    if annotation in (list, tuple):
        return ListOf(Named("any"))
    if annotation is dict:
        return MappingOf(Named("any"))
    name = _PLAIN.get(annotation) if _hashable(annotation) else None
    if name is None and isinstance(annotation, type):
        name = _BY_QUALIFIED_NAME.get(f"{annotation.__module__}.{annotation.__qualname__}")
    if name is not None:
        return Named(name)
    return _from_generic(annotation, typing.get_origin(annotation), typing.get_args(annotation))


def _from_generic(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> OptionType:
    if origin is Annotated:
        return from_annotation(arguments[0])
    if origin in (Union, types.UnionType):
        return one_of(map(from_annotation, arguments))
    if origin is Literal:
        return one_of(Named("None") if value is None else Choice((value,)) for value in arguments)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return TupleOf(tuple(map(from_annotation, arguments)))
    if not isinstance(origin, type) or not arguments:
        raise UnsupportedType(getattr(annotation, "__name__", None) or str(annotation))
    # the component gets a dict or a list, so that must be what its annotation allows
    if issubclass(origin, Mapping) and issubclass(dict, origin) and arguments[0] is str:
        return MappingOf(from_annotation(arguments[1]))
    if (
        issubclass(origin, Iterable)
        and not issubclass(origin, Mapping)
        and (origin is tuple or issubclass(list, origin))
    ):
        return ListOf(from_annotation(arguments[0]))
    raise UnsupportedType(str(annotation))


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
