"""A callable's typed signature, read as the option model of a component."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annpipe.registry.entry import Entry, Json, Origin, Parameter
from annpipe.registry.kinds import KINDS
from annpipe.registry.types import UnsupportedType, from_annotation

BOUNDS = ("gt", "ge", "lt", "le")


class SignatureFault(Exception):
    """A parameter that cannot become an option: `remedy` says how to mend the plugin."""

    def __init__(self, parameter: str, message: str, remedy: str) -> None:
        self.parameter, self.message, self.remedy = parameter, message, remedy
        super().__init__(message)


@dataclass(frozen=True)
class Typing:
    """Types, bounds and words for parameters whose signature lacks them, and what to hide from specs."""

    types: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()


def describe(
    kind: str,
    component: Callable[..., Any],
    *,
    name: str | None = None,
    target: str | None = None,
    typing_: Typing | None = None,
    traits: Mapping[str, Json] | None = None,
) -> Entry:
    """Reads `component` into an Entry; raises SignatureFault where a parameter has no type that YAML can say."""
    own = name or component.__name__
    file, line = definition(component)
    return Entry(
        kind=kind,
        name=own,
        target=target or f"{component.__module__}:{component.__qualname__}",
        parameters=tuple(_parameters(kind, component, typing_ or Typing())),
        summary=_summary(component),
        origin=Origin(),
        file=file,
        line=line,
        traits=traits or {},
    )


def definition(component: Any) -> tuple[str, int]:
    """The file and line where `component` is defined, ("", 0) when there is no source."""
    try:
        return inspect.getsourcefile(component) or "", inspect.getsourcelines(component)[1]
    except (OSError, TypeError):
        return "", 0


def _parameters(kind: str, component: Callable[..., Any], table: Typing) -> Iterator[Parameter]:
    hints = _hints(component)
    parameters = list(inspect.signature(component).parameters.values())
    for position, parameter in enumerate(parameters):
        if parameter.name in table.hidden or (kind == "plot" and position == 0):
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if kind in KINDS and table.types:
                continue
            raise SignatureFault(
                parameter.name,
                f"parameter '{parameter.name}' takes any number of values, so a spec cannot be checked against it",
                "name each option as a parameter of its own, with a type",
            )
        yield _parameter(kind, parameter, hints.get(parameter.name, parameter.annotation), table)


def _hints(component: Callable[..., Any]) -> dict[str, Any]:
    """The annotations with names resolved; unresolvable ones are left to the table or to a fault."""
    function = component.__init__ if isinstance(component, type) else component  # type: ignore[misc]  # read, not called
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}


def _parameter(kind: str, parameter: inspect.Parameter, hint: Any, table: Typing) -> Parameter:
    supplied = parameter.name in KINDS[kind].supplied
    type_, bounds, description = _typed(parameter.name, hint, table, supplied=supplied)
    required = parameter.default is parameter.empty
    default = None if required else _default(parameter.name, parameter.default)
    return Parameter(parameter.name, type_, default, required, supplied, bounds, description)


def _typed(name: str, hint: Any, table: Typing, *, supplied: bool) -> tuple[str, dict[str, float], str]:
    bounds, description = _field_words(hint)
    bounds |= table.bounds.get(name, {})
    description = table.descriptions.get(name, description)
    if name in table.types:
        return table.types[name], bounds, description
    if supplied and (hint is inspect.Parameter.empty or name in ("generator", "params", "optimizer")):
        return "any", bounds, description
    if hint is inspect.Parameter.empty or isinstance(hint, str):
        raise SignatureFault(
            name,
            f"parameter '{name}' has no type" if hint is inspect.Parameter.empty else f"its type '{hint}' is unknown",
            f"give it one that YAML can say, as in `{name}: float`",
        )
    try:
        return str(from_annotation(hint)), bounds, description
    except UnsupportedType as error:
        raise SignatureFault(
            name,
            f"parameter '{name}' has the type {error}, which YAML cannot say",
            "use int, float, bool, str, Literal, list, tuple, dict[str, …], Path, a torch tensor, layer or "
            "distribution, or a union of these",
        ) from error


def _field_words(hint: Any) -> tuple[dict[str, float], str]:
    """Bounds and description out of `Annotated[T, Field(gt=…, description=…)]`, without naming pydantic."""
    bounds: dict[str, float] = {}
    description = ""
    if typing.get_origin(hint) is not Annotated:
        return bounds, description
    for note in typing.get_args(hint)[1:]:
        description = getattr(note, "description", None) or description
        for part in (note, *getattr(note, "metadata", ())):
            bounds |= {key: getattr(part, key) for key in BOUNDS if getattr(part, key, None) is not None}
    return bounds, description


def _default(name: str, value: Any) -> Json:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_default(name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _default(name, item) for key, item in value.items()}
    raise SignatureFault(
        name,
        f"parameter '{name}' has the default {value!r}, which YAML cannot say",
        "use None as the default and make the real one inside",
    )


def _summary(component: Any) -> str:
    """The first sentence of the docstring, on one line."""
    text = inspect.getdoc(component) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    head, stop, _ = paragraph.partition(". ")
    return (head + "." if stop else paragraph)[:200]
