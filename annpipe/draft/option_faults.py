"""Words the problems with a component's options: what is wrong, at which place, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, InstanceOf, ValidationError, create_model

from annpipe.draft.component import Component
from annpipe.draft.formula_place import formula_problem
from annpipe.errors import LimitError, OptionError, Place, Problem, RunError, SpecError, SplitError
from annpipe.errors.suggest import did_you_mean
from annpipe.errors.wording import first_line
from annpipe.expression import ExpressionFault
from annpipe.registry.discovery import PluginFault
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.examples import Examples, as_yaml
from annpipe.registry.kinds import with_article
from annpipe.registry.place import parameter_place
from annpipe.registry.signature import supplied_like
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import (
    Choice,
    ListOf,
    MappingOf,
    Named,
    OptionType,
    TupleOf,
    alternatives,
    annotation,
    holds_stacks,
    words,
)
from annpipe.spec.sections.component import Call
from annpipe.spec.sections.spec import Spec
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words
from annpipe.spec.yaml.other_yaml import yaml_hint


def missing_options(call: Call, entry: Entry, missing: Sequence[Parameter], examples: Examples) -> Problem:
    """One problem for all options that a component needs and does not have."""
    if (misnamed := _misnamed(call, entry, missing, examples)) is not None:
        return misnamed
    if len(missing) == 1:
        needs = f"the option '{missing[0].name}': {missing[0].words}"
    else:
        needs = "the options " + " and ".join(f"'{option.name}' ({option.words})" for option in missing)
    help_ = f"write it as in `{examples.shortest(entry)}`; {show_options(entry)}"
    if isinstance(call.options, MappingNode):
        added = as_yaml(examples.values(missing))
        help_ = f"add `{added[1:-1]}`; {show_options(entry)}"
    return Problem("missing-option", f"{entry.name} needs {needs}", call.place, help_)


def _misnamed(call: Call, entry: Entry, missing: Sequence[Parameter], examples: Examples) -> Problem | None:
    """A plugin's parameter that nobody gives, and that has nearly the name of one that annpipe supplies."""
    taken = [parameter.name for parameter in entry.parameters]
    for option in missing if entry.file else ():
        meant = supplied_like(entry.kind, option.name, taken)
        if meant is not None:
            message = (
                f"'{option.name}' of the {entry.kind} '{entry.name}' is not what annpipe supplies: that is '{meant}'"
            )
            help_ = f"rename it to '{meant}'; if it is an option, the spec gives it: `{examples.shortest(entry)}`"
            place = parameter_place(entry.file, entry.line, option.name)
            related = ((call.place, "not given here"),)
            return Problem("plugin-parameter", message, place or call.place, help_, related if place else ())
    return None


def show_options(entry: Entry) -> str:
    """Where a component's options can be read."""
    if entry.traits_as(LayerTraits).block:
        return f"a block of the spec is used by its name: `- {entry.name}`"
    return f"`annpipe show {entry.kind} {entry.name}` shows its options"


def no_component(node: Node, path: str, kind: str, examples: Examples) -> Problem:
    """A value that should be a component of a kind."""
    message = f"`{path}` must be {with_article(kind)}; found {in_words(node)}"
    help_ = f"as in `{as_yaml(examples.familiar(kind))}`"
    if isinstance(node, ListNode) and path.rpartition(".")[2].isdecimal():
        help_ = "take the inner dash or brackets away"
    return Problem("not-a-component", message, node.place, help_)


def mixed_options(node: ListNode, entry: Entry) -> Problem | None:
    """`[32, kernel_size: 3]`: a list whose options have no names, but for one."""
    for option, item in zip(entry.options, node.items, strict=False):
        takes_mapping = any(isinstance(member, MappingOf) for member in alternatives(option.option_type))
        if isinstance(item, MappingNode) and not takes_mapping and any(map(entry.parameter, item.keys)):
            name = next(filter(entry.parameter, item.keys))
            names = ", ".join(f"{option.name}: …" for option in entry.options[: len(node.items)])
            message = f"{entry.name} is given '{name}' by name, in a list of options without names"
            return Problem("wrong-type", message, item.place, f"name all options or none: `{entry.name}: {{{names}}}`")
    return None


@dataclass(frozen=True)
class _Part:
    """A value of an option or inside it, below `path`, and the rule of what must stand there."""

    type_: OptionType
    node: Node
    value: Any
    path: tuple[str, ...]
    rule: str
    used: Place | None


def wrong_types(entry: Entry, parameter: Parameter, node: Node, value: Any, examples: Examples) -> Iterator[Problem]:
    """What an option's value breaks of its type, each at the innermost value that is wrong."""
    whole = _Part(parameter.option_type, node, value, (), f"must be {parameter.words}", node.used)
    for misfit in _misfits(whole, parameter.bounds):
        path = ".".join((entry.name, parameter.name, *misfit.path))
        message = f"`{path}` {misfit.rule}; found {in_words(misfit.node)}"
        used = ((misfit.used, "used here"),) if misfit.used else ()
        help_ = yaml_hint(misfit.node, misfit.type_) or _remedy(misfit, parameter, examples)
        yield Problem("wrong-type", message, misfit.node.place, help_, used)


def _remedy(misfit: _Part, parameter: Parameter, examples: Examples) -> str | None:
    """A word that may be meant; an example of lists or mappings; else what the option is for, at the option alone."""
    members = [member for member in alternatives(misfit.type_) if member != Named("None")]
    choices = [value for member in members if isinstance(member, Choice) for value in member.values]
    if isinstance(misfit.value, str) and (
        near := did_you_mean(misfit.value, [c for c in choices if isinstance(c, str)])
    ):
        return near
    if all(isinstance(member, ListOf | TupleOf | MappingOf) or holds_stacks(member) for member in members):
        return f"as in `{parameter.name}: {as_yaml(examples.value(parameter))}`"
    return f"`{parameter.name}`: {parameter.description}" if not misfit.path and parameter.description else None


def _misfits(part: _Part, bounds: Mapping[str, float]) -> list[_Part]:
    """Inside a list or mapping where its type has one, by the member that takes most of it; else the value itself."""
    inside = []
    for parts in _ways_in(part, bounds):
        wrong = [inner for inner in parts if not _fits(inner.type_, bounds, inner.value)]
        inside.append([misfit for inner in wrong for misfit in _misfits(inner, bounds)])
    return min(filter(None, inside), key=len, default=[part])


def _ways_in(part: _Part, bounds: Mapping[str, float]) -> Iterator[list[_Part]]:
    """The values inside a list or mapping, once for each member of the type that has such."""
    members = alternatives(part.type_)
    if isinstance(part.node, MappingNode) and isinstance(part.value, dict):
        for member in members:
            if isinstance(member, MappingOf):
                rule = f"must be {words(member.value, bounds)}"
                yield [
                    _Part(
                        member.value,
                        node,
                        part.value[str(key.value)],
                        (*part.path, str(key.value)),
                        rule,
                        node.used or part.used,
                    )
                    for key, node in part.node.pairs
                ]
    elif isinstance(part.node, ListNode) and isinstance(part.value, list):
        ways = [items for member in members if (items := _items(member, len(part.value)))]
        rules = [_rule_of_items(types, bounds) for types in zip(*ways, strict=True)]
        for items in ways:
            inner = zip(items, part.node.items, part.value, rules, strict=True)
            yield [
                _Part(item, node, value, part.path, rule, node.used or part.used) for item, node, value, rule in inner
            ]


def _items(type_: OptionType, n_items: int) -> Sequence[OptionType]:
    match type_:
        case ListOf(item=item):
            return (item,) * n_items
        case TupleOf(items=items) if len(items) == n_items:
            return items
        case Named(name="tensor"):
            return (type_,) * n_items
    return ()


_MANY = {"int": "whole numbers", "float": "numbers", "str": "words"}


def _rule_of_items(types: Sequence[OptionType], bounds: Mapping[str, float]) -> str:
    """`holds numbers`; `must be all numbers or all words` where several lists may stand."""
    names = [_MANY.get(type_.name) if isinstance(type_, Named) else None for type_ in types]
    if len(types) > 1 and all(names):
        return "must be " + " or ".join(f"all {name}" for name in names)
    if names[0]:
        limit = words(types[0], bounds).removeprefix(words(types[0]))
        return f"holds {names[0]}{limit}"
    return f"holds values that must each be {words(types[0], bounds)}"


def _fits(type_: OptionType, bounds: Mapping[str, float], value: Any) -> bool:
    try:
        _model(type_, tuple(sorted(bounds.items())))(value=value)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=1024)
def _model(type_: OptionType, bounds: tuple[tuple[str, float], ...]) -> type[BaseModel]:
    value: Any = (annotation(type_, dict(bounds), InstanceOf[Component]), ...)
    return create_model("Value", __config__=ConfigDict(strict=True), value=value)


def option_refused(component: Component, error: OptionError) -> Problem:
    """A value that a component's constructor refuses, at the option's line."""
    node = component.nodes.get(error.option)
    message = f"`{component.name}.{error.option}`: {error.message}"
    return Problem("wrong-value", message, node.place if node else component.place, error.help)


def option_problem(data: Component, error: OptionError) -> Problem:
    """The fault that a data component finds in its options: at a name below an option, else at the option's value."""
    name, _, below = error.option.partition(".")
    node = data.nodes.get(name)
    if node is None:
        return _refused(error, f"{data.name}: {error.message}", data.place)
    key, value = _below(node, below)
    if isinstance(error.__cause__, ExpressionFault) and isinstance(value, ScalarNode):
        return formula_problem(error.__cause__, value)
    return _refused(error, f"`{data.name}.{error.option}`: {error.message}", (key or value).place)


def _refused(error: OptionError, message: str, place: Place | None) -> Problem:
    return Problem("untrusted-limit" if isinstance(error, LimitError) else "wrong-value", message, place, error.help)


def _below(node: Node, path: str) -> tuple[ScalarNode | None, Node]:
    """The key that a dotted path leads to, and its value; a key may have dots of its own."""
    key = None
    while path and isinstance(node, MappingNode):
        fits = [pair for pair in node.pairs if f"{path}.".startswith(f"{pair[0].value}.")]
        if not fits:
            break
        key, node = max(fits, key=lambda pair: len(str(pair[0].value)))
        path = path[len(str(key.value)) + 1 :]
    return key, node


@contextmanager
def faults_of_data(spec: Spec, data: Component) -> Iterator[None]:
    """Whatever making and splitting the data raises becomes a SpecError at the option that is at fault."""
    try:
        yield
    except SpecError:
        raise
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except OptionError as error:
        raise SpecError([option_problem(data, each) for each in error.all]) from error
    except SplitError as error:
        place = spec.place("data", "split", *error.option.split("."))
        message = f"`data.split.{error.option}`: {error.message}"
        raise SpecError([Problem("wrong-value", message, place, error.help)]) from error
    except RunError as error:  # it gave something else than a dataset: in annpipe's own words
        raise SpecError([Problem("data", str(error), data.place)]) from error
    except Exception as error:  # a data component may raise anything: reported at its line
        message = f"the data component '{data.name}' raised {type(error).__name__}: {first_line(error)}"
        raise SpecError([Problem("data", message, data.place)]) from error
