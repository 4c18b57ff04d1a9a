"""Formulas: what they mean, held against numpy, and what they refuse, with the place of each caret."""

from __future__ import annotations

import math
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annpipe.expression import Expression, ExpressionFault

Doubles = np.ndarray[Any, np.dtype[np.float64]]

X = np.linspace(-3.0, 3.0, 25)
Y = np.array([-2.5, 0.0, 0.5, 1.0, 7.0] * 5)
COLUMNS = {"x": torch.from_numpy(X), "y": torch.from_numpy(Y)}
TAME = 1e5
"""Where no intermediate value leaves ±TAME, rounding cannot grow beyond the tolerance."""


@dataclass(frozen=True)
class Known:
    """A formula, its value by numpy, and the rows at which every intermediate value is tame."""

    text: str
    value: Doubles
    tame: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def of(cls, text: str, value: Any, *parts: Known) -> Known:
        value = np.broadcast_to(np.asarray(value, dtype=np.float64), X.shape)
        tame = np.isfinite(value) & (np.abs(value) < TAME)
        return cls(text, value, np.logical_and.reduce([tame, *(part.tame for part in parts)]))


SMOOTH: dict[str, Callable[[Doubles], Doubles]] = {
    "sin": np.sin, "cos": np.cos, "atan": np.arctan, "sinh": np.sinh, "tanh": np.tanh, "exp": np.exp,
    "sqrt": np.sqrt, "abs": np.abs, "asin": np.arcsin, "acos": np.arccos,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "relu": lambda v: np.maximum(v, 0),
}  # fmt: skip
JUMPING: dict[str, Callable[[Doubles], Doubles]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sign": np.sign,
}
BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
COMPARISONS = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip

numbers = st.one_of(st.integers(0, 9), st.floats(0.001, 20)).map(lambda n: Known.of(repr(n), n))
columns = st.sampled_from([Known.of("x", X), Known.of(" y ", Y)])
leaves = numbers | columns


def _jumps(leaf: Known) -> st.SearchStrategy[Known]:
    """Functions with jumps stand on columns and numbers only: rounding before a jump may land on either side."""
    single = st.sampled_from(sorted(JUMPING)).map(lambda f: Known.of(f"{f}({leaf.text})", JUMPING[f](leaf.value), leaf))
    signs = st.tuples(st.sampled_from(sorted(COMPARISONS)), leaves)
    compared = signs.map(
        lambda s: Known.of(f"({leaf.text} {s[0]} {s[1].text})", COMPARISONS[s[0]](leaf.value, s[1].value), leaf, s[1])
    )
    remainder = leaves.map(lambda o: Known.of(f"{leaf.text} % {o.text}", np.mod(leaf.value, o.value), leaf, o))
    return single | compared | remainder.map(lambda k: Known(f"({k.text})", k.value, k.tame))


def _grow(inner: st.SearchStrategy[Known]) -> st.SearchStrategy[Known]:
    def function(pair: tuple[str, Known]) -> Known:
        return Known.of(f"{pair[0]}({pair[1].text})", SMOOTH[pair[0]](pair[1].value), pair[1])

    def operation(triple: tuple[str, Known, Known]) -> Known:
        sign, a, b = triple
        return Known.of(f"({a.text} {sign} {b.text})", BINARY[sign](a.value, b.value), a, b)

    def power(pair: tuple[Known, int]) -> Known:
        return Known.of(f"({pair[0].text})**{pair[1]}", np.power(pair[0].value, pair[1]), pair[0])

    def extreme(triple: tuple[str, Known, Known]) -> Known:
        name, a, b = triple
        return Known.of(f"{name}({a.text}, {b.text})", getattr(np, f"{name}imum")(a.value, b.value), a, b)

    def chosen(triple: tuple[Known, Known, Known]) -> Known:
        condition, a, b = triple
        value = np.where(condition.value != 0, a.value, b.value)
        return Known.of(f"where({condition.text}, {a.text}, {b.text})", value, condition, a, b)

    return st.one_of(
        st.tuples(st.sampled_from(sorted(SMOOTH)), inner).map(function),
        st.tuples(st.sampled_from(sorted(BINARY)), inner, inner).map(operation),
        st.tuples(inner, st.integers(0, 3)).map(power),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(extreme),
        st.tuples(leaves.flatmap(_jumps), inner, inner).map(chosen),
        inner.map(lambda a: Known.of(f"-({a.text})", -a.value, a)),
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(leaves | leaves.flatmap(_jumps), _grow, max_leaves=12))
def test_random_formulas_agree_with_numpy(known: Known) -> None:
    """Any composition gives what numpy gives, row by row, wherever rounding stays small."""
    assume(len(known.text) <= 500)
    try:
        expression = Expression(known.text)
    except ExpressionFault as fault:
        assert not known.tame.any() or "more than" in fault.message, known.text
        return
    found = expression.evaluate(COLUMNS).numpy()
    assert found.shape == X.shape
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[known.tame], known.value[known.tame], rtol=1e-6, atol=1e-6)


@pytest.fixture(autouse=True, scope="module")
def _numpy_keeps_quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x**2 + 3", lambda: X**2 + 3),
        ("-x**2", lambda: -(X**2)),
        ("2**-x", lambda: 2.0**-X),
        ("x**0.5", lambda: X**0.5),
        ("tan(x) + cosh(x)", lambda: np.tan(X) + np.cosh(X)),
        ("log(x)", lambda: np.log(X)),
        ("log2(abs(x)) + log10(abs(x))", lambda: np.log2(np.abs(X)) + np.log10(np.abs(X))),
        ("atan2(y, x)", lambda: np.arctan2(Y, X)),
        ("clamp(x, -1, 2*y)", lambda: np.clip(X, -1, 2 * Y)),
        ("erf(x)", lambda: np.array([math.erf(value) for value in X])),
        ("sign(log(x))", lambda: np.sign(np.log(X))),
        ("-1 < x <= y", lambda: ((X > -1) & (X <= Y)).astype(float)),
        ("where(x > 0, 1, -1)", lambda: np.where(X > 0, 1.0, -1.0)),
        ("sin(2*pi*x) + e", lambda: np.sin(2 * np.pi * X) + np.e),
        ("7", lambda: np.full_like(X, 7.0)),
        ("-7 % 3 + round(2.5) + sign(-2) + relu(-3) + clamp(9, 0, 1)", lambda: np.full_like(X, 2 + 2 - 1 + 0 + 1)),
        ("sigmoid(-800) + sigmoid(2)", lambda: np.full_like(X, 1 / (1 + np.exp(-2)))),
        ("  x\n  + 1 ", lambda: X + 1),
    ],
)
def test_a_formula_means_what_numpy_means(text: str, expected: Callable[[], Doubles]) -> None:
    """Each function and operator, nan and infinity included."""
    np.testing.assert_allclose(Expression(text).evaluate(COLUMNS).numpy(), expected(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_result_has_the_dtype_of_the_inputs(dtype: torch.dtype) -> None:
    """A literal does not widen single precision; whole numbers become doubles."""
    x = torch.tensor([1.0, 2.0], dtype=dtype)
    for text in ("x + 0.1", "x > 1", "min(x, 1.5)", "3", "where(x > 1, 0.1, x)"):
        assert Expression(text).evaluate({"x": x}).dtype == dtype
        assert Expression(text).evaluate({"x": x[0]}).dtype == dtype
    assert Expression("x / 2").evaluate({"x": torch.tensor([1, 2])}).tolist() == [0.5, 1.0]


def test_names_are_the_free_ones() -> None:
    """Functions and constants are no names."""
    assert Expression("sin(x) * pi + y_2 + größe").names == {"x", "y_2", "größe"}


def test_an_unknown_name_is_placed_and_suggested() -> None:
    """The first one that is not known, where it stands, without torch or with it."""
    expression = Expression("height + widht")
    with pytest.raises(ExpressionFault, match="there is no 'widht'") as caught:
        expression.check_names(["height", "width"])
    assert (caught.value.column, caught.value.length, caught.value.help) == (9, 5, "did you mean 'width'?")
    with pytest.raises(ExpressionFault, match="there is no 'widht'"):
        expression.evaluate({"height": torch.ones(1)})


def test_a_formula_of_one_name_is_a_function_of_a_number() -> None:
    """As a learning-rate lambda is: a number in, a float out."""
    value = Expression("0.95 ** epoch")(3)
    assert isinstance(value, float)
    assert value == pytest.approx(0.95**3)
    assert Expression("0.5")(3) == 0.5
    with pytest.raises(ExpressionFault, match="one name is wanted"):
        Expression("a + b")(1.0)


def test_formulas_are_equal_by_their_text() -> None:
    """They are values: hashable, picklable, printed as written."""
    formula = Expression("x + 1")
    assert formula == Expression("x + 1") != Expression("x+1")
    assert len({formula, Expression("x + 1")}) == 1
    assert str(pickle.loads(pickle.dumps(formula))) == "x + 1"
    assert pickle.loads(pickle.dumps(formula))(2) == 3.0


def test_reserved_names_cannot_be_columns() -> None:
    """A column called `e` would hide the constant; one with a blank cannot be written."""
    assert all(map(Expression.can_name, ("x", "größe", "_1")))
    assert not any(map(Expression.can_name, ("e", "pi", "sin", "a b", "1a", "lambda", "", "x.y", "ﬁ")))


REFUSED = [
    ("", "", "the formula is empty"),
    ("9**9**9", "9**9**9", "not a finite"),
    ("x + 9**9**9**9", "9**9**9", "not a finite"),
    ("1e999 * x", "1e999", "not a finite"),
    ("x + " + "9" * 400, "9" * 400, "not a finite"),
    ("(-8)**(1/3)", "(-8)**(1/3)", "not a finite real"),
    ("x * log(0)", "log(0)", "not a finite"),
    ("x + 1/0", "1/0", "division by zero"),
    ("x + math.pi", "math.pi", "an attribute"),
    ("x.__class__", "x.__class__", "an attribute"),
    ("().__class__.__bases__[0]", "().__class__.__bases__[0]", "a subscript"),
    ("x + y[0]", "y[0]", "a subscript"),
    ("x + 'a'", "'a'", "a string"),
    ("b'a' * x", "b'a'", "a string"),
    ("f'{x}'", "f'{x}'", "a string"),
    ("2j * x", "2j", "numbers only"),
    ("x + True", "True", "numbers only"),
    ("None", "None", "numbers only"),
    ("...", "...", "numbers only"),
    ("lambda: x", "lambda: x", "a lambda"),
    ("[i for i in x]", "[i for i in x]", "this cannot stand"),
    ("{x}", "{x}", "this cannot stand"),
    ("x, y", "x, y", "a list"),
    ("(z := x)", "z := x", "an assignment"),
    ("x = 3", "=", "'=' cannot stand"),
    ("1 if x else 2", "1 if x else 2", "an 'if'"),
    ("x and y", "x and y", "'and' or 'or'"),
    ("not x", "not x", "'not'"),
    ("1 + x^2", "^", r"'\^'"),
    ("(x) // (2)", "//", "'//'"),
    ("x @ y", "@", "'@'"),
    ("x is y", "x is y", "this cannot stand"),
    ("x in y", "x in y", "this cannot stand"),
    ("~x", "~x", "this cannot stand"),
    ("x << 2", "<<", "this cannot stand"),
    ("eval(x)", "eval", "no function 'eval'"),
    ("__import__('os')", "__import__", "no function"),
    ("größe + sni(x)", "sni", "no function 'sni'"),
    ("x.sin()", "x.sin", r"no function 'x\.sin'"),
    ("2(x)", "2", "only a function"),
    ("sin(x)(y)", "sin(x)", "only a function"),
    ("sin + 1", "sin", "'sin' is a function"),
    ("max(x)", "max(x)", "takes 2 arguments; found 1"),
    ("sin(x, y)", "sin(x, y)", "takes 1 argument; found 2"),
    ("max(*x, y)", "*x", "this cannot stand|a star"),
    ("clamp(x, low=1)", "1", "have no names"),
    ("  2x", "2", "a number runs into a name"),
    ("x y", "y", "from here on"),
    ("x # note", "#", "no meaning"),
    ("x × 2", "×", "'×' has no meaning"),
    ("(x + 1", "(", "parentheses do not match"),
    ("x + 1)", ")", "parentheses do not match"),
]


@pytest.mark.parametrize(("text", "marked", "message"), REFUSED)
def test_what_is_no_formula_is_refused_under_its_caret(text: str, marked: str, message: str) -> None:
    """The fault marks exactly the offending stretch of the text."""
    with pytest.raises(ExpressionFault, match=message) as caught:
        Expression(text)
    fault = caught.value
    assert text[fault.column : fault.column + fault.length] == marked


def test_a_formula_that_breaks_off_is_marked_after_its_end() -> None:
    """The caret stands where something is missing."""
    with pytest.raises(ExpressionFault, match="breaks off") as caught:
        Expression("x + ")
    assert (caught.value.column, caught.value.length) == (3, 1)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ln(x)", "write log"),
        ("sni(x)", "did you mean 'sin'"),
        ("x^2", r"x\*\*2"),
        ("max(x)", r"max\(a, b\)"),
        ("2x", r"2\*x"),
        ("np.sin(x)", r"write sin\(x\)"),
        ("np.arcsin(x)", "write asin"),
        ("np.pi * x", "write pi"),
        ("1/0 * x", "other than 0"),
        ("log(0)", "no value at this number"),
        ("x # all of it", "no comments"),
        ("x + 2j", "leave the j out"),
        ("x + 'z'", "without quotes"),
        ("sin(x", "add a '\\)'"),
        ("x)", "leave '\\)' out"),
        ("x \uff0b 1", r"write \+"),
        ("x ≤ 1", "write <="),
        ("x²", r"write \*\*2 for a power"),
        ("y = x", "to compare, write =="),
    ],
)
def test_common_slips_have_a_remedy(text: str, remedy: str) -> None:
    """The help says what to write instead."""
    with pytest.raises(ExpressionFault) as caught:
        Expression(text)
    assert caught.value.help
    assert re.search(remedy, caught.value.help)


@pytest.mark.parametrize("text", ["x" * 501, "-" * 499 + "x", "(" * 400 + "x", "+".join("x" * 150), "x**" * 160 + "x"])
def test_size_is_bounded(text: str) -> None:
    """Too long, too many parts, too deep: refused at once."""
    with pytest.raises(ExpressionFault):
        Expression(text)


def test_the_deepest_formula_allowed_is_evaluated() -> None:
    """The limit on parts lies well inside Python's own on recursion."""
    assert Expression("-" * 199 + "x")(1.0) == -1.0


@pytest.mark.parametrize("text", ["x**9**9", "(x**99999)**99999", "x % 1e-308", "exp(exp(exp(x)))", "1e308 * x * 10"])
def test_large_values_end_at_infinity(text: str) -> None:
    """Numbers are doubles: evaluation takes no more time or memory than any other."""
    start = time.process_time()
    assert Expression(text).evaluate({"x": torch.full((1000,), 7.0, dtype=torch.float64)}).shape == (1000,)
    assert time.process_time() - start < 1


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="xye19.+-*/%()<>=,_ \"'[]{}:#\\\n\0π", max_size=40))
def test_any_text_is_a_formula_or_a_fault_inside_it(text: str) -> None:
    """Nothing else escapes, no warning either, and the caret stands in the text or right after it."""
    try:
        Expression(text)
    except ExpressionFault as fault:
        assert 0 <= fault.column <= len(text)
        assert fault.length >= 1


def test_reading_a_formula_does_not_import_torch() -> None:
    """Specs are checked from the index; torch comes once they are right."""
    code = "import sys; from annpipe import Expression; Expression('x+1'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
