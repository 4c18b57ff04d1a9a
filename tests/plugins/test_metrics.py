"""Metrics, held against scikit-learn, and the same however the rows are cut into batches."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference  # type: ignore[import-untyped]  # scikit-learn has no types
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annpipe_std.metrics import (
    Accuracy,
    ExplainedVariance,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    PearsonCorrCoef,
    R2Score,
    RootMeanSquaredError,
)


def correlation(target: Any, prediction: Any) -> float:
    """numpy's, the mean over outputs."""
    columns = zip(np.asarray(target).T, np.asarray(prediction).T, strict=True)
    return float(np.mean([np.corrcoef(true, predicted)[0, 1] for true, predicted in columns]))


ERRORS: list[tuple[Any, Any]] = [
    (MeanAbsoluteError, reference.mean_absolute_error),
    (MeanSquaredError, reference.mean_squared_error),
    (RootMeanSquaredError, reference.root_mean_squared_error),
    (lambda: MeanSquaredError(squared=False), reference.root_mean_squared_error),
    (MeanAbsolutePercentageError, reference.mean_absolute_percentage_error),
    (R2Score, reference.r2_score),
    (ExplainedVariance, reference.explained_variance_score),
    (PearsonCorrCoef, correlation),
]
NUMBERS = [
    *(MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError, RootMeanSquaredError, R2Score),
    *(ExplainedVariance, PearsonCorrCoef),
]


def measured(metric: Any, prediction: torch.Tensor, target: torch.Tensor, cuts: list[int] | None = None) -> float:
    """The metric over the rows cut into batches at `cuts`."""
    edges = [0, *sorted(cuts or []), len(target)]
    for start, end in itertools.pairwise(edges):
        metric.update(prediction[start:end], target[start:end])
    value = metric.compute()
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(("metric", "expected"), ERRORS)
@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(2, 60), outputs=st.integers(1, 3), offset=st.sampled_from([0.0, 1e6]), seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)  # fmt: skip
def test_regression_metrics_agree_with_scikit_learn(
    metric: Any, expected: Any, rows: int, outputs: int, offset: float, seed: int, cuts: list[int]
) -> None:
    """For any cut into batches, empty and single-row ones included, far from zero too."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(rows, outputs, generator=generator, dtype=torch.float64) + offset
    prediction = target + 0.5 * torch.randn(rows, outputs, generator=generator, dtype=torch.float64)
    value = measured(metric(), prediction, target, [min(cut, rows) for cut in cuts])
    assert value == pytest.approx(expected(target.numpy(), prediction.numpy()), rel=1e-8)


@pytest.mark.parametrize(("metric", "expected"), [case for case in ERRORS if case[0] is not PearsonCorrCoef])
def test_several_outputs_are_averaged_as_in_scikit_learn(metric: Any, expected: Any) -> None:
    """Outputs of scales far apart, one that never varies, one that is predicted exactly: each by itself, then the mean
    where scikit-learn's is one; an output of several dimensions is so many numbers."""
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(40, 4, generator=generator, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e4, 1.0])
    target[:, 3] = 7.0
    prediction = target + torch.randn(40, 4, generator=generator, dtype=torch.float64)
    prediction[:, 1] = target[:, 1]
    value = expected(target.numpy(), prediction.numpy())
    assert measured(metric(), prediction, target, [1, 17]) == pytest.approx(value, rel=1e-9)
    folded = [one.view(40, 2, 2) for one in (prediction, target)]
    assert measured(metric(), *folded, [5]) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("metric", "expected"), ERRORS)
def test_sums_are_kept_in_double_precision(metric: Any, expected: Any) -> None:
    """Single-precision batches of a large set do not lose digits."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(200_000, 1, generator=generator) * 100 + 1000
    prediction = target + torch.randn(200_000, 1, generator=generator)
    value = measured(metric(), prediction, target, list(range(0, 200_000, 1000)))
    assert value == pytest.approx(expected(target.double().numpy(), prediction.double().numpy()), rel=1e-10)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_r2_of_a_constant_target_follows_scikit_learn(value: float) -> None:
    """1 when every prediction is exact, otherwise 0, whatever rounding would make of the mean."""
    target = torch.full((7, 1), value, dtype=torch.float64)
    assert measured(R2Score(), target, target, [3]) == 1.0
    assert measured(R2Score(), target + 1, target, [3]) == 0.0


def test_r2_of_an_outlier_first_row_is_stable() -> None:
    """The first row is the origin of the sums; one far away must not cost the digits of the rest."""
    target = torch.cat([torch.tensor([[1e8]]), torch.randn(1000, 1)]).double()
    prediction = target + 0.1
    expected = reference.r2_score(target[1:], prediction[1:])
    metric = R2Score()
    metric.update(prediction[1:], target[1:])
    assert metric.compute() == pytest.approx(expected, rel=1e-9)
    whole = reference.r2_score(target, prediction)
    assert measured(R2Score(), prediction, target, [1, 500]) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("metric", [*NUMBERS, Accuracy])
def test_a_metric_without_rows_is_nan(metric: Any) -> None:
    """Nothing was measured; an empty batch does not change that."""
    assert math.isnan(metric().compute())
    empty = metric()
    empty.update(torch.zeros(0, 1), torch.zeros(0, 1))
    assert math.isnan(empty.compute())


@pytest.mark.parametrize("metric", [R2Score, ExplainedVariance, PearsonCorrCoef])
def test_the_variance_of_one_row_is_nan(metric: Any) -> None:
    """A single row has no variance to explain."""
    assert math.isnan(measured(metric(), torch.ones(1, 1), torch.zeros(1, 1)))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_explained_variance_of_a_constant_target_follows_scikit_learn(value: float) -> None:
    """1 when the predictions never vary either, however far away; otherwise 0."""
    target = torch.full((7, 1), value, dtype=torch.float64)
    assert measured(ExplainedVariance(), target + 1, target, [3]) == 1.0
    assert measured(ExplainedVariance(), target + torch.arange(7.0)[:, None], target, [3]) == 0.0


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_nothing_correlates_with_a_constant(value: float) -> None:
    """nan, whatever rounding would make of the mean; predictions that collapsed to their mean included."""
    constant, varying = torch.full((7, 1), value, dtype=torch.float64), torch.arange(7.0).double()[:, None]
    assert math.isnan(measured(PearsonCorrCoef(), varying, constant, [3]))
    assert math.isnan(measured(PearsonCorrCoef(), constant, varying, [3]))


def test_correlation_stands_differences_of_scale() -> None:
    """Predictions in other units than the targets correlate all the same, and never beyond 1."""
    target = torch.randn(500, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert measured(PearsonCorrCoef(), target * 1e-9 + 3, target * 1e6, [1, 77]) == pytest.approx(1, abs=1e-6)
    assert measured(PearsonCorrCoef(), target * -7, target, [1, 77]) == pytest.approx(-1, abs=1e-12)
    assert measured(PearsonCorrCoef(), target, target, [1, 77]) <= 1


def test_a_percentage_of_a_zero_target_is_huge_but_finite() -> None:
    """As scikit-learn has it."""
    prediction, target = torch.ones(2, 1).double(), torch.tensor([[0.0], [1.0]]).double()
    wanted = reference.mean_absolute_percentage_error(target, prediction)
    assert measured(MeanAbsolutePercentageError(), prediction, target) == pytest.approx(wanted)


def test_directions_of_metrics_of_numbers() -> None:
    """Errors should fall; early stopping takes its direction from here."""
    good = [metric.__name__ for metric in NUMBERS if getattr(metric, "higher_is_better", False)]
    assert good == ["R2Score", "ExplainedVariance", "PearsonCorrCoef"]


@pytest.mark.parametrize("metric", NUMBERS)
def test_shapes_that_would_broadcast_are_refused(metric: Any) -> None:
    """(rows, 1) against (rows,) compares every row with every other."""
    with pytest.raises(ValueError, match="one shape"):
        metric().update(torch.zeros(4, 1), torch.zeros(4))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 5), st.integers(1, 50), st.integers(0, 99), st.lists(st.integers(0, 50), max_size=4))
def test_accuracy_of_classes_agrees_with_scikit_learn(classes: int, rows: int, seed: int, cuts: list[int]) -> None:
    """The largest score names the class."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, classes, generator=generator)
    labels = torch.randint(classes, (rows,), generator=generator)
    value = measured(Accuracy(), scores, labels, [min(cut, rows) for cut in cuts])
    assert value == pytest.approx(reference.accuracy_score(labels, scores.argmax(1)))


@pytest.mark.parametrize("threshold", [0.5, 0.0])
def test_accuracy_of_zeros_and_ones_is_cut_at_the_threshold(threshold: float) -> None:
    """0.5 reads probabilities, 0 reads logits."""
    prediction = torch.tensor([[0.2], [0.4], [0.6], [-1.0]])
    target = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    expected = reference.accuracy_score(target.numpy() > 0.5, prediction.numpy() > threshold)
    assert measured(Accuracy(threshold=threshold), prediction, target) == pytest.approx(expected)


def test_accuracy_takes_labels_with_a_single_output() -> None:
    """Two classes may share one score."""
    labels = torch.tensor([0, 1, 1])
    assert measured(Accuracy(), torch.tensor([[0.1], [0.9], [0.2]]), labels) == pytest.approx(2 / 3)


def test_accuracy_of_labels_with_more_dimensions() -> None:
    """Scores (rows, classes, places) against labels (rows, places)."""
    scores = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(3, (6, 4), generator=torch.Generator().manual_seed(1))
    expected = np.mean(scores.argmax(1).numpy() == labels.numpy())
    assert measured(Accuracy(), scores, labels, [2]) == pytest.approx(expected)


def test_updates_leave_no_graph_behind() -> None:
    """Predictions that require gradients are not held."""
    metric = R2Score()
    metric.update(torch.ones(3, 1, requires_grad=True) * 2, torch.arange(3.0)[:, None])
    assert metric._residual is not None
    assert not metric._residual.requires_grad
