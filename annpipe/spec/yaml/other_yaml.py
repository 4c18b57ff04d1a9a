"""Hints for values of the wrong type that YAML 1.1, Python, a calculator or a template would read otherwise."""

from __future__ import annotations

import re

from annpipe.registry.types import (
    Choice,
    ListOf,
    MappingOf,
    Named,
    OptionType,
    TupleOf,
    alternatives,
)
from annpipe.spec.yaml.nodes import Node, ScalarNode, core_value

MAX_LENGTH = 100  # a longer text is not looked at: no number, no variable

_TRUE = frozenset({"yes", "on", "y"})
_FALSE = frozenset({"no", "off", "n"})
_N = r"[-+]?[0-9.]+"
# {0} is the text, {1} its first group, and so on; {0:x} the text without any x
_HINTS = tuple(
    (re.compile(rf"(?:{pattern})\Z"), hint)
    for pattern, hint in (
        (
            r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?",
            "'{0}' is a word in YAML 1.2, not a number in base 60: write the number",
        ),
        (r"[-+]?0[0-9_]+", "'{0}' is a word: a number has no leading zero (write 0o17 for an octal one)"),
        (r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?", "'{0}' is a word in YAML 1.2, not a date"),
        (
            r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?",
            "write {0:_}: numbers have no underscores in YAML 1.2",
        ),
        (r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+", "write {0:,}: thousands have no comma"),
        (r"([-+]?[0-9]+),([0-9]+)", "write {1}.{2}: the decimal sign is a dot"),
        (rf"{_N} ?%", "write a fraction, as in 0.2 for 20 %"),
        (rf"{_N} ?(?:\*\*|\^|/|\*) ?{_N}", "a value is no formula: write the number, as in 1e-3"),
        (
            rf"{_N} *[eE] *[-+]? *[0-9]+|[-+] +[0-9.]+|[1-9][0-9]{{0,2}}(?: [0-9]{{3}})+",
            "write {0: }: a number has no blanks",
        ),
        (r"([-+.0-9][^\s#]*)#.*", "write `{1} # …`: a space stands before a comment"),
        (r"[“”„‘’].*", "curly quotes are part of the text: a number has none, a text plain ones"),
        (r"\$\{(\w+)", "write `${{{1}}}`: the brace is not closed"),
        (r"\$(\w+)", "write `${{{1}}}`: a variable stands in braces"),
        (r"\{\{\s*(\w+)\s*\}\}", 'write "${{{1}}}" for the value of a variable'),
    )
)


class _Text(str):
    """A text that leaves out a sign in a template: `{0:_}`."""

    __slots__ = ()

    def __format__(self, sign: str) -> str:
        return self.replace(sign, "") if sign else str(self)


def yaml_hint(node: Node, wanted: OptionType | None = None) -> str | None:
    """The remedy for a value that looks like another type; None for any other value.

    Some remedies need to know the type that is `wanted`: "write 1000" for 1e3, "put it in quotes" for a name.
    """
    if not isinstance(node, ScalarNode) or node.value is None:
        return None
    scalars = _scalars(wanted) if wanted else frozenset()
    if not isinstance(node.value, str):
        return _retyped(node, scalars)
    if not node.plain and _is_value(node.text, scalars if wanted else None):
        return "what stands in quotes is text: leave the quotes out"
    return _meant(node.text, plain=node.plain)


def _retyped(node: ScalarNode, wanted: frozenset[str]) -> str | None:
    """For a number, true or false: the same value as the type that is wanted."""
    value = node.value
    if isinstance(value, float) and "int" in wanted and "float" not in wanted and value.is_integer():
        return f"write {int(value)}: a whole number has no point and no exponent" if abs(value) < 1e15 else None
    if not isinstance(value, bool) and "bool" in wanted and value in (0, 1):
        return f"write {'true' if value else 'false'}"
    return f'put it in quotes: "{node.text}"' if wanted - {"None"} == {"str"} else None


def _meant(text: str, *, plain: bool) -> str | None:
    """For a word: the number, the truth value, the variable it was meant for."""
    folded = text.casefold()
    if len(text) > MAX_LENGTH or not (plain or text.startswith(("$", "{{"))):
        return None
    if folded in _TRUE | _FALSE:
        return f"'{text}' is a word in YAML 1.2: write {'true' if folded in _TRUE else 'false'}"
    if folded in ("true", "false"):
        return f"write {folded}"
    if folded in ("none", "nil"):
        return "leave the option out, or write null where it may be nothing"
    matched = ((pattern.match(text), hint) for pattern, hint in _HINTS)
    return next((hint.format(_Text(text), *match.groups()) for match, hint in matched if match), None)


def _is_value(text: str, wanted: frozenset[str] | None) -> bool:
    """Whether a quoted text would, without its quotes, be a value that is wanted (any value where that is unknown)."""
    if not text:
        return False
    try:
        value = core_value(text)
    except ValueError:
        return False
    if wanted is None or isinstance(value, str):
        return not isinstance(value, str)
    return type(value).__name__ in wanted or (type(value) is int and "float" in wanted)


def _scalars(type_: OptionType) -> frozenset[str]:
    """The plain types of values anywhere in a type, as Python names them."""
    match type_:
        case Named(name="tensor"):
            return frozenset({"int", "float"})
        case Named(name=name):
            return frozenset({name})
        case Choice(values=values):
            return frozenset(type(value).__name__ for value in values if not isinstance(value, str))
        case ListOf(item=below) | MappingOf(value=below):
            return _scalars(below)
        case TupleOf(items=several):
            return frozenset().union(*map(_scalars, several))
    members = alternatives(type_)
    return frozenset().union(*map(_scalars, members)) if type_ not in members else frozenset()
