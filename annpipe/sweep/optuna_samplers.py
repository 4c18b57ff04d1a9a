"""Optuna's samplers, pruners and distributions for what a spec's sweep asks for."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from annpipe.spec.sections.axes import Axis
from annpipe.spec.sections.models import Section
from annpipe.spec.sections.sweep_methods import (
    Cmaes,
    Gp,
    Halton,
    Hyperband,
    Median,
    Percentile,
    Random,
    Sobol,
    SuccessiveHalving,
    Threshold,
    Tpe,
)
from annpipe.sweep.design import Design


def sampler_of(design: Design, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a sweep; a grid's choices are all told, and it draws nothing."""
    samplers = optuna.samplers
    match design.call.method.options:
        case Sobol(scramble=scramble):
            return samplers.QMCSampler(qmc_type="sobol", scramble=scramble, seed=seed)
        case Halton(scramble=scramble):
            return samplers.QMCSampler(qmc_type="halton", scramble=scramble, seed=seed)
        case Tpe() as tpe:
            return samplers.TPESampler(
                n_startup_trials=tpe.startup,
                n_ei_candidates=tpe.candidates,
                multivariate=tpe.multivariate,
                constant_liar=True,
                seed=seed,
            )
        case Gp(startup=startup, deterministic=same):
            return samplers.GPSampler(n_startup_trials=startup, deterministic_objective=same, seed=seed)
        case Cmaes() as cma:
            return samplers.CmaEsSampler(
                n_startup_trials=cma.startup,
                sigma0=cma.sigma,
                popsize=cma.population,
                seed=seed,
            )
        case Random() | Section():  # a grid's choices are all told
            return samplers.RandomSampler(seed=seed)


def pruner_of(design: Design) -> optuna.pruners.BasePruner:
    """Its pruner; one that prunes nothing where it has none."""
    pruners = optuna.pruners
    match design.call.prune.options if design.call.prune else None:
        case Median() as options:
            return pruners.MedianPruner(options.startup, options.warmup, options.interval)
        case Percentile() as options:
            return pruners.PercentilePruner(options.percentile, options.startup, options.warmup, options.interval)
        case SuccessiveHalving() as options:
            return pruners.SuccessiveHalvingPruner(
                options.min_resource, options.reduction_factor, options.min_early_stopping_rate
            )
        case Hyperband() as options:
            return pruners.HyperbandPruner(options.min_resource, options.max_resource, options.reduction_factor)
        case Threshold() as options:
            return pruners.ThresholdPruner(options.lower, options.upper, options.warmup, options.interval)
    return pruners.NopPruner()


def space_of(axis: Axis) -> BaseDistribution:
    """What Optuna draws a value of an axis from; values that are no numbers in a range go as JSON."""
    if axis.span is not None:
        return FloatDistribution(axis.span.low, axis.span.high, log=axis.span.is_log)
    if axis.step is not None and len(axis.values) > 1:
        low, high = axis.values[0], axis.values[-1]
        if all(isinstance(value, int) for value in axis.values):
            return IntDistribution(low, high, step=int(axis.step))
        return FloatDistribution(low, high, step=axis.step)
    return CategoricalDistribution([json.dumps(value, sort_keys=True) for value in axis.values])


def as_choice(space: BaseDistribution, value: Any) -> Any:
    """A value as Optuna keeps it."""
    return json.dumps(value, sort_keys=True) if isinstance(space, CategoricalDistribution) else value


def of_choice(space: BaseDistribution, value: Any) -> Any:
    """What Optuna keeps, as the value that it is."""
    return json.loads(value) if isinstance(space, CategoricalDistribution) else value


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Optuna says nothing of what it does, and nothing of what is new in it."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
