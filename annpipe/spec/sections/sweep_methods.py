"""Optuna's samplers and pruners by the names that a sweep uses, with their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from annpipe.spec.sections.models import Positive, Section

Count = Annotated[int, Field(ge=0)]
_STARTUP = "trials drawn at random before the method begins"
_WARMUP = "epochs in which no trial is stopped"
_FIRST = "trials that end before one is stopped"
_INTERVAL = "epochs between two comparisons"


class Grid(Section):
    """Every combination."""


class Random(Section):
    """Each trial drawn on its own."""


class Sobol(Section):
    """Points of Sobol's sequence, which fill a space more evenly than chance."""

    scramble: bool = Field(True, description="whether the sequence is scrambled")


class Halton(Section):
    """Points of Halton's sequence."""

    scramble: bool = Field(True, description="whether the sequence is scrambled")


class Tpe(Section):
    """The tree-structured Parzen estimator."""

    startup: Count = Field(10, description=_STARTUP)
    candidates: Positive = Field(24, description="candidates drawn for each value")
    multivariate: bool = Field(True, description="whether values are drawn together")


class Gp(Section):
    """Bayesian optimization with a Gaussian process."""

    startup: Count = Field(10, description=_STARTUP)
    deterministic: bool = Field(False, description="whether the same values always give the same result")


class Cmaes(Section):
    """The covariance matrix adaptation evolution strategy, for numbers in ranges."""

    startup: Count = Field(1, description=_STARTUP)
    sigma: Annotated[float, Field(gt=0)] | None = Field(None, description="the first step; a sixth of the range")
    population: Annotated[int, Field(ge=2)] | None = Field(None, description="trials in a generation")


class Median(Section):
    """Stops a trial that is worse than the median of the others at the same epoch."""

    startup: Count = Field(5, description=_FIRST)
    warmup: Count = Field(0, description=_WARMUP)
    interval: Positive = Field(1, description=_INTERVAL)


class Percentile(Section):
    """Stops a trial that is not among the best at the same epoch."""

    percentile: Annotated[float, Field(gt=0, lt=100)] = Field(25.0, description="how many of a hundred go on")
    startup: Count = Field(5, description=_FIRST)
    warmup: Count = Field(0, description=_WARMUP)
    interval: Positive = Field(1, description=_INTERVAL)


class SuccessiveHalving(Section):
    """Lets the better part of the trials go on, again and again."""

    min_resource: Literal["auto"] | Positive = Field("auto", description="epochs before the first comparison")
    reduction_factor: Annotated[int, Field(ge=2)] = Field(4, description="of so many trials one goes on")
    min_early_stopping_rate: Count = Field(0, description="comparisons that are left out at the beginning")


class Hyperband(Section):
    """Successive halving of several kinds side by side."""

    min_resource: Positive = Field(1, description="epochs before the first comparison")
    max_resource: Literal["auto"] | Positive = Field("auto", description="epochs of a whole trial")
    reduction_factor: Annotated[int, Field(ge=2)] = Field(3, description="of so many trials one goes on")


class Threshold(Section):
    """Stops a trial whose metric leaves the given bounds."""

    lower: float | None = Field(None, description="the smallest value that goes on")
    upper: float | None = Field(None, description="the largest value that goes on")
    warmup: Count = Field(0, description=_WARMUP)
    interval: Positive = Field(1, description=_INTERVAL)


METHODS: Mapping[str, type[Section]] = {
    "grid": Grid,
    "random": Random,
    "sobol": Sobol,
    "halton": Halton,
    "tpe": Tpe,
    "gp": Gp,
    "cmaes": Cmaes,
}
PRUNERS: Mapping[str, type[Section]] = {
    "median": Median,
    "percentile": Percentile,
    "successive_halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "threshold": Threshold,
}
