"""Checks of what a component declares: the words and limits of its options, and their way through spec and schema."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from annpipe.draft.component import Component
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.kinds import KINDS
from annpipe.registry.place import parameter_place
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import Formula, MappingOf, Named, alternatives, annotation
from annpipe.testing.components.blame import definition_of, source_tree
from annpipe.testing.components.subject import Subject
from annpipe.testing.components.verdicts import ComponentFault


def check_signature(subject: Subject) -> str:
    """Options have a type, words, a default within their limits, and an effect; the component has words, too."""
    entry = subject.entry
    if not entry.summary:
        raise ComponentFault("it has no docstring", "say in its first sentence what it does")
    if wordless := [
        option for option in entry.options if not option.description and not _is_mentioned(subject, option)
    ]:
        first, names = wordless[0], " and ".join(f"'{option.name}'" for option in wordless)
        help_ = f"write `Annotated[{first.type}, Field(description=…)]`, or name `{first.name}` in the docstring"
        raise ComponentFault(f"no word says what {names} is for", help_, _line_of(entry, first))
    for option in entry.options:
        if (fault := _fault_of_default(option)) is not None:
            message, help_ = f"the default of '{option.name}' {fault}", "change the default or the limits"
            raise ComponentFault(message, help_, _line_of(entry, option))
    if ignored := next(ignored_options(entry), None):
        message = f"the option '{ignored.name}' is ignored: nothing reads it"
        raise ComponentFault(message, "use it, or take it away", _line_of(entry, ignored))
    return f"{len(entry.options)} options with types and words" if entry.options else "it has no options"


def _line_of(entry: Entry, option: Parameter) -> int:
    place = parameter_place(entry.file, entry.line, option.name) if entry.file else None
    return place.line if place else 0


def _is_mentioned(subject: Subject, option: Parameter) -> bool:
    text = inspect.getdoc(subject.loaded) or ""
    return re.search(rf"\b{re.escape(option.name)}\b", text) is not None


def _fault_of_default(option: Parameter) -> str | None:
    """What is wrong with a default; None where nothing is, or where no value stands for it."""
    from pydantic import TypeAdapter, ValidationError

    members = alternatives(option.option_type)
    special = any(isinstance(m, Formula | MappingOf) or (isinstance(m, Named) and m.is_component) for m in members)
    if option.required or option.default is None or special:
        return None
    try:
        TypeAdapter(annotation(option.option_type, option.bounds)).validate_python(option.default)
    except ValidationError:
        return f"is {option.default!r}, and not {option.words}"
    return None


def ignored_options(entry: Entry) -> Iterator[Parameter]:
    """The options that the source takes and nothing reads.

    One that is kept in an attribute of the same object counts as read where any attribute of that name is read in the
    file, or where a class of another file may read it.
    """
    node, tree = definition_of(entry), source_tree(entry)
    function = _constructor(node) if node is not None else None
    if function is None or tree is None:
        return
    read = {part.attr for part in ast.walk(tree) if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Load)}
    for option in entry.options:
        if option.name in _read_by_annpipe(entry):
            continue
        uses = [
            part
            for statement in function.body
            for part in ast.walk(statement)
            if isinstance(part, ast.Name) and part.id == option.name and isinstance(part.ctx, ast.Load)
        ]
        kept = _kept_in(function, option.name)
        if not uses or (len(uses) == len(kept) and not set(kept) & read and _is_plain(node)):
            yield option


def _read_by_annpipe(entry: Entry) -> set[str | None]:
    """The options that the engine itself acts on."""
    layer = entry.traits_as(LayerTraits)
    keys = {option.name for option in entry.options if Named("metric_key") in alternatives(option.option_type)}
    return {*keys, *KINDS[entry.kind].engine_options, layer.repeats, layer.shares, layer.uses, layer.sets, layer.reads}


def _constructor(node: ast.ClassDef | ast.FunctionDef) -> ast.FunctionDef | None:
    if isinstance(node, ast.FunctionDef):
        return node
    methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
    return next((method for method in methods if method.name == "__init__"), None)


def _kept_in(function: ast.FunctionDef, name: str) -> list[str]:
    """The attributes in which a function keeps a parameter as it is; of tuples, each in its own."""
    kept = []
    for part in ast.walk(function):
        if not isinstance(part, ast.Assign) or len(part.targets) != 1:
            continue
        target, value = part.targets[0], part.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            pairs = list(zip(target.elts, value.elts, strict=True))
        kept += [
            to.attr for to, of in pairs if isinstance(to, ast.Attribute) and isinstance(of, ast.Name) and of.id == name
        ]
    return kept


PLAIN_BASES = frozenset({"object", "Module", "nn.Module", "torch.nn.Module"})
"""Base classes that read no attribute of those below them."""


def _is_plain(node: ast.ClassDef | ast.FunctionDef | None) -> bool:
    return isinstance(node, ast.ClassDef) and all(ast.unparse(base) in PLAIN_BASES for base in node.bases)


def check_round_trip(subject: Subject) -> str:
    """The plan says all options; read as a spec it is the same plan, and the JSON schema accepts it."""
    plan = subject.plan
    again = subject.plan_of(plan.to_yaml())
    if again.digest != plan.digest:
        before, after = subject.component(plan), subject.component(again)
        raise ComponentFault(
            f"its options change on their way through a spec: {_changed(before, after)}",
            "let its defaults be what YAML can say",
        )
    validator = _validator(_Names.of(subject.registry))
    data = {**subject.sections, **plan.to_data()}
    fault = next(iter(validator.iter_errors(data)), None) if validator else None
    if fault is not None:
        where = ".".join(map(str, fault.absolute_path))
        raise ComponentFault(f"the JSON schema refuses `{where}`: {fault.message[:200]}", "report this to annpipe")
    return "the same through YAML" + (" and in the JSON schema" if validator else "; install jsonschema for its schema")


def _changed(before: Component, after: Component) -> str:
    names = [name for name, value in before.options.items() if after.options.get(name) != value]
    return ", ".join(f"'{name}' is {after.options.get(name)!r} for {before.options[name]!r}" for name in names) or "all"


@dataclass(frozen=True)
class _Names:
    """What decides the schema of a registry: the names in it, and where they come from."""

    names: frozenset[tuple[str, str, str]]
    registry: Registry = field(compare=False)

    @classmethod
    def of(cls, registry: Registry) -> _Names:
        entries = [entry for kind in KINDS for entry in registry.entries(kind)]
        return cls(frozenset((entry.kind, entry.name, entry.where) for entry in entries), registry.copy())


@lru_cache(maxsize=2)
def _validator(names: _Names) -> Any:
    """What holds specs against the schema of a registry; None without jsonschema, which annpipe needs only here."""
    try:
        from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        return None
    from annpipe.schema.root import spec_schema

    return Draft7Validator(spec_schema(names.registry))


def check_example(subject: Subject) -> str:
    """The smallest spec that uses it can be planned."""
    n_layers = len(subject.plan.model)
    return f"a spec that uses it can be planned: {n_layers} layer{'s' if n_layers > 1 else ''}"
