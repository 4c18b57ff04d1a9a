"""Parses a formula with Python's parser, checks it against an allow-list, and turns it into nodes."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable
from typing import Any

from annpipe.errors.suggest import did_you_mean
from annpipe.expression.faults import OTHER_NAMES, REFUSED, ExpressionFault, constant_fault, syntax_fault
from annpipe.expression.functions import CALLABLE, CONSTANTS, FUNCTIONS, OPERATORS, Apply, FormulaNode, example

MAX_CHARACTERS = 500
MAX_NODES = 200


class Reader:
    """Reads one text; `columns` gathers each free name with the place where it first stands."""

    def __init__(self, text: str) -> None:
        # Any blank becomes a plain one, character for character, so that a formula may go over several lines.
        self.text = "".join(" " if character.isspace() else character for character in text)
        self.indent = len(self.text) - len(self.text.lstrip())
        self.source = self.text.strip()
        self.columns: dict[str, int] = {}

    def read(self) -> FormulaNode:
        """The formula's root; raises ExpressionFault."""
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
            help_ = "a formula has no comments: write them after its quotes"
            raise ExpressionFault("'#' has no meaning in a formula", self.text.index("#"), 1, help_)

    def _parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            raise syntax_fault(error, self.text) from None
        except (ValueError, MemoryError, RecursionError):
            raise ExpressionFault(
                "the formula cannot be read", 0, len(self.text), "share the work among several targets"
            ) from None

    def _fault(self, node: ast.expr, message: str, help_: str | None = None) -> ExpressionFault:
        column, end = self._span(node)
        return ExpressionFault(message, column, end - column, help_)

    def _span(self, node: ast.expr) -> tuple[int, int]:
        """Where the node stands in the text, in characters: ast counts in bytes of UTF-8."""
        source = self.source.encode()
        columns = (node.col_offset, node.end_col_offset or node.col_offset + 1)
        start, end = (len(source[:offset].decode()) + self.indent for offset in columns)
        return start, end

    def _node(self, node: ast.expr) -> FormulaNode:
        match node:
            case ast.Constant(value=value):
                return self._number(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(node, name)
            case ast.Call(func=ast.Attribute(attr=name) as function):
                raise self._no_function(function, ast.unparse(function), name)
            case ast.Attribute(attr=name) if name in CONSTANTS:
                raise self._fault(node, "an attribute cannot stand in a formula", f"write {name}")
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
            raise self._fault(node, *constant_fault(value))
        return self._finite(node, lambda: value)

    def _finite(self, node: ast.expr, compute: Callable[[], Any]) -> float:
        try:
            value = compute()
            if not isinstance(value, complex) and math.isfinite(value):
                return float(value)
        except ZeroDivisionError:
            raise self._fault(node, "division by zero", "divide by a number other than 0") from None
        except ValueError:
            help_ = "the function has no value at this number"
            raise self._fault(node, "this is not a finite real number", help_) from None
        except OverflowError:
            pass
        raise self._fault(node, "this is not a finite real number", "a formula computes with numbers up to 1.8e308")

    def _name(self, node: ast.expr, name: str) -> FormulaNode:
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            raise self._fault(node, f"'{name}' is a function", f"give it something to work on: {example(name)}")
        self.columns.setdefault(name, self._span(node)[0])
        return name

    def _call(self, node: ast.Call, name: str) -> FormulaNode:
        assert isinstance(node.func, ast.Name)
        if name not in FUNCTIONS:
            raise self._no_function(node.func, name, name)
        if node.keywords:
            first = node.keywords[0].value
            raise self._fault(first, "arguments have no names in a formula", f"write {example(name)}")
        arity = FUNCTIONS[name].arity
        if len(node.args) != arity:
            message = f"'{name}' takes {arity} argument{'s' * (arity > 1)}; found {len(node.args)}"
            raise self._fault(node, message, f"write {example(name)}")
        return self._apply(node, name, *map(self._node, node.args))

    def _no_function(self, node: ast.expr, written: str, name: str) -> ExpressionFault:
        """`name` is what was written without the module before it: `np.sin` is sin."""
        other = example(name) if name in FUNCTIONS else OTHER_NAMES.get(name)
        near = f"write {other}" if other else did_you_mean(name, FUNCTIONS)
        return self._fault(
            node, f"there is no function '{written}'", near or f"the functions are {', '.join(FUNCTIONS)}"
        )

    def _comparison(self, node: ast.expr, sides: list[ast.expr], ops: list[ast.cmpop]) -> FormulaNode:
        """`a < b < c` as the product of its parts."""
        signs = [self._operator(node, op) for op in ops]
        values = [self._node(side) for side in sides]
        result = self._apply(node, signs[0], values[0], values[1])
        for sign, left, right in zip(signs[1:], values[1:], values[2:], strict=False):
            result = self._apply(node, "*", result, self._apply(node, sign, left, right))
        return result

    def _operator(self, node: ast.expr, op: ast.AST) -> str:
        if type(op) in OPERATORS:
            return OPERATORS[type(op)][0]
        fault = self._refusal(node, op)
        if isinstance(node, ast.BinOp):
            start, end = self._span(node.left)[1], self._span(node.right)[0]
            sign = self.text[start:end].strip(" ()")
            fault.column, fault.length = self.text.index(sign, start), len(sign)
        raise fault

    def _refusal(self, node: ast.expr, what: ast.AST) -> ExpressionFault:
        name, help_ = REFUSED.get(type(what), ("this", "a formula has numbers, names, operators and functions"))
        return self._fault(node, f"{name} cannot stand in a formula", help_)

    def _apply(self, node: ast.expr, function: str, *arguments: FormulaNode) -> FormulaNode:
        numbers = [argument for argument in arguments if isinstance(argument, float)]
        if len(numbers) == len(arguments):
            return self._finite(node, lambda: CALLABLE[function].on_numbers(*numbers))
        return Apply(function, arguments)
