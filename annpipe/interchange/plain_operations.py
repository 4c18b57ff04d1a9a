"""Functions of torch that its ONNX exporters lack or write in short numbers, made of others that they write rightly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# The quotients of polynomials of Wichura's algorithm AS 241 (1988) for the normal distribution's quantiles, from the
# highest power on: in the middle, in the tails, and far out in them.
# fmt: off
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)
# fmt: on


class PlainOperations(TorchFunctionMode):
    """Inside, the functions of `PLAIN` are computed by others, to the same values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return PLAIN.get(func, func)(*args, **(kwargs or {}))


def searchsorted(
    boundaries: torch.Tensor, values: torch.Tensor, *, right: bool = False, side: str | None = None
) -> torch.Tensor:
    """How many of the rising boundaries, (boundaries,), are below each value, with `right` also equal to it."""
    each = values[..., None]
    below = boundaries <= each if right or side == "right" else boundaries < each
    return below.sum(-1)


def ndtri(p: torch.Tensor) -> torch.Tensor:
    """The quantile of the normal distribution at p."""
    from_middle = p - 0.5
    lesser = torch.where(from_middle < 0, p, 1 - p)
    out = torch.sqrt(-torch.log(lesser))
    middle = from_middle * _quotient(_MIDDLE, 0.180625 - from_middle * from_middle)
    tail = torch.where(out <= 5, _quotient(_TAIL, out - 1.6), _quotient(_FAR, out - 5))
    return torch.where(from_middle.abs() <= 0.425, middle, torch.where(from_middle < 0, -tail, tail))


def _quotient(polynomials: Sequence[Sequence[float]], x: torch.Tensor) -> torch.Tensor:
    above, below = (_polynomial(coefficients, x) for coefficients in polynomials)
    return above / below


def _polynomial(coefficients: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    value = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def clamp(x: torch.Tensor, min: Any = None, max: Any = None) -> torch.Tensor:
    """x between two bounds in full precision: exporters write numbers as those of 32 bits, 1 - 1e-7 as 1 - 1.2e-7."""
    if min is not None:
        x = torch.maximum(x, torch.as_tensor(min, dtype=x.dtype))
    return x if max is None else torch.minimum(x, torch.as_tensor(max, dtype=x.dtype))


PLAIN: Mapping[Any, Callable[..., torch.Tensor]] = {
    torch.searchsorted: searchsorted,
    torch.special.ndtri: ndtri,
    torch.clamp: clamp,
    torch.Tensor.clamp: clamp,
}
