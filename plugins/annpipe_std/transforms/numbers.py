"""Transforms of numbers, fitted on the train split. Each leaves missing values missing."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import OptionError, transform


@transform(name="standardize")
class Standardize(torch.nn.Module):
    """(x - mean) / standard deviation; a constant column becomes 0.

    **Shape:** (rows, columns) -> (rows, columns). The deviation is that of the population, as in scikit-learn's
    StandardScaler.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    learns_in_blocks = True
    is_affine = True

    def __init__(self) -> None:
        super().__init__()
        self._count, self._mean, self._squares, self._rows = *torch.zeros(3, 0), 0
        self.register_buffer("mean", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns mean and deviation of each column from the values that are there."""
        mean = x.nanmean(0)
        self._keep(mean, (x - mean).square().nanmean(0), len(x))

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns from the next rows: counts, means and squared deviations of two parts are those of both together
        (Chan, Golub and LeVeque, 1979)."""
        if not len(self._count):
            self._count, self._mean, self._squares, self._rows = *x.new_zeros(3, x.shape[1]), 0
        there = ~x.isnan()
        count = there.sum(0)
        mean = torch.where(count > 0, x.nansum(0) / count.clamp(min=1), 0.0)
        squares = torch.where(there, x - mean, 0.0).square().sum(0)
        total = (self._count + count).clamp(min=1)
        away = mean - self._mean
        self._squares = self._squares + squares + away.square() * self._count * count / total
        self._mean = self._mean + away * count / total
        self._count = self._count + count
        self._rows += len(x)

    def finish(self) -> None:
        """Ends what `partial_fit` began."""
        none = torch.where(self._count > 0, 0.0, torch.nan)
        self._keep(self._mean + none, self._squares / self._count.clamp(min=1) + none, self._rows)

    def _keep(self, mean: torch.Tensor, variance: torch.Tensor, rows: int) -> None:
        # what rounding leaves of a constant column is no variance
        rounding = rows * torch.finfo(mean.dtype).eps
        constant = variance <= rounding * variance + (rounding * mean).square()
        self.mean, self.scale = mean, torch.where(constant, 1.0, variance.sqrt())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.scale

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Back to the units of the data."""
        return y * self.scale + self.mean


@transform(name="min_max")
class MinMax(torch.nn.Module):
    """Brings the least value of the train split to `low` and the greatest to `high`.

    **Shape:** (rows, columns) -> (rows, columns). A constant column becomes `low`.
    """

    least: torch.Tensor
    scale: torch.Tensor
    learns_in_blocks = True
    is_affine = True

    def __init__(
        self,
        low: Annotated[float, Field(description="What the least value becomes.")] = 0.0,
        high: Annotated[float, Field(description="What the greatest value becomes.")] = 1.0,
    ) -> None:
        super().__init__()
        if not low < high:
            raise OptionError("high", f"must be greater than `low`, {low:g}", help="as in `min_max: [0, 1]`")
        self.low, self.high = low, high
        self._extremes: tuple[torch.Tensor, torch.Tensor] | None = None
        self.register_buffer("least", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns the least and the greatest value of each column."""
        self.partial_fit(x)
        self.finish()

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns from the next rows."""
        least, greatest = x.nan_to_num(nan=torch.inf).amin(0), x.nan_to_num(nan=-torch.inf).amax(0)
        if self._extremes is not None:
            least, greatest = torch.minimum(self._extremes[0], least), torch.maximum(self._extremes[1], greatest)
        self._extremes = least, greatest

    def finish(self) -> None:
        """Ends what `partial_fit` began."""
        assert self._extremes is not None
        self.least, greatest = self._extremes
        self._extremes = None
        width = greatest - self.least
        self.scale = torch.where(width > 0, (self.high - self.low) / width, self.high - self.low)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.least) * self.scale + self.low

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Back to the units of the data."""
        return (y - self.low) / self.scale + self.least


Percent = Annotated[float, Field(ge=0, le=100)]


@transform(name="robust")
class Robust(torch.nn.Module):
    """(x - median) / distance between two percentiles, which outliers do not move.

    **Shape:** (rows, columns) -> (rows, columns). Where the distance is 0, the column is only shifted.
    """

    median: torch.Tensor
    scale: torch.Tensor

    is_affine = True

    def __init__(
        self,
        low: Annotated[Percent, Field(description="The lower percentile.")] = 25.0,
        high: Annotated[Percent, Field(description="The upper percentile.")] = 75.0,
    ) -> None:
        super().__init__()
        if not low < high:
            raise OptionError("high", f"must be greater than `low`, {low:g}", help="as in `robust: [25, 75]`")
        self.low, self.high = low, high
        self.register_buffer("median", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns median and percentiles of each column."""
        low, self.median, high = _quantiles(x, torch.tensor([self.low / 100, 0.5, self.high / 100], dtype=x.dtype))
        distance = high - low
        self.scale = torch.where(distance > 10 * torch.finfo(x.dtype).eps, distance, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.median) / self.scale

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Back to the units of the data."""
        return y * self.scale + self.median


def _quantiles(x: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
    """(fractions, columns): between two values of a column linearly, missing ones left out."""
    columns = []
    for column in x.unbind(1):
        there = column[~column.isnan()].sort().values
        position = fractions * (len(there) - 1)
        below = there[position.floor().long()]
        columns.append(below + (position - position.floor()) * (there[position.ceil().long()] - below))
    return torch.stack(columns, 1)


@transform(name="quantile")
class Quantile(torch.nn.Module):
    """Brings a column to a uniform or normal distribution by the quantiles of the train split.

    **Shape:** (rows, columns) -> (rows, columns). Values beyond the train split's become its ends. As scikit-learn's
    QuantileTransformer without subsampling.
    """

    quantiles: torch.Tensor

    def __init__(
        self,
        distribution: Annotated[
            Literal["uniform", "normal"], Field(description="What the values are spread like.")
        ] = "uniform",
        n_quantiles: Annotated[
            int, Field(ge=2, description="How many quantiles are kept; no more than there are rows.")
        ] = 1000,
    ) -> None:
        super().__init__()
        self.distribution, self.n_quantiles = distribution, n_quantiles
        self.register_buffer("quantiles", torch.zeros(0, 0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns the quantiles of each column."""
        fractions = torch.linspace(0, 1, min(self.n_quantiles, len(x)), dtype=x.dtype)
        self.quantiles = _quantiles(x, fractions).cummax(0).values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        columns = [self._column(x[:, number], self.quantiles[:, number]) for number in range(x.shape[1])]
        return torch.stack(columns, 1)

    def _column(self, x: torch.Tensor, quantiles: torch.Tensor) -> torch.Tensor:
        """The mean of what values equal to several quantiles are worth from below and from above."""
        fractions = torch.linspace(0, 1, len(quantiles), dtype=x.dtype, device=x.device)
        above = _interpolated(x, quantiles, fractions)
        below = -_interpolated(-x, -quantiles.flip(0), -fractions.flip(0))
        uniform = 0.5 * (above + below)
        if self.distribution == "uniform":
            uniform = torch.where(x <= quantiles[0], 0.0, torch.where(x >= quantiles[-1], 1.0, uniform))
            return torch.where(x.isnan(), x, uniform)
        uniform = torch.where(x - _TAIL < quantiles[0], 0.0, torch.where(x + _TAIL > quantiles[-1], 1.0, uniform))
        normal = torch.special.ndtri(uniform.clamp(_TAIL, 1 - _TAIL))
        return torch.where(x.isnan(), x, normal)


_TAIL = 1e-7  # a normal distribution has no ends: these stand for them, some 5.2 deviations out


def _interpolated(x: torch.Tensor, knots: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Linear between knots that rise, the last of equal ones counts; beyond the ends their values."""
    right = torch.searchsorted(knots.contiguous(), x.contiguous(), right=True).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    fraction = torch.where(high > low, (x - low) / torch.where(high > low, high - low, 1.0), 1.0)
    return values[right - 1] + fraction.clamp(0, 1) * (values[right] - values[right - 1])


@transform(name="log")
class Log(torch.nn.Module):
    """The logarithm of x + add, for values over several magnitudes.

    **Shape:** (rows, columns) -> (rows, columns). Raises ValueError where a value of the train split has no logarithm.
    """

    learns_in_blocks = True

    def __init__(
        self, add: Annotated[float, Field(description="What is added before; 1 keeps zeros at 0.")] = 1.0
    ) -> None:
        super().__init__()
        self.add, self._least = add, torch.inf

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing; sees whether every value has a logarithm."""
        self.partial_fit(x)
        self.finish()

    def partial_fit(self, x: torch.Tensor) -> None:
        """Sees the next rows."""
        self._least = min(self._least, float(x.nan_to_num(nan=torch.inf).min()))

    def finish(self) -> None:
        """Ends what `partial_fit` began."""
        least, self._least = self._least, torch.inf
        if least + self.add <= 0:
            raise ValueError(f"{least:g} + {self.add:g} has no logarithm: raise `add`")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x + self.add)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Back to the units of the data."""
        return torch.exp(y) - self.add


@transform(name="clip", example={"low": 0.0, "high": 100.0})
class Clip(torch.nn.Module):
    """Cuts values below `low` and above `high`.

    **Shape:** (rows, columns) -> (rows, columns).
    """

    learns_in_blocks = True

    def __init__(
        self,
        low: Annotated[float | None, Field(description="The least that a value may be.")] = None,
        high: Annotated[float | None, Field(description="The most that a value may be.")] = None,
    ) -> None:
        super().__init__()
        if low is None and high is None:
            raise OptionError("low", "neither `low` nor `high` is given", help="as in `clip: [0, 100]`")
        if low is not None and high is not None and not low < high:
            raise OptionError("high", f"must be greater than `low`, {low:g}", help="as in `clip: [0, 100]`")
        self.low, self.high = low, high

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def finish(self) -> None:
        """Learns nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(self.low, self.high)
