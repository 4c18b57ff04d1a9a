"""The functions of formulas, against NumPy: on tensors with infinities and NaN, on the finite numbers of a text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.expression import Expression
from annpipe.expression.functions import CALLABLE, CONSTANTS, FUNCTIONS, example

VALUES = (-math.inf, -3.0, -2.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 7.0, math.inf, math.nan)
NUMPY: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp")},
    **{name: getattr(np, name) for name in ("log", "log2", "log10")},
    **{name: getattr(np, name) for name in ("sqrt", "floor", "ceil", "abs", "sign", "round")},
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "erf": np.vectorize(math.erf),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "min": np.minimum,
    "max": np.maximum,
    "clamp": np.clip,
    "where": lambda condition, yes, no: np.where(condition != 0, yes, no),
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "%": np.mod,
    "unary +": np.positive,
    "unary -": np.negative,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}  # fmt: skip


def cases(name: str) -> Sequence[tuple[float, ...]]:
    """Arguments for a function; bounds of `clamp` are in order, as a spec has them."""
    arguments = list(itertools.product(VALUES, repeat=CALLABLE[name].arity))
    if name == "clamp":
        return [case for case in arguments if case[1] <= case[2]]
    return arguments


def test_every_function_has_a_counterpart() -> None:
    assert NUMPY.keys() == CALLABLE.keys()


@pytest.mark.parametrize("name", CALLABLE)
def test_on_tensors_it_is_numpy_s(name: str) -> None:
    """Row by row."""
    columns = [torch.tensor(column, dtype=torch.float64) for column in zip(*cases(name), strict=True)]
    function = CALLABLE[name].on_tensors
    result = (getattr(torch, function) if isinstance(function, str) else function)(*columns)
    with np.errstate(all="ignore"):
        expected = NUMPY[name](*(column.numpy() for column in columns))
    np.testing.assert_allclose(result.double().numpy(), expected.astype(np.float64), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", CALLABLE)
def test_on_numbers_it_is_the_same(name: str) -> None:
    """Of finite numbers, as a text has them; where Python raises, the tensors are left to give NaN or infinity."""
    compared = 0
    for case in cases(name):
        if not all(map(math.isfinite, case)):
            continue
        try:
            value = CALLABLE[name].on_numbers(*case)
        except (ValueError, OverflowError, ZeroDivisionError):
            continue
        if isinstance(value, complex):
            continue
        with np.errstate(all="ignore"):
            expected = float(NUMPY[name](*(np.float64(argument) for argument in case)))
        assert float(value) == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True), case
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_is_a_formula(name: str) -> None:
    """With as many arguments as it takes."""
    names = Expression(example(name)).names
    assert len(names) == FUNCTIONS[name].arity


def test_the_constants() -> None:
    assert {"pi": math.pi, "e": math.e} == CONSTANTS
