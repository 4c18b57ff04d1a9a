"""Formulas of a spec: `x**2 + 3` as an allow-listed expression on tensors.

A formula knows one type, the number: literals are doubles, comparisons give 1 or 0, and what consists of literals
alone is computed when the formula is read, so that `9**9**9` is refused then. Nothing of Python's can be reached:
the text is parsed, never compiled.
"""

from __future__ import annotations

import ast
import keyword
import math
import operator
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from annpipe.errors import AnnpipeError
from annpipe.registry.suggest import did_you_mean

if TYPE_CHECKING:
    import torch

MAX_CHARACTERS = 500
MAX_NODES = 200


class ExpressionFault(AnnpipeError):
    """A formula cannot be read: what is wrong, where in the text (`column` from 0, `length`), and the remedy."""

    exit_code = 3

    def __init__(self, message: str, column: int = 0, length: int = 1, help: str | None = None) -> None:
        self.message, self.column, self.length, self.help = message, column, max(1, length), help
        super().__init__(message)


@dataclass(frozen=True)
class Expression:
    """A formula with free names, equal to another when the texts are.

    >>> rate = Expression("0.95 ** epoch")
    >>> sorted(rate.names), rate(2)
    (['epoch'], 0.9025)
    """

    text: str
    names: frozenset[str] = field(init=False, compare=False, repr=False)
    _root: _Node = field(init=False, compare=False, repr=False)
    _columns: dict[str, int] = field(init=False, compare=False, repr=False)

    reserved: ClassVar[frozenset[str]]
    """The names of functions and constants, which no column can have."""

    def __post_init__(self) -> None:
        reader = _Reader(self.text)
        object.__setattr__(self, "_root", reader.read())
        object.__setattr__(self, "_columns", reader.columns)
        object.__setattr__(self, "names", frozenset(reader.columns))

    def __str__(self) -> str:
        return self.text

    def unknown_name(self, known: Iterable[str]) -> ExpressionFault | None:
        """The fault of the first free name that is not in `known`, None when all are."""
        known = list(known)
        for name, column in self._columns.items():
            if name not in known:
                some = f"the names here are {', '.join(known)}" if known else "no name can be used here"
                help_ = did_you_mean(name, known) or some
                return ExpressionFault(f"there is no '{name}' to compute with", column, len(name), help_)
        return None

    def check_names(self, known: Iterable[str]) -> None:
        """Raises ExpressionFault at the first free name that is not in `known`."""
        if fault := self.unknown_name(known):
            raise fault

    def evaluate(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The formula's value, in the floating dtype of `values` (float64 where they are whole numbers).

        **Shape:** that of the named values, broadcast; a formula without names has the shape of the first value.
        Raises ExpressionFault where a name is missing. A result may be nan or infinite: `log(x)` at 0.
        """
        import torch

        self.check_names(values)
        used = {name: values[name] for name in values if name in self.names}
        dtype = _floating_dtype(used or values)
        result = _evaluate(self._root, {name: value.to(dtype) for name, value in used.items()}, dtype)
        if isinstance(result, torch.Tensor):
            return result
        like = next(iter(values.values()), torch.tensor(0.0))
        return torch.full_like(like, result, dtype=dtype)

    def __call__(self, value: float) -> float:
        """The value of a formula with one free name (or none) at a number."""
        import torch

        if len(self.names) > 1:
            raise ExpressionFault(f"one name is wanted, however: {', '.join(self._columns)}", 0, len(self.text))
        number = torch.tensor(float(value), dtype=torch.float64)
        return float(self.evaluate(dict.fromkeys(self.names or {"value"}, number)))

    @classmethod
    def can_name(cls, name: str) -> bool:
        """Whether a column of this name can stand in a formula."""
        plain = name.isidentifier() and unicodedata.normalize("NFKC", name) == name
        return plain and not keyword.iskeyword(name) and name not in cls.reserved


@dataclass(frozen=True)
class _Apply:
    function: str
    arguments: tuple[_Node, ...]


_Node = float | str | _Apply
"""A number, a free name, or a function of nodes."""


@dataclass(frozen=True)
class _Function:
    """How many arguments it takes, and the function on floats and on tensors (by its name in torch)."""

    arity: int
    on_numbers: Callable[..., Any]
    on_tensors: str | Callable[..., Any]


_OPERATORS: dict[type[ast.AST], tuple[str, Callable[..., Any]]] = {
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


_FUNCTIONS: dict[str, _Function] = {
    **{name: _Function(1, getattr(math, name), name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: _Function(1, getattr(math, name), name) for name in ("sinh", "cosh", "tanh", "exp", "log", "log2")},
    **{name: _Function(1, getattr(math, name), name) for name in ("log10", "sqrt", "floor", "ceil", "erf")},
    "abs": _Function(1, abs, "abs"),
    "sign": _Function(1, _sign, _sign_tensors),
    "round": _Function(1, round, "round"),
    "sigmoid": _Function(1, _logistic, "sigmoid"),
    "relu": _Function(1, lambda value: max(value, 0.0), "relu"),
    "atan2": _Function(2, math.atan2, "atan2"),
    "min": _Function(2, min, "minimum"),
    "max": _Function(2, max, "maximum"),
    "clamp": _Function(3, _clamp, "clamp"),
    "where": _Function(3, _choose, _where_tensors),
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
Expression.reserved = frozenset(_FUNCTIONS) | frozenset(_CONSTANTS)

_CALLABLE = _FUNCTIONS | {
    sign: _Function(1 if sign.startswith("unary") else 2, function, function) for sign, function in _OPERATORS.values()
}

_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Attribute: ("an attribute", "write the function alone: sin(x)"),
    ast.Subscript: ("a subscript", "a formula works on whole columns: name the column"),
    ast.BoolOp: ("'and' or 'or'", "multiply conditions for 'and', take their max for 'or': (x > 0) * (x < 1)"),
    ast.IfExp: ("an 'if'", "write where(condition, then, otherwise)"),
    ast.Lambda: ("a lambda", "write the formula alone"),
    ast.NamedExpr: ("an assignment", "give it a name of its own under targets"),
    ast.JoinedStr: ("a string", "a formula knows numbers only"),
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
_OTHER_NAMES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "sgn": "sign"}
_OTHER_NAMES |= {
    "pow": "x**2",
    "clip": "clamp",
    "minimum": "min",
    "maximum": "max",
    "fabs": "abs",
    "logistic": "sigmoid",
}


class _Reader:
    """Reads one text; `columns` gathers each free name with the place where it first stands."""

    def __init__(self, text: str) -> None:
        # Any blank becomes a plain one, character for character, so that a formula may go over several lines.
        self.text = "".join(" " if character.isspace() else character for character in text)
        self.indent = len(self.text) - len(self.text.lstrip())
        self.source = self.text.strip()
        self.columns: dict[str, int] = {}

    def read(self) -> _Node:
        self._check_size()
        tree = self._parse()
        if sum(isinstance(node, ast.expr) for node in ast.walk(tree)) > MAX_NODES:
            help_ = "share the work among several targets: a target may use those before it"
            raise ExpressionFault(f"the formula has more than {MAX_NODES} parts", 0, len(self.text), help_)
        return self._node(tree)

    def _check_size(self) -> None:
        if len(self.text) > MAX_CHARACTERS:
            message = f"the formula is longer than {MAX_CHARACTERS} characters"
            help_ = "share the work among several targets: a target may use those before it"
            raise ExpressionFault(message, MAX_CHARACTERS, len(self.text) - MAX_CHARACTERS, help_)
        if not self.source:
            raise ExpressionFault("the formula is empty", 0, len(self.text), "write one, as in x**2 + 3")
        if "#" in self.source:
            raise ExpressionFault("'#' has no meaning in a formula", self.text.index("#"))

    def _parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            raise self._syntax_fault(error) from None
        except (ValueError, MemoryError, RecursionError):
            raise ExpressionFault("the formula cannot be read", 0, len(self.text)) from None

    def _syntax_fault(self, error: SyntaxError) -> ExpressionFault:
        """Python's complaint in a formula's words; its offset counts from 1, 0 is the end of the text."""
        column = (error.offset - 1 if error.offset else len(self.source)) + self.indent
        length = (error.end_offset or 0) - (error.offset or 0)
        found = self.text[column : column + 1]
        if "null bytes" in error.msg:
            return ExpressionFault("the formula cannot be read", 0, len(self.text))
        if error.msg.startswith("invalid") and "literal" in error.msg:
            return ExpressionFault("a number runs into a name", column, 1, "write 2*x for two times x")
        if "character" in error.msg:
            help_ = {"×": "write *", "·": "write *", "÷": "write /", "−": "write -"}.get(found)
            return ExpressionFault(f"'{found}' has no meaning in a formula", column, 1, help_)
        if "never closed" in error.msg or error.msg.startswith(("unmatched", "closing")):
            return ExpressionFault(f"the parentheses do not match: {error.msg}", column)
        if not found:
            return ExpressionFault("the formula breaks off here", column, 1, "something must follow, as in x**2 + 3")
        return ExpressionFault("the formula cannot be read from here on", column, length, "write it as in x**2 + 3")

    def _fault(self, node: ast.expr, message: str, help_: str | None = None) -> ExpressionFault:
        column, end = self._span(node)
        return ExpressionFault(message, column, end - column, help_)

    def _span(self, node: ast.expr) -> tuple[int, int]:
        """Where the node stands in the text, in characters: ast counts in bytes of UTF-8."""
        source = self.source.encode()
        ends = (node.col_offset, node.end_col_offset or node.col_offset + 1)
        start, end = (len(source[:offset].decode()) + self.indent for offset in ends)
        return start, end

    def _node(self, node: ast.expr) -> _Node:
        match node:
            case ast.Constant(value=value):
                return self._number(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(node, name)
            case ast.UnaryOp(op=op, operand=operand):
                unary = self._operator(node, op)
                return self._apply(node, unary, self._node(operand))
            case ast.BinOp(left=left, op=op, right=right):
                binary = self._operator(node, op)
                return self._apply(node, binary, self._node(left), self._node(right))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison(node, [left, *others], ops)
            case ast.Call():
                raise self._fault(node.func, "only a function can stand before '('", "write * for a product: 2*(x + 1)")
        raise self._refusal(node, node)

    def _number(self, node: ast.expr, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            help_ = "write 1 or 0" if isinstance(value, bool) else None
            raise self._fault(node, "a formula knows real numbers only", help_)
        return self._finite(node, lambda: value)

    def _finite(self, node: ast.expr, compute: Callable[[], Any]) -> float:
        try:
            value = compute()
            if not isinstance(value, complex) and math.isfinite(value):
                return float(value)
        except (ArithmeticError, ValueError):
            pass
        raise self._fault(node, "this is not a finite real number", "a formula computes with numbers up to 1.8e308")

    def _name(self, node: ast.expr, name: str) -> _Node:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in _FUNCTIONS:
            raise self._fault(node, f"'{name}' is a function", f"give it something to work on: {_example(name)}")
        self.columns.setdefault(name, self._span(node)[0])
        return name

    def _call(self, node: ast.Call, name: str) -> _Node:
        assert isinstance(node.func, ast.Name)
        if name not in _FUNCTIONS:
            other = _OTHER_NAMES.get(name)
            near = f"write {other}" if other else did_you_mean(name, _FUNCTIONS)
            help_ = near or f"the functions are {', '.join(_FUNCTIONS)}"
            raise self._fault(node.func, f"there is no function '{name}'", help_)
        if node.keywords:
            first = node.keywords[0].value
            raise self._fault(first, "arguments have no names in a formula", f"write {_example(name)}")
        arity = _FUNCTIONS[name].arity
        if len(node.args) != arity:
            message = f"'{name}' takes {arity} argument{'s' * (arity > 1)}, however: {len(node.args)}"
            raise self._fault(node, message, f"write {_example(name)}")
        return self._apply(node, name, *map(self._node, node.args))

    def _comparison(self, node: ast.expr, sides: list[ast.expr], ops: list[ast.cmpop]) -> _Node:
        """`a < b < c` as the product of its parts."""
        signs = [self._operator(node, op) for op in ops]
        values = [self._node(side) for side in sides]
        result = self._apply(node, signs[0], values[0], values[1])
        for sign, left, right in zip(signs[1:], values[1:], values[2:], strict=False):
            result = self._apply(node, "*", result, self._apply(node, sign, left, right))
        return result

    def _operator(self, node: ast.expr, op: ast.AST) -> str:
        if type(op) in _OPERATORS:
            return _OPERATORS[type(op)][0]
        fault = self._refusal(node, op)
        if isinstance(node, ast.BinOp):
            start, end = self._span(node.left)[1], self._span(node.right)[0]
            sign = self.text[start:end].strip(" ()")
            fault.column, fault.length = self.text.index(sign, start), len(sign)
        raise fault

    def _refusal(self, node: ast.expr, what: ast.AST) -> ExpressionFault:
        name, help_ = _REFUSED.get(type(what), ("this", "a formula has numbers, names, operators and functions"))
        return self._fault(node, f"{name} cannot stand in a formula", help_)

    def _apply(self, node: ast.expr, function: str, *arguments: _Node) -> _Node:
        numbers = [argument for argument in arguments if isinstance(argument, float)]
        if len(numbers) == len(arguments):
            return self._finite(node, lambda: _CALLABLE[function].on_numbers(*numbers))
        return _Apply(function, arguments)


def _example(function: str) -> str:
    return {2: f"{function}(a, b)", 3: f"{function}(x, a, b)"}.get(_FUNCTIONS[function].arity, f"{function}(x)")


def _floating_dtype(values: Mapping[str, torch.Tensor]) -> torch.dtype:
    import torch

    floating = [value.dtype for value in values.values() if value.is_floating_point()]
    dtype = floating[0] if floating else torch.float64
    for other in floating[1:]:
        dtype = torch.promote_types(dtype, other)
    return dtype


def _evaluate(node: _Node, values: Mapping[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor | float:
    """The value of `node`, a float only where it is a literal."""
    if isinstance(node, float):
        return node
    if isinstance(node, str):
        return values[node]
    import torch

    function = _CALLABLE[node.function].on_tensors
    arguments = [_evaluate(argument, values, dtype) for argument in node.arguments]
    if node.function in _FUNCTIONS:
        device = next(argument.device for argument in arguments if isinstance(argument, torch.Tensor))
        arguments = [torch.as_tensor(argument, dtype=dtype, device=device) for argument in arguments]
    apply = getattr(torch, function) if isinstance(function, str) else function
    result: torch.Tensor = apply(*arguments)
    return result.to(dtype)
