"""The operators, functions and constants of formulas, on floats and on tensors."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Apply:
    """A function, by its name in a formula, of nodes."""

    function: str
    arguments: tuple[FormulaNode, ...]


FormulaNode = float | str | Apply
"""A number, a free name, or a function of nodes."""


@dataclass(frozen=True)
class Function:
    """How many arguments it takes, and the function on floats and on tensors (by its name in torch)."""

    arity: int
    on_numbers: Callable[..., Any]
    on_tensors: str | Callable[..., Any]


OPERATORS: dict[type[ast.AST], tuple[str, Callable[..., Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.Pow: ("**", operator.pow),
    ast.Mod: ("%", operator.mod),
    ast.UAdd: ("unary +", operator.pos),
    ast.USub: ("unary -", operator.neg),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}


def _sign(value: float) -> float:
    return float((value > 0) - (value < 0))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def _choose(condition: float, yes: float, no: float) -> float:
    return yes if condition else no


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _where_tensors(condition: torch.Tensor, yes: torch.Tensor, no: torch.Tensor) -> torch.Tensor:
    return yes.where(condition != 0, no)


def _sign_tensors(value: torch.Tensor) -> torch.Tensor:
    """As numpy has it: torch's own sign of nan is 0."""
    return value.where(value.isnan(), value.sign())


FUNCTIONS: dict[str, Function] = {
    **{name: Function(1, getattr(math, name), name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: Function(1, getattr(math, name), name) for name in ("sinh", "cosh", "tanh", "exp", "log", "log2")},
    **{name: Function(1, getattr(math, name), name) for name in ("log10", "sqrt", "floor", "ceil", "erf")},
    "abs": Function(1, abs, "abs"),
    "sign": Function(1, _sign, _sign_tensors),
    "round": Function(1, round, "round"),
    "sigmoid": Function(1, _logistic, "sigmoid"),
    "relu": Function(1, lambda value: max(value, 0.0), "relu"),
    "atan2": Function(2, math.atan2, "atan2"),
    "min": Function(2, min, "minimum"),
    "max": Function(2, max, "maximum"),
    "clamp": Function(3, _clamp, "clamp"),
    "where": Function(3, _choose, _where_tensors),
}
CONSTANTS = {"pi": math.pi, "e": math.e}
CALLABLE = FUNCTIONS | {
    sign: Function(1 if sign.startswith("unary") else 2, function, function) for sign, function in OPERATORS.values()
}


def example(function: str) -> str:
    """How a function is written, as in `max(a, b)`."""
    return {2: f"{function}(a, b)", 3: f"{function}(x, a, b)"}.get(FUNCTIONS[function].arity, f"{function}(x)")
