"""A formula of a spec as Python on tensors of doubles, with the same operations in the same order."""

from __future__ import annotations

import math
from collections.abc import Mapping

from annpipe.expression import Expression
from annpipe.expression.functions import FUNCTIONS, Apply, FormulaNode

STRENGTHS = {"+": 3, "-": 3, "*": 4, "/": 4, "%": 4, "unary -": 5, "unary +": 5, "**": 6}
"""How strongly Python's operators bind; all else is a call or a number."""
CALL, NUMBER = 8, 7
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
CLOSE = 6  # operators that formatters write without blanks between two plain names or numbers: `x**2`


def formula_source(formula: Expression, names: Mapping[str, str], rows: str) -> str:
    """The formula of columns; `names` has what these are called, `rows` the number of rows for one without any.

    New tensors must be doubles where it is computed.
    """
    root = formula.root
    if isinstance(root, float):
        return f"torch.full(({rows},), {number(root)})"
    return _source(root, names)[0]


def function_source(formula: Expression, name: str) -> str:
    """The formula of one number, a tensor of a double called `name`, as a number."""
    root = formula.root
    if isinstance(root, float):
        return repr(root)
    return f"float({_source(root, dict.fromkeys(formula.names, name), ', dtype=torch.float64')[0]})"


def number(value: float) -> str:
    """A number of a formula: whole ones without a point, since all arithmetic here is on doubles."""
    if value == math.pi:
        return "torch.pi"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _source(node: FormulaNode, names: Mapping[str, str], dtype: str = "") -> tuple[str, int]:
    """The text, and how strongly it binds; `dtype` is what new tensors are told, where doubles are not the default."""
    if isinstance(node, float):
        return number(node), NUMBER if node >= 0 else STRENGTHS["unary -"]
    if isinstance(node, str):
        return names[node], CALL
    if node.function in FUNCTIONS:
        return _called(node, names, dtype), CALL
    if node.function in COMPARISONS:
        left, right = (_within(argument, 3, names, dtype) for argument in node.arguments)
        return f"({left} {node.function} {right}).double()", CALL
    if node.function == "unary +":
        return _source(node.arguments[0], names, dtype)
    if node.function == "unary -":
        return f"-{_within(node.arguments[0], STRENGTHS['unary -'], names, dtype)}", STRENGTHS["unary -"]
    return _binary(node, names, dtype)


def _binary(node: Apply, names: Mapping[str, str], dtype: str) -> tuple[str, int]:
    strength = STRENGTHS[node.function]
    is_power = node.function == "**"
    left = _within(node.arguments[0], strength + is_power, names, dtype)
    right = _within(node.arguments[1], strength + (not is_power), names, dtype)
    is_close = is_power and all(isinstance(argument, str | float) for argument in node.arguments)
    space = "" if is_close else " "
    return f"{left}{space}{node.function}{space}{right}", strength


def _within(node: FormulaNode, strength: int, names: Mapping[str, str], dtype: str) -> str:
    text, binds = _source(node, names, dtype)
    return text if binds >= strength else f"({text})"


def _called(node: Apply, names: Mapping[str, str], dtype: str) -> str:
    """A function of torch; numbers among its arguments are tensors, as torch asks for."""
    texts = [
        f"torch.tensor({argument!r}{dtype})" if isinstance(argument, float) else _source(argument, names, dtype)[0]
        for argument in node.arguments
    ]
    if node.function == "where":
        condition, yes, no = texts
        return f"torch.where(({condition}) != 0, {yes}, {no})"
    if node.function == "sign":
        return f"torch.where(torch.isnan({texts[0]}), {texts[0]}, torch.sign({texts[0]}))"
    function = FUNCTIONS[node.function].on_tensors
    assert isinstance(function, str)
    return f"torch.{function}({', '.join(texts)})"
