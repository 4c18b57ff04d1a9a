"""Which names of a statement are those of its file, and which are its own: parameters, variables, loops."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def outer_names(node: ast.stmt) -> Iterator[ast.Name | ast.Attribute]:
    """The names in a statement that are looked up in its file; with an attribute, where one follows at once."""
    yield from _walk(node, frozenset())


def _walk(node: ast.AST, local: frozenset[str]) -> Iterator[ast.Name | ast.Attribute]:
    match node:
        case ast.Attribute(value=ast.Name(id=name)):
            if name not in local:
                yield node
        case ast.Name(id=name):
            if name not in local:
                yield node
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            yield from _of_function(node, local)
        case ast.ClassDef():
            yield from _of_class(node, local)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            inner = local | frozenset(_stored(node.generators))
            for child in ast.iter_child_nodes(node):
                yield from _walk(child, inner)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _walk(child, local)


def _of_function(node: FunctionNode, local: frozenset[str]) -> Iterator[ast.Name | ast.Attribute]:
    """Decorators, annotations and defaults belong to the scope around; the body knows parameters and variables."""
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    body = node.body if isinstance(node.body, list) else [node.body]
    around: list[ast.AST | None] = [*arguments.defaults, *arguments.kw_defaults, *(p.annotation for p in parameters)]
    if not isinstance(node, ast.Lambda):
        around += [*node.decorator_list, node.returns]
    for part in around:
        if part is not None:
            yield from _walk(part, local)
    inner = (local | {p.arg for p in parameters} | frozenset(_stored(body))) - frozenset(_globals(body))
    for statement in body:
        yield from _walk(statement, inner)


def _of_class(node: ast.ClassDef, local: frozenset[str]) -> Iterator[ast.Name | ast.Attribute]:
    """What the body of a class binds is known in the body, and not in its methods."""
    for part in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
        yield from _walk(part, local)
    body_names = local | frozenset(_stored(node.body))
    for statement in node.body:
        is_scope = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _walk(statement, local if is_scope else body_names)


def _stored(nodes: list[ast.stmt] | list[ast.expr] | list[ast.comprehension]) -> Iterator[str]:
    """The names that statements bind in their own scope."""
    for node in nodes:
        yield from _bound_in(node)


def _bound_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return
        case ast.ExceptHandler(name=name) if name:
            yield name
            yield from (inner for child in node.body for inner in _bound_in(child))
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        case ast.MatchAs(name=name) | ast.MatchStar(name=name) if name:
            yield name
            yield from (inner for child in ast.iter_child_nodes(node) for inner in _bound_in(child))
        case _:
            yield from (inner for child in ast.iter_child_nodes(node) for inner in _bound_in(child))


def _globals(nodes: list[ast.stmt] | list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                yield from inner.names
