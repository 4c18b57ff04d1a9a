"""The types that an option can have: what YAML can say, written as Python writes annotations.

    int   float   bool   str   None   any   tensor   path   metric_key   expression   stack   'a' | 'b'
    T | U   list[T]   tuple[T, U]   tuple[T, ...]   dict[str, T]   and each kind of component: layer, distribution, …
    expression[epoch]

One text form serves the index, `annpipe show` and errors; `annotation` turns a type into what pydantic checks.
`float` takes whole numbers too; `tensor` is a number or (nested) lists of numbers; `expression` is a formula, whose
names the component checks, or which are given in brackets; `stack` is a list of layers, run one after another.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union

from annpipe.errors.wording import either, limits
from annpipe.registry.kinds import KINDS, with_article

SCALARS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a word",
    "None": "null",
    "any": "any value",
    "tensor": "a number or a list of numbers",
    "path": "a path",
    "metric_key": "the key of a metric",
    "expression": "a formula",
    "stack": "a list of layers",
}
STACK = "stack"


class UnsupportedType(Exception):
    """An annotation that YAML cannot say."""


@dataclass(frozen=True)
class Named:
    """A scalar of SCALARS or a component of a kind."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def is_component(self) -> bool:
        return self.name in KINDS


@dataclass(frozen=True)
class Formula:
    """A formula that knows some names only."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"expression[{', '.join(self.names)}]"


@dataclass(frozen=True)
class Choice:
    """One of some words or numbers."""

    values: tuple[str | int | float | bool, ...]

    def __str__(self) -> str:
        return " | ".join(repr(value) for value in self.values)


@dataclass(frozen=True)
class ListOf:
    """A list of any length."""

    item: OptionType

    def __str__(self) -> str:
        return f"list[{self.item}]"


@dataclass(frozen=True)
class TupleOf:
    """A list of fixed length, each place with its own type."""

    items: tuple[OptionType, ...]

    def __str__(self) -> str:
        return f"tuple[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True)
class MappingOf:
    """A mapping from names to one type."""

    value: OptionType

    def __str__(self) -> str:
        return f"dict[str, {self.value}]"


@dataclass(frozen=True)
class OneOf:
    """Any of several types."""

    members: tuple[OptionType, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.members))


OptionType = Named | Formula | Choice | ListOf | TupleOf | MappingOf | OneOf


@cache
def parse(text: str) -> OptionType:
    """Reads a type from its text; raises UnsupportedType on anything else."""
    try:
        return _from_node(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise UnsupportedType(text) from error


def _from_node(node: ast.expr) -> OptionType:
    match node:
        case ast.Constant(value=None):
            return Named("None")
        case ast.Constant(value=str() | int() | float() | bool() as value):
            return Choice((value,))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return Choice((-value,))
        case ast.Name(id=name) if name in SCALARS or name in KINDS:
            return Named(name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return one_of([_from_node(left), _from_node(right)])
        case ast.Subscript(value=ast.Name(id="expression"), slice=ast.Name(id=name)):
            return Formula((name,))
        case ast.Subscript(value=ast.Name(id="expression"), slice=ast.Tuple(elts=names)):
            return Formula(tuple(ast.unparse(name) for name in names))
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return ListOf(_from_node(item))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=end)])) if (
            end is Ellipsis
        ):
            return ListOf(_from_node(item))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            return TupleOf(tuple(map(_from_node, items)))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=item):
            return TupleOf((_from_node(item),))
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), value])):
            return MappingOf(_from_node(value))
    raise UnsupportedType(ast.unparse(node))


def one_of(members: Iterable[OptionType]) -> OptionType:
    """A union, flattened, without repeats, its literals gathered into one choice; a tensor includes the numbers."""
    flat: list[OptionType] = []
    for member in members:
        flat.extend(member.members if isinstance(member, OneOf) else (member,))
    literals = tuple(dict.fromkeys(value for m in flat if isinstance(m, Choice) for value in m.values))
    distinct = list(dict.fromkeys(Choice(literals) if isinstance(m, Choice) else m for m in flat))
    if Named("tensor") in distinct:
        distinct = [m for m in distinct if m not in (Named("int"), Named("float"))]
    return distinct[0] if len(distinct) == 1 else OneOf(tuple(distinct))


def words(type_: OptionType, bounds: Mapping[str, float] | None = None) -> str:
    """The type in a user's words: "a number greater than 0", "one of 'mean', 'sum'"."""
    limit = limits(bounds or {})
    match type_:
        case Named(name=name) if type_.is_component:
            return with_article(name)
        case Named(name=name):
            return SCALARS[name] + (limit if name in ("int", "float", "tensor", "str") else "")
        case Formula(names=names):
            return f"a formula of {', '.join(names)}"
        case Choice(values=(only,)):
            return repr(only)
        case Choice(values=values):
            return "one of " + ", ".join(map(repr, values))
        case ListOf(item=item):
            return f"a list, each {words(item, bounds)}"
        case TupleOf(items=items) if len(set(items)) == 1:
            return f"a list of {len(items)}, each {words(items[0], bounds)}"
        case TupleOf(items=items):
            return "a list of " + " and ".join(words(item, bounds) for item in items)
        case MappingOf(value=value):
            return f"a mapping, each value {words(value, bounds)}"
        case OneOf(members=members):
            return either([words(m, bounds) for m in members if m != Named("int") or Named("float") not in members])


def annotation(type_: OptionType, bounds: Mapping[str, float] | None = None, component: Any = Any) -> Any:
    """What pydantic checks, strictly, for `type_`; `component` is the class that resolved components have."""
    from pydantic import Field, InstanceOf, Strict

    from annpipe.expression import Expression

    def inner(part: OptionType) -> Any:
        return annotation(part, bounds, component)

    match type_:
        case Named() if type_.is_component:
            return component
        case Named(name="int" | "float" as name):
            return Annotated[int if name == "int" else float, Field(strict=True, **(bounds or {}))]  # type: ignore[call-overload]  # Field's own bounds
        case Named(name="tensor"):
            number = Annotated[float, Field(strict=True, **(bounds or {}))]
            return number | list[number] | list[list[number]] | list[list[list[number]]]
        case Formula() | Named(name="expression"):
            return InstanceOf[Expression]
        case Named(name="stack"):
            return Annotated[list[component], Field(min_length=1)]
        case Named(name=name):
            return {"bool": bool, "str": str, "None": None, "any": Any, "path": str, "metric_key": str}[name]
        case Choice(values=values):
            return Literal[values]
        case ListOf(item=item):
            return list[inner(item)]  # type: ignore[misc]  # built at run time
        case TupleOf(items=items):
            return Annotated[tuple[tuple(inner(item) for item in items)], Strict(False)]  # type: ignore[misc]  # as above
        case MappingOf(value=value):
            return dict[str, inner(value)]  # type: ignore[misc]  # as above
        case OneOf(members=members):
            return Union[tuple(inner(member) for member in members)]  # noqa: UP007  # built at run time


def holds_stacks(type_: OptionType) -> bool:
    """Whether a value of the type is a list of layers, or a list of such lists."""
    return any(
        member == Named(STACK) or (isinstance(member, ListOf) and holds_stacks(member.item))
        for member in alternatives(type_)
    )


def alternatives(type_: OptionType) -> Sequence[OptionType]:
    """The members of a union, or the type itself."""
    return type_.members if isinstance(type_, OneOf) else (type_,)
