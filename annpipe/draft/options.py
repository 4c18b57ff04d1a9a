"""Resolves a component: its options by name, nested components resolved, all values checked and defaults filled in.

First the options are laid out by name and nested components resolved, then a pydantic model made from the entry's
parameters checks all values, strictly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, InstanceOf, ValidationError, create_model

from annpipe.draft.component import Component
from annpipe.draft.formula_place import formula_problem
from annpipe.draft.list_overrides import settled
from annpipe.draft.option_faults import missing_options, mixed_options, no_component, show_options, wrong_types
from annpipe.draft.unknown_names import unknown_component
from annpipe.errors import Place, Problem, Problems
from annpipe.errors.suggest import did_you_mean, nearest
from annpipe.expression import Expression, ExpressionFault
from annpipe.files.limits import Stance, held_to
from annpipe.files.named import NamedFault, before_pattern, check_named, problem_of, real_path
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.examples import Examples
from annpipe.registry.other_tools.words import option_word
from annpipe.registry.registry import Registry
from annpipe.registry.renames import notice, rename_of, renames_of
from annpipe.registry.types import (
    STACK,
    Formula,
    ListOf,
    MappingOf,
    Named,
    OptionType,
    TupleOf,
    alternatives,
    annotation,
    holds_stacks,
)
from annpipe.spec.sections.component import Call, read_call
from annpipe.spec.sections.new_names import with_new_keys
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, plain


class Resolving:
    """Resolves components against a registry and collects problems; a spec's paths must lie in `within`, if given.

    `plugins` are the plugin files of the spec, which were imported.
    """

    def __init__(self, registry: Registry, within: Path | None = None, plugins: Sequence[Path] = ()) -> None:
        self.plugins = plugins
        self.registry, self.examples = registry, Examples(registry)
        self.stance = Stance.below(within)
        self.problems = Problems()
        self.notices: list[Problem] = []  # warnings of earlier names
        self._failed: set[Place | None] = set()
        self._meant: set[str] = set()  # options that a misspelt one of the present component stands for

    def component(self, call: Call, kind: str, *, in_part: bool = False) -> Component | None:
        """The resolved component, or None with the problems noted.

        `in_part` asks for the options that are given only: others are neither missed nor filled in.
        """
        entry = self.registry.find(kind, call.name)
        if entry is None:
            self.problems.append(unknown_component(call, kind, self.registry, self.plugins))
            self._failed.add(call.place)
            return None
        self._note_name(call, entry)
        self._meant = set()
        before = len(self.problems)
        nodes = self._laid_out(call, entry)
        component = None if nodes is None else self._checked(call, entry, nodes, in_part=in_part)
        if len(self.problems) > before:
            self._failed.add(call.place)
        return component

    def _note_name(self, call: Call, entry: Entry) -> None:
        """Notes that a component is called by an earlier name."""
        rename = rename_of(entry.kind, "", call.name) if call.name != entry.name else None
        if rename and (problem := notice(rename, call.place)):
            self._note([problem])

    def _note(self, of_names: Sequence[Problem]) -> None:
        self.notices += [problem for problem in of_names if problem.severity != "error"]
        self.problems += [problem for problem in of_names if problem.severity == "error"]

    def failed(self, component: Component) -> bool:
        """Whether problems were noted for this component, so that its options are not all there."""
        return component.place in self._failed

    def _laid_out(self, call: Call, entry: Entry) -> dict[str, Node] | None:
        """The option nodes by name, from whichever of the four spellings."""
        node = call.options
        if node is None:
            return {}
        if isinstance(node, MappingNode) and not self._is_value_of_first(node, entry):
            beneath = self._laid_out(replace(call, options=node.beneath), entry) if node.beneath else {}
            return None if beneath is None else self._stacks_settled(beneath, self._named(node, entry), entry)
        if isinstance(node, ListNode) and entry.options and holds_stacks(entry.options[0].option_type):
            return {entry.options[0].name: node}
        if isinstance(node, ListNode) and (mixed := mixed_options(node, entry)):
            self.problems.append(mixed)
            return None
        values = node.items if isinstance(node, ListNode) else (node,)
        if len(values) > len(entry.options):
            takes = f"takes {_count(len(entry.options))}" + (f" ({_names(entry)})" if entry.options else "")
            place = values[len(entry.options)].place
            self.problems.append(Problem("too-many-options", f"{entry.name} {takes}", place, show_options(entry)))
            return None
        return {parameter.name: value for parameter, value in zip(entry.options, values, strict=False)}

    def _stacks_settled(self, beneath: dict[str, Node], named: dict[str, Node], entry: Entry) -> dict[str, Node]:
        """All options, and in lists of layers what an override says of their positions."""
        nodes = beneath | named
        for option in entry.options:
            if option.name in nodes and holds_stacks(option.option_type):
                node, problems = settled(nodes[option.name], beneath.get(option.name))
                nodes[option.name] = node
                self.problems += problems
        return nodes

    def _is_value_of_first(self, node: MappingNode, entry: Entry) -> bool:
        """A mapping that names no option but a component, where the first option takes a component."""
        if not entry.options or any(entry.parameter(key) for key in node.keys) or not node.pairs:
            return False
        if holds_stacks(entry.options[0].option_type):  # a list of layers that is written as a mapping
            return all(self.registry.find("layer", key) for key in node.keys)
        if len(node.pairs) != 1:
            return False
        first = alternatives(entry.options[0].option_type)
        return any(isinstance(t, Named) and t.is_component and self.registry.find(t.name, node.keys[0]) for t in first)

    def _named(self, node: MappingNode, entry: Entry) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        node, of_names = with_new_keys(node, renames_of(entry.kind, entry.name))
        self._note(of_names)
        names = [option.name for option in entry.options]
        for key, value in node.pairs:
            name = str(key.value)
            parameter = entry.parameter(name)
            if parameter and parameter.supplied and (entry.kind != "layer" or parameter.type in (STACK, "any")):
                message = f"{entry.name} has no option '{name}': annpipe gives it"
                self.problems.append(Problem("unknown-option", message, key.place, "leave it out"))
            elif parameter is None:
                moved, meant = option_word(entry.kind, name, names)
                hint = moved or did_you_mean(name, names)
                self._meant.update([meant] if moved else nearest(name, names, 1))
                message = f"{entry.name} has no option '{name}'"
                takes = f"{entry.name} takes {_names(entry)}" if entry.options else f"{entry.name} takes no options"
                self.problems.append(Problem("unknown-option", message, key.place, hint or takes))
            else:
                nodes[name] = value
        return nodes

    def _checked(self, call: Call, entry: Entry, nodes: Mapping[str, Node], *, in_part: bool) -> Component | None:
        before = len(self.problems)
        missing = [p for p in entry.options if p.required and p.name not in nodes and p.name not in self._meant]
        if missing and not in_part:
            self.problems.append(missing_options(call, entry, missing, self.examples))
        values = {}
        for name, node in nodes.items():
            option = entry.parameter(name)
            assert option
            inside = len(self.problems)
            value = self._value(option.option_type, node, f"{entry.name}.{name}")
            if len(self.problems) == inside:
                values[name] = value
        self._check_types(entry, {name: node for name, node in nodes.items() if name in values}, values)
        if len(self.problems) > before:
            return None
        shown = [p for p in entry.parameters if p.name in nodes or not (p.supplied or in_part)]
        options = {p.name: values[p.name] if p.name in values else _default(p) for p in shown}
        return Component(entry.kind, entry.name, options, call.place, nodes, entry=entry)

    def _check_types(self, entry: Entry, nodes: Mapping[str, Node], values: dict[str, Any]) -> None:
        try:
            checked = _model(entry)(**values)
        except ValidationError as error:
            for name in dict.fromkeys(str(detail["loc"][0]) for detail in error.errors()):
                parameter = entry.parameter(name)
                assert parameter
                self.problems += wrong_types(entry, parameter, nodes[name], values[name], self.examples)
        else:
            values.update({name: _as_lists(getattr(checked, name)) for name in values})

    def _value(self, type_: OptionType, node: Node, path: str) -> Any:
        """The node's data, with components and formulas resolved wherever the type has them."""
        members = alternatives(type_)
        lists = [member for member in members if isinstance(member, ListOf | TupleOf)]
        mappings = [member for member in members if isinstance(member, MappingOf)]
        if isinstance(node, ListNode) and lists:
            return [self._value(_item(lists[0], i), item, f"{path}.{i}") for i, item in enumerate(node.items)]
        if isinstance(node, MappingNode) and mappings:
            value = mappings[0].value
            return {str(k.value): self._value(value, v, f"{path}.{k.value}") for k, v in node.pairs}
        if isinstance(node, ListNode) and Named(STACK) in members:
            return [self._nested("layer", item, f"{path}.{number}") for number, item in enumerate(node.items)]
        for member in members:
            if isinstance(member, Named) and member.is_component and plain(node) is not None:
                return self._nested(member.name, node, path)
            if member == Named("path") and isinstance(node, ScalarNode) and isinstance(node.value, str):
                return self._path(node.value, node.place)
            is_formula = member == Named("expression") or isinstance(member, Formula)
            if is_formula and isinstance(node, ScalarNode) and not isinstance(node.value, bool | None):
                return self._expression(node, member.names if isinstance(member, Formula) else None)
        return plain(node)

    def _path(self, text: str, place: Place) -> str:
        """A path from the root, so that a run's plan finds the file: relative to the file that says it, `~` expanded.

        What the command line says is relative to the working directory.
        """
        folder = Path.cwd() if place.on_command_line else Path(place.file).resolve().parent
        path = os.path.normpath(folder / os.path.expanduser(text))
        try:
            with held_to(None if place.on_command_line else self.stance):
                check_named(path, text)
                if place.on_command_line and self.stance:
                    self.stance.permitted.append(real_path(before_pattern(path)))
        except NamedFault as fault:
            self.problems.append(problem_of("wrong-value", fault, place))
        return path

    def _nested(self, kind: str, node: Node, path: str) -> Component | None:
        call = read_call(node, f"`{path}`")
        if isinstance(call, Problem):
            is_other = not isinstance(node, MappingNode)
            self.problems.append(no_component(node, path, kind, self.examples) if is_other else call)
            return None
        return self.component(call, kind)

    def _expression(self, node: ScalarNode, names: Sequence[str] | None) -> Expression | None:
        try:
            expression = Expression(node.text)
            if names is not None:
                expression.check_names(names)
            return expression
        except ExpressionFault as fault:
            self.problems.append(formula_problem(fault, node))
            return None


def _default(parameter: Parameter) -> Any:
    """The default as it would be had the spec written it: 0 is 0.0 where the option is a number."""
    model = _model_of(((parameter.name, parameter.type, tuple(sorted(parameter.bounds.items()))),))
    try:
        return _as_lists(getattr(model(**{parameter.name: parameter.default}), parameter.name))
    except ValidationError:  # a plugin's own business: torch, too, has defaults outside the type that it announces
        return parameter.default


def _item(type_: ListOf | TupleOf, position: int) -> OptionType:
    if isinstance(type_, ListOf):
        return type_.item
    return type_.items[min(position, len(type_.items) - 1)]


@lru_cache(maxsize=1024)
def _model_of(parameters: tuple[tuple[str, str, tuple[tuple[str, float], ...]], ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, type_, bounds in parameters:
        parameter = Parameter(name, type_)
        fields[name] = (annotation(parameter.option_type, dict(bounds), InstanceOf[Component]), None)
    strictly = ConfigDict(strict=True, extra="forbid", protected_namespaces=())
    return create_model("Options", __config__=strictly, **fields)


def _model(entry: Entry) -> type[BaseModel]:
    """The option model of a component: strict types and bounds; presence was checked before."""
    return _model_of(tuple((p.name, p.type, tuple(sorted(p.bounds.items()))) for p in entry.parameters))


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple | list) else value


def _names(entry: Entry) -> str:
    return ", ".join(option.name for option in entry.options)


def _count(n: int) -> str:
    return "no options" if n == 0 else "one option" if n == 1 else f"at most {n} options"
