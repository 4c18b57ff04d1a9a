"""Python expressions as text, laid out as a formatter would: on one line where it fits, else one argument a line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

WIDTH = 120
STEP = "    "
LARGE = 10_000  # from here on the digits of a whole number stand in groups of three


@dataclass(frozen=True)
class Group:
    """Arguments in brackets after `head`; `spread` asks for a line each, however short they are.

    An argument is a text, a group, or a pair of a text before it (`lr=`) and one of the two. A `tail` is what follows
    the only item of a comprehension: `for _ in range(6)`.
    """

    head: str
    arguments: tuple[Argument, ...]
    brackets: str | tuple[str, str] = "()"
    spread: bool = False
    tail: str = ""


Code = str | Group
Argument = Code | tuple[str, Code]


def call(head: str, *arguments: Argument, spread: bool = False) -> Group:
    """`head(…)`."""
    return Group(head, arguments, spread=spread)


def listed(items: Iterable[Argument], *, spread: bool = False) -> Group:
    """`[…]`."""
    return Group("", tuple(items), "[]", spread)


def mapped(items: Mapping[str, Code]) -> Group:
    """`{…}`, the keys as texts."""
    return Group("", tuple((f"{quoted(key)}: ", item) for key, item in items.items()), "{}")


def flat(expression: Code) -> str:
    """The expression on one line."""
    if isinstance(expression, str):
        return expression
    inside = ", ".join(map(_flat_argument, expression.arguments))
    if expression.tail:
        inside += f" {expression.tail}"
    return f"{expression.head}{expression.brackets[0]}{inside}{expression.brackets[1]}"


def _flat_argument(argument: Argument) -> str:
    return f"{argument[0]}{flat(argument[1])}" if isinstance(argument, tuple) else flat(argument)


def statement(before: str, expression: Code, after: str = "", indent: int = 0) -> list[str]:
    """The lines of `before`, an expression and `after`, at so many steps of indentation."""
    margin = STEP * indent
    if isinstance(expression, str):
        return [f"{margin}{before}{expression}{after}"]
    one_line = f"{margin}{before}{flat(expression)}{after}"
    if not _is_spread(expression) and len(one_line) <= WIDTH:
        return [one_line]
    opened = f"{margin}{before}{expression.head}{expression.brackets[0]}"
    closed = f"{margin}{expression.brackets[1]}{after}"
    together = STEP * (indent + 1) + flat(replace(expression, head="", brackets=("", "")))
    if not _is_spread(expression) and len(together) <= WIDTH:
        return [opened, together, closed]
    if expression.tail:
        (only,) = expression.arguments
        assert not isinstance(only, tuple)
        return [opened, *statement("", only, "", indent + 1), f"{STEP * (indent + 1)}{expression.tail}", closed]
    lines = [opened]
    for argument in expression.arguments:
        name, value = argument if isinstance(argument, tuple) else ("", argument)
        lines += statement(name, value, ",", indent + 1)
    return [*lines, closed]


def _is_spread(expression: Code) -> bool:
    """Whether something in the expression asks for lines of its own."""
    if isinstance(expression, str):
        return False
    inner = (argument[1] if isinstance(argument, tuple) else argument for argument in expression.arguments)
    return expression.spread or any(map(_is_spread, inner))


def quoted(text: str) -> str:
    """A text as a literal: in double quotes where it has none itself, everything unprintable escaped.

    >>> quoted("it's"), quoted('say "hi"'), quoted("a\\n")
    ('"it\\'s"', '\\'say "hi"\\'', '"a\\\\n"')
    """
    return repr(text) if '"' in text else '"' + repr("'" + text)[2:]


def number(value: float) -> str:
    """A number as a literal: `10_000`, `0.0002`, `float("inf")`."""
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return f"{value:_}" if LARGE <= abs(value) < 10**12 else repr(value)
    return repr(value) if math.isfinite(value) else f'float("{value}")'


def literal(value: Any) -> Code:
    """A plain value as a literal: numbers, texts, lists, tuples and mappings of such."""
    match value:
        case bool() | None:
            return repr(value)
        case int() | float():
            return number(value)
        case str():
            return quoted(value)
        case Path():
            return quoted(str(value))
        case dict():
            return Group("", tuple((f"{flat(literal(key))}: ", literal(item)) for key, item in value.items()), "{}")
        case tuple() if len(value) == 1:
            return f"({flat(literal(value[0]))},)"
        case list() | tuple():
            brackets = "[]" if isinstance(value, list) else "()"
            return Group("", tuple(map(literal, value)), brackets)
    raise TypeError(f"{type(value).__name__} has no literal")


def words(text: str, most: int = 200) -> str:
    """A user's text for a comment or docstring: on one line, with nothing in it that could end either."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = re.sub(r"\s+", " ", plain.replace("\\", "/").replace('"', "'")).strip()
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def comment(text: str, indent: int = 0) -> list[str]:
    """A comment in lines that fit."""
    return [f"{STEP * indent}# {line}" for line in filled(text, WIDTH - 2 - 4 * indent)]


def filled(text: str, width: int) -> Sequence[str]:
    """The text in lines of so many letters at most."""
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
