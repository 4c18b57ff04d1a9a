"""Optuna's samplers, pruners and distributions: each option reaches them, and values keep their types."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from annpipe.spec.sections.axes import Axis, Span
from annpipe.sweep.optuna_samplers import as_choice, of_choice, pruner_of, quiet, sampler_of, space_of
from tests.sweep.designs import design

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "n": IntDistribution(0, 9)}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("random", lambda: optuna.samplers.RandomSampler(seed=7)),
        ("sobol", lambda: optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=7)),
        ("{halton: {scramble: false}}", lambda: optuna.samplers.QMCSampler(qmc_type="halton", seed=7)),
        (
            "{tpe: {startup: 2, candidates: 3, multivariate: false}}",
            lambda: optuna.samplers.TPESampler(
                n_startup_trials=2, n_ei_candidates=3, multivariate=False, constant_liar=True, seed=7
            ),
        ),
        ("tpe", lambda: optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=7)),
        (
            "{cmaes: {startup: 2, sigma: 0.5, population: 4}}",
            lambda: optuna.samplers.CmaEsSampler(n_startup_trials=2, sigma0=0.5, popsize=4, seed=7),
        ),
    ],
)
def test_a_sampler_draws_what_optuna_s_own_draws(method: str, expected: Any, project: Path) -> None:
    """With the same options and seed, over more trials than its start-up."""
    made = design(project, f"sweep.method={method}")
    drawn = []
    with quiet():
        for each in (sampler_of(made, seed=7), expected()):
            study = optuna.create_study(sampler=each)
            for _ in range(14):
                trial = study.ask(SPACE)
                study.tell(trial, (trial.params["x"] - 0.3) ** 2 + trial.params["n"])
            drawn.append([trial.params for trial in study.trials])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("deterministic", "startup"), [(True, 3), (False, 10)])
def test_options_of_the_gaussian_process_reach_it(deterministic: bool, startup: int, project: Path) -> None:
    """Its first draws are those of a random sampler; what follows takes seconds."""
    method = f"{{gp: {{startup: {startup}, deterministic: {str(deterministic).lower()}}}}}"
    sampler = sampler_of(design(project, f"sweep.method={method}"), seed=7)
    assert isinstance(sampler, optuna.samplers.GPSampler)
    assert (sampler._n_startup_trials, sampler._deterministic) == (startup, deterministic)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "percentile: {percentile: 40, startup: 2, warmup: 3, interval: 4}",
            optuna.pruners.PercentilePruner(40, 2, 3, 4),
        ),
        ("median: {startup: 2, warmup: 3, interval: 4}", optuna.pruners.MedianPruner(2, 3, 4)),
        ("successive_halving: {min_resource: 2, reduction_factor: 3}", optuna.pruners.SuccessiveHalvingPruner(2, 3)),
        ("hyperband: {max_resource: 9}", optuna.pruners.HyperbandPruner(1, 9)),
        ("threshold: {lower: 0.1, upper: 2.0, warmup: 3}", optuna.pruners.ThresholdPruner(0.1, 2.0, 3)),
    ],
)
def test_each_option_of_a_pruner_reaches_it(options: str, expected: optuna.pruners.BasePruner, project: Path) -> None:
    """It is the pruner that Optuna makes of the same numbers."""
    pruner = pruner_of(design(project, f"sweep.prune={{{options}}}"))
    assert type(pruner) is type(expected)
    assert vars(pruner) == vars(expected)


@pytest.mark.parametrize("changes", [(), ("sweep.prune=null",)])
def test_a_sweep_without_a_pruner_prunes_nothing(changes: tuple[str, ...], project: Path) -> None:
    """Whatever its trials report."""
    assert isinstance(pruner_of(design(project, *changes)), optuna.pruners.NopPruner)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis("lr", span=Span(1e-4, 0.1, is_log=True)), FloatDistribution(1e-4, 0.1, log=True)),
        (Axis("p", span=Span(0.0, 0.5)), FloatDistribution(0.0, 0.5)),
        (Axis("n", (4, 8, 12), step=4), IntDistribution(4, 12, step=4)),
        (Axis("p", (0.0, 0.25, 0.5), step=0.25), FloatDistribution(0.0, 0.5, step=0.25)),
        (Axis("n", (4,), step=4), CategoricalDistribution(["4"])),
        (Axis("n", (4, 8, 16)), CategoricalDistribution(["4", "8", "16"])),
        (Axis("layer", ("ReLU", {"b": 1, "a": 2})), CategoricalDistribution(['"ReLU"', '{"a": 2, "b": 1}'])),
    ],
)
def test_an_axis_is_a_distribution(axis: Axis, expected: BaseDistribution) -> None:
    """Numbers at equal distances are a range; a list of others is a choice, and so is a single value."""
    assert space_of(axis) == expected


@pytest.mark.parametrize("value", ["ReLU", "1", 1, 1.5, True, None, [1, "a"], {"LeakyReLU": {"slope": 0.2}}])
def test_a_value_of_a_choice_keeps_its_type(value: Any) -> None:
    """The text `1` and the number 1 are apart, which Optuna's own choices are not."""
    space = space_of(Axis("layer", (value, "other")))
    kept = as_choice(space, value)
    assert isinstance(kept, str)
    assert kept in space.choices  # type: ignore[attr-defined]  # it is a CategoricalDistribution
    restored = of_choice(space, kept)
    assert (type(restored), restored) == (type(value), value)


def test_a_number_of_a_range_is_left_as_it_is() -> None:
    """Optuna keeps numbers itself."""
    space = space_of(Axis("p", span=Span(0.0, 1.0)))
    assert as_choice(space, 0.25) == of_choice(space, 0.25) == 0.25


def test_optuna_is_quiet_only_inside() -> None:
    """Its level is what it was before, also after an error."""
    logger = logging.getLogger("optuna")
    before = logger.level

    def fails() -> None:
        with quiet():
            assert logger.level == logging.ERROR
            warnings.warn("new in this version", FutureWarning, stacklevel=1)
            raise ValueError("the study is gone")

    with pytest.raises(ValueError, match="the study is gone"):
        fails()
    assert logger.level == before
