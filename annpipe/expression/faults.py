"""Words what is wrong with a formula, and what to write instead."""

from __future__ import annotations

import ast
import unicodedata

from annpipe.errors import AnnpipeError


class ExpressionFault(AnnpipeError):
    """A formula cannot be read: what is wrong, where in the text (`column` from 0, `length`), and the remedy."""

    exit_code = 3

    def __init__(self, message: str, column: int = 0, length: int = 1, help: str | None = None) -> None:
        self.message, self.column, self.length, self.help = message, column, max(1, length), help
        super().__init__(message)


A_STRING = "a formula knows numbers only; a column's name stands without quotes"
REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Attribute: ("an attribute", "columns and functions stand by their names alone, as in sin(x)"),
    ast.Subscript: ("a subscript", "a formula works on whole columns: name the column"),
    ast.BoolOp: ("'and' or 'or'", "multiply conditions for 'and', take their max for 'or': (x > 0) * (x < 1)"),
    ast.IfExp: ("an 'if'", "write where(condition, then, otherwise)"),
    ast.Lambda: ("a lambda", "write the formula alone"),
    ast.NamedExpr: ("an assignment", "give it a name of its own under targets"),
    ast.JoinedStr: ("a string", A_STRING),
    ast.Starred: ("a star", "write each argument"),
    ast.Tuple: ("a list", "write one formula; each target has its own"),
    ast.List: ("a list", "write one formula; each target has its own"),
    ast.BitXor: ("'^'", "write ** for a power: x**2"),
    ast.FloorDiv: ("'//'", "write floor(a / b)"),
    ast.BitAnd: ("'&'", "multiply conditions: (x > 0) * (x < 1)"),
    ast.BitOr: ("'|'", "take the max of conditions: max(x < 0, x > 1)"),
    ast.MatMult: ("'@'", "write * for a product"),
    ast.Not: ("'not'", "compare with 0: (x > 0) == 0"),
}
OTHER_NAMES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "sgn": "sign"}
OTHER_NAMES |= {
    "pow": "x**2",
    "clip": "clamp",
    "minimum": "min",
    "maximum": "max",
    "fabs": "abs",
    "logistic": "sigmoid",
}

_OTHER_SIGNS = {"×": "*", "·": "*", "⋅": "*", "÷": "/", "∕": "/", "−": "-", "–": "-", "√": "sqrt(x)"}
_OTHER_SIGNS |= {"≤": "<=", "≥": ">=", "≠": "!="}


def constant_fault(value: object) -> tuple[str, str]:
    """What to say of a constant that is no real number: message and remedy."""
    if isinstance(value, str | bytes):
        return "a string cannot stand in a formula", A_STRING
    if isinstance(value, bool):
        return "a formula knows real numbers only", "write 1 or 0"
    if isinstance(value, complex):
        return "a formula knows real numbers only", "leave the j out"
    return "a formula knows real numbers only", "a formula has numbers, names, operators and functions"


def syntax_fault(error: SyntaxError, text: str) -> ExpressionFault:
    """Python's complaint about `text` without its blanks around it, in a formula's words.

    Python's offset counts from 1; 0 is the end of the text.
    """
    indent, end = len(text) - len(text.lstrip()), len(text.rstrip())
    column = min(error.offset - 1 + indent if error.offset else end, end)
    length = (error.end_offset or 0) - (error.offset or 0)
    character = text[column:end][:1]
    if "null bytes" in error.msg:
        return ExpressionFault(
            "the formula cannot be read", 0, len(text), "write it again: a character in it is unseen"
        )
    if error.msg.startswith("invalid") and "literal" in error.msg:
        return ExpressionFault("a number runs into a name", column, 1, "write 2*x for two times x")
    if "character" in error.msg:
        return ExpressionFault(f"'{character}' has no meaning in a formula", column, 1, _sign_for(character))
    if "never closed" in error.msg or error.msg.startswith(("unmatched", "closing")):
        return ExpressionFault(
            f"the parentheses do not match: {error.msg}", column, 1, _parenthesis_for(character, error.msg)
        )
    if not character:
        return ExpressionFault("the formula breaks off here", column, 1, "something must follow, as in x**2 + 3")
    if character == "=":
        help_ = "write the formula alone, its name stands before the colon; to compare, write =="
        return ExpressionFault("'=' cannot stand in a formula", column, 1, help_)
    return ExpressionFault("the formula cannot be read from here on", column, length, "write it as in x**2 + 3")


def _sign_for(character: str) -> str:
    """What to write for a sign that Python does not know: `＋` is + in another width, `²` a power."""
    usual = _OTHER_SIGNS.get(character) or unicodedata.normalize("NFKC", character)
    if usual == character or not usual.isascii():
        return "a formula has numbers, names, operators and functions"
    return f"write **{usual} for a power" if usual.isdigit() and not character.isdecimal() else f"write {usual}"


def _parenthesis_for(character: str, complaint: str) -> str:
    if "never closed" in complaint:
        return f"close it: add a '{ {'(': ')', '[': ']'}.get(character, '}') }'"
    return f"leave '{character}' out, or open one before it"
