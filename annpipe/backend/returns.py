"""Whether a function returns nothing, as its source shows."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def returns_nothing(function: Any) -> bool:
    """Whether a function is sure to give None: in its source no `return` has a value, and nothing is raised."""
    if not inspect.isfunction(function):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    body = tree.body[0]
    if not isinstance(body, ast.FunctionDef):
        return False
    return not any(_gives(node) for node in _own_nodes(body.body))


def _own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes inside it."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _gives(node: ast.AST) -> bool:
    """Whether a node of a function's body makes it give something else than None: a value, an error, a generator."""
    if isinstance(node, ast.Return):
        return node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None)
    return isinstance(node, ast.Raise | ast.Yield | ast.YieldFrom)
