"""Formulas of a spec: `x**2 + 3` as an allow-listed expression on tensors.

A formula knows one type, the number: literals are doubles, comparisons give 1 or 0, and what consists of literals
alone is computed when the formula is read, so that `9**9**9` is refused then. Nothing of Python's can be reached:
the text is parsed, never compiled.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from annpipe.errors.suggest import did_you_mean
from annpipe.expression.faults import ExpressionFault
from annpipe.expression.functions import CALLABLE, CONSTANTS, FUNCTIONS, FormulaNode
from annpipe.expression.reader import MAX_CHARACTERS, MAX_NODES, Reader

if TYPE_CHECKING:
    import torch

__all__ = ["MAX_CHARACTERS", "MAX_NODES", "Expression", "ExpressionFault"]


@dataclass(frozen=True)
class Expression:
    """A formula with free names, equal to another when the texts are.

    >>> rate = Expression("0.95 ** epoch")
    >>> sorted(rate.names), rate(2)
    (['epoch'], 0.9025)
    """

    text: str
    names: frozenset[str] = field(init=False, compare=False, repr=False)
    _root: FormulaNode = field(init=False, compare=False, repr=False)
    _columns: dict[str, int] = field(init=False, compare=False, repr=False)

    reserved: ClassVar[frozenset[str]]
    """The names of functions and constants, which no column can have."""

    def __post_init__(self) -> None:
        reader = Reader(self.text)
        object.__setattr__(self, "_root", reader.read())
        object.__setattr__(self, "_columns", reader.columns)
        object.__setattr__(self, "names", frozenset(reader.columns))

    def __str__(self) -> str:
        return self.text

    @property
    def root(self) -> FormulaNode:
        """The formula as nodes: a number, a free name, or a function of nodes."""
        return self._root

    def unknown_name(self, known: Iterable[str], later: Collection[str] = ()) -> ExpressionFault | None:
        """The fault of the first free name that is not in `known`, None when all are.

        `later` are names that the formula might know if it stood further below.
        """
        known = list(known)
        for name, column in self._columns.items():
            if name not in known:
                some = f"the names here are {', '.join(known)}" if known else "no name can be used here"
                help_ = did_you_mean(name, known) or some
                if name in later:
                    help_ = f"a target sees only those before it: {some}"
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
            raise ExpressionFault(f"one name is wanted; found {', '.join(self._columns)}", 0, len(self.text))
        number = torch.tensor(float(value), dtype=torch.float64)
        return float(self.evaluate(dict.fromkeys(self.names or {"value"}, number)))

    @classmethod
    def can_name(cls, name: str) -> bool:
        """Whether a column of this name can stand in a formula."""
        plain = name.isidentifier() and unicodedata.normalize("NFKC", name) == name
        return plain and not keyword.iskeyword(name) and name not in cls.reserved


Expression.reserved = frozenset(FUNCTIONS) | frozenset(CONSTANTS)


def _floating_dtype(values: Mapping[str, torch.Tensor]) -> torch.dtype:
    import torch

    floating = [value.dtype for value in values.values() if value.is_floating_point()]
    dtype = floating[0] if floating else torch.float64
    for other in floating[1:]:
        dtype = torch.promote_types(dtype, other)
    return dtype


def _evaluate(node: FormulaNode, values: Mapping[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor | float:
    """The value of `node`, a float only where it is a literal."""
    if isinstance(node, float):
        return node
    if isinstance(node, str):
        return values[node]
    import torch

    function = CALLABLE[node.function].on_tensors
    arguments = [_evaluate(argument, values, dtype) for argument in node.arguments]
    if node.function in FUNCTIONS:
        device = next(argument.device for argument in arguments if isinstance(argument, torch.Tensor))
        arguments = [torch.as_tensor(argument, dtype=dtype, device=device) for argument in arguments]
    apply = getattr(torch, function) if isinstance(function, str) else function
    result: torch.Tensor = apply(*arguments)
    return result.to(dtype)
