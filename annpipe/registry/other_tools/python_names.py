"""Names written as Python writes them (`torch.nn.ReLU`, `Adam(lr=0.1)`), reduced to the name of a component."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

_DOTTED = re.compile(r"(?:\w+\.)+(\w+)\Z")
_CALLED = re.compile(r"(?:\w+\.)*(\w+)[ ]?\(([^\\]*)\)\Z")
MAX_LENGTH = 200  # a longer text is no name
_BLANK = re.compile(r"(\w+)[ ]+(\S+)\Z")


def bare_name(word: str) -> str:
    """The last part of a dotted name, without the arguments of a call.

    >>> bare_name("keras.layers.Dense(3, name='a.b')")
    'Dense'
    """
    return word.partition("(")[0].rpartition(".")[2].strip()


def python_word(kind: str, word: str, exists: Callable[[str], bool]) -> str:
    """How the component is written in a spec, where there `exists` such a one, or the empty string.

    >>> python_word("optimizer", "torch.optim.Adam(lr=0.1)", {"Adam"}.__contains__)
    'write `Adam: {lr: 0.1}`'
    >>> python_word("layer", "os.system", {"Linear"}.__contains__)
    ''
    """
    for pattern, written in ((_DOTTED, _name), (_CALLED, _call), (_BLANK, _value)):
        match = pattern.match(word)
        if match and len(word) <= MAX_LENGTH and exists(match[1]):
            return f"write {written(kind, *match.groups())}"
    return ""


def _name(_: str, name: str) -> str:
    return f"`{name}`"


def _value(_: str, name: str, value: str) -> str:
    return f"`{name}: {value}`"


def _call(kind: str, name: str, arguments: str) -> str:
    """The call's arguments as options; a layer's by position are not told: its first may be the size that arrives."""
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        call = None
    values = [_spelt(value) for value in call.args] if isinstance(call, ast.Call) else [None]
    named = {word.arg: _spelt(word.value) for word in call.keywords} if isinstance(call, ast.Call) else {}
    is_known = None not in (*values, *named, *named.values()) and not (values and (named or kind == "layer"))
    if not is_known:
        size = ", without the size that arrives" if kind == "layer" else ""
        return f"its options after a colon{size}: `{name}: {{option: value}}`"
    if named:
        return f"`{name}: {{{', '.join(f'{option}: {value}' for option, value in named.items())}}}`"
    if len(values) > 1:
        return f"`{name}: [{', '.join(map(str, values))}]`"
    return f"`{name}: {values[0]}`" if values else f"`{name}`"


def _spelt(node: ast.expr) -> str | None:
    """A constant as YAML writes it, None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _spelt(node.operand)
        return number and f"-{number}"
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool | int | float | str | None):
        return None
    if node.value is None or isinstance(node.value, bool):
        return {None: "null", True: "true", False: "false"}[node.value]
    return ast.unparse(node).strip("'")
