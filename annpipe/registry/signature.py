"""A callable's typed signature, read as the option model of a component."""

from __future__ import annotations

import difflib
import inspect
import sys
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any

from annpipe.errors.suggest import nearest
from annpipe.registry.annotations import from_annotation
from annpipe.registry.entry import Entry, Json, Origin, Parameter
from annpipe.registry.kinds import KINDS, traits_of, with_article
from annpipe.registry.types import Named, UnsupportedType, one_of, parse

BOUNDS = ("gt", "ge", "lt", "le")


class SignatureFault(Exception):
    """A parameter that cannot become an option: `remedy` says how to correct the plugin."""

    def __init__(self, parameter: str, message: str, remedy: str) -> None:
        self.parameter, self.message, self.remedy = parameter, message, remedy
        super().__init__(message)


@dataclass(frozen=True)
class Typing:
    """Types, defaults, bounds and words for parameters whose signature lacks them, and what to hide from specs.

    Each maps a parameter's name; `types` are texts as in `annpipe.registry.types`; what stands here wins over the
    signature.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Json] = field(default_factory=dict)
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
    summary: str | None = None,
    distribution: str = "",
) -> Entry:
    """Reads `component` into an Entry; raises SignatureFault where a parameter has no type that YAML can say.

    `traits` are those of the kind, as in `annpipe.registry.traits`; raises TraitFault for others.

    `distribution` names the installed distribution that the component comes from, where that is not the plugin's own.
    """
    entry_name = name or component.__name__
    _check_needed(kind, component)
    file, line = ("", 0) if distribution else definition(component)
    return Entry(
        kind=kind,
        name=entry_name,
        target=target or f"{component.__module__}:{component.__qualname__}",
        parameters=tuple(_parameters(kind, component, typing_ or Typing())),
        summary=_summary(component) if summary is None else summary,
        origin=Origin(distribution),
        file=file,
        line=line,
        traits=traits_of(kind, traits or {}),
    )


def supplied_like(kind: str, name: str, taken: Collection[str] = ()) -> str | None:
    """The name that annpipe supplies to a kind and that a parameter of another name is meant to be; None for none.

    >>> supplied_like("layer", "in_feature")
    'in_features'
    >>> supplied_like("layer", "out_features")
    """
    near = difflib.get_close_matches(name.casefold(), sorted(KINDS[kind].supplied - {*taken}), n=1, cutoff=LIKE)
    return near[0] if near else None


LIKE = 0.85  # how alike they must be: `out_features` is no slip for `num_features`


def _check_needed(kind: str, component: Callable[..., Any]) -> None:
    """Raises SignatureFault where the parameter is missing by which annpipe gives what the component works on."""
    parameters, needed = signature(component).parameters, KINDS[kind].needs
    if needed is None or needed in parameters or any(map(_is_variadic, parameters.values())):
        return
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    near = nearest(needed, parameters, 1) or (required if len(required) == 1 else [])
    raise SignatureFault(
        near[0] if near else "",
        f"it has no parameter `{needed}`, which annpipe supplies to {with_article(kind)}",
        f"rename '{near[0]}' to '{needed}'" if near else f"give it a parameter named `{needed}`",
    )


def definition(component: Any) -> tuple[str, int]:
    """The file and line of the `class` or `def` of `component`, ("", 0) when there is no source."""
    component = inspect.unwrap(component)
    try:
        file = inspect.getsourcefile(component) or ""
        lines, first = inspect.getsourcelines(component)
    except (OSError, TypeError):
        return "", 0
    decorators = 0
    while decorators < len(lines) and not lines[decorators].lstrip().startswith(("class ", "def ", "async def ")):
        decorators += 1
    return file, first + (decorators if decorators < len(lines) else 0)


def signature(component: Callable[..., Any]) -> inspect.Signature:
    """The component's parameters; those of its first overload where the signature itself says nothing."""
    whole = inspect.signature(component)
    function = _function(component)
    overloads = typing.get_overloads(function) if inspect.isfunction(function) else []
    if overloads and all(_is_variadic(parameter) for parameter in whole.parameters.values()):
        first = inspect.signature(overloads[0])
        return first.replace(parameters=list(first.parameters.values())[isinstance(component, type) :])
    return whole


def _function(component: Callable[..., Any]) -> Any:
    return inspect.unwrap(component.__init__ if isinstance(component, type) else component)  # type: ignore[misc]  # read only


def _is_variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def _parameters(kind: str, component: Callable[..., Any], table: Typing) -> Iterator[Parameter]:
    for position, parameter in enumerate(signature(component).parameters.values()):
        if parameter.name in table.hidden or (kind == "plot" and position == 0):
            continue
        if not _is_variadic(parameter):
            yield _parameter(kind, parameter, _hint(component, parameter), table)
        elif not _is_inherited(component):
            raise SignatureFault(
                parameter.name,
                f"parameter '{parameter.name}' takes any number of values, so a spec cannot be checked against it",
                "name each option as a parameter of its own, with a type",
            )


def _is_inherited(component: Callable[..., Any]) -> bool:
    """A class without an `__init__` of its own shows the one of its base: `torch.nn.Module(*args, **kwargs)`."""
    return isinstance(component, type) and "__init__" not in vars(component)


def _hint(component: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The annotation with its names resolved; one that cannot be resolved stays text."""
    function = _function(component)
    names = getattr(function, "__globals__", None) or vars(sys.modules[component.__module__])
    try:
        stand_in = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        return typing.get_type_hints(stand_in, names, include_extras=True)[parameter.name]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return parameter.annotation


def _parameter(kind: str, parameter: inspect.Parameter, hint: Any, table: Typing) -> Parameter:
    name = parameter.name
    supplied = name in KINDS[kind].supplied
    try:
        type_, bounds, description = _typed(name, hint, table, supplied=supplied)
    except SignatureFault as fault:
        if (meant := supplied_like(kind, name)) is None:
            raise
        remedy = f"rename it to '{meant}', which annpipe supplies to {with_article(kind)}; or {fault.remedy}"
        raise SignatureFault(name, fault.message, remedy) from fault
    if name in table.defaults:
        return Parameter(name, type_, table.defaults[name], False, supplied, bounds, description)
    required = parameter.default is parameter.empty
    default = None if required else _default(name, parameter.default)
    if parameter.default is None and name not in table.types and not supplied:
        type_ = str(one_of([parse(type_), Named("None")])) if type_ != "any" else type_
    return Parameter(name, type_, default, required, supplied, bounds, description)


def _typed(name: str, hint: Any, table: Typing, *, supplied: bool) -> tuple[str, dict[str, float], str]:
    bounds, description = _field_words(hint)
    bounds |= table.bounds.get(name, {})
    description = table.descriptions.get(name, description)
    if name in table.types:
        return table.types[name], bounds, description
    untyped = ("generator", "params", "optimizer", "model", "tensor", "tap_values")
    if supplied and (hint is inspect.Parameter.empty or name in untyped):
        return "any", bounds, description
    if hint is inspect.Parameter.empty or isinstance(hint, str):
        raise SignatureFault(
            name,
            f"parameter '{name}' has no type"
            if hint is inspect.Parameter.empty
            else f"parameter '{name}' has the type '{hint}', which is not known where the plugin is imported",
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
    """The first sentence of the component's own docstring (not a base class's), on one line."""
    text = inspect.cleandoc(getattr(component, "__doc__", None) or "")
    inherited = isinstance(component, type) and "__doc__" not in vars(component)
    if inherited or text.startswith(f"{component.__name__}("):  # the latter is what a dataclass writes for itself
        return ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    head, stop, _ = paragraph.partition(". ")
    return (head + "." if stop else paragraph)[:200]
