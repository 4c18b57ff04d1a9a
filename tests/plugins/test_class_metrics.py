"""Metrics of classes and rankings, held against scikit-learn, whole and cut into batches."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference  # type: ignore[import-untyped]  # scikit-learn has no types
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annpipe_std.metrics import (
    AUROC,
    Accuracy,
    AveragePrecision,
    CohenKappa,
    F1Score,
    MatthewsCorrCoef,
    Precision,
    Recall,
)

SHARES = [
    (Precision, reference.precision_score),
    (Recall, reference.recall_score),
    (F1Score, reference.f1_score),
]
AGREEMENTS = [
    (Accuracy, reference.accuracy_score),
    (CohenKappa, reference.cohen_kappa_score),
    (MatthewsCorrCoef, reference.matthews_corrcoef),
]
RANKINGS = [(AUROC, reference.roc_auc_score), (AveragePrecision, reference.average_precision_score)]
EVERY = [metric for metric, _ in (*SHARES, *AGREEMENTS, *RANKINGS)]
ROWS, CUTS, SEEDS = st.integers(1, 60), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 999)


def measured(metric: Any, prediction: torch.Tensor, target: torch.Tensor, cuts: list[int] | None = None) -> float:
    """The metric over the rows cut into batches at `cuts`."""
    edges = [0, *sorted(min(cut, len(target)) for cut in cuts or []), len(target)]
    for start, end in itertools.pairwise(edges):
        metric.update(prediction[start:end], target[start:end])
    value = metric.compute()
    assert isinstance(value, float)
    return value


def expected(score: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    """scikit-learn's figure, without its warnings of undefined values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(score(*arguments, **options))


def drawn(rows: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits with ties among them, and labels; the last of four classes or more is never there."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes - (classes > 3), (rows,), generator=generator)
    scores = torch.randn(rows, classes, generator=generator) + 2 * torch.nn.functional.one_hot(labels, classes)
    return scores.round(), labels


def zeros_and_ones(rows: int, outputs: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions with ties among them, and truth values."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (rows, outputs), generator=generator).float()
    return ((target + torch.randn(rows, outputs, generator=generator)) * 4).round() / 4, target


@pytest.mark.parametrize(("metric", "score"), SHARES)
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@settings(max_examples=30, deadline=None)
@given(rows=ROWS, classes=st.integers(2, 5), seed=SEEDS, cuts=CUTS)
def test_shares_of_classes_agree_with_scikit_learn(
    metric: Any, score: Any, average: str, rows: int, classes: int, seed: int, cuts: list[int]
) -> None:
    """For every average and any cut into batches; classes that are absent included."""
    scores, labels = drawn(rows, classes, seed)
    value = measured(metric(average=average), scores, labels, cuts)
    assert value == pytest.approx(expected(score, labels, scores.argmax(1), average=average), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("metric", "score"), SHARES)
@pytest.mark.parametrize("threshold", [0.5, 0.0])
@settings(max_examples=30, deadline=None)
@given(rows=ROWS, outputs=st.integers(1, 3), seed=SEEDS, cuts=CUTS)
def test_shares_of_zeros_and_ones_agree_with_scikit_learn(
    metric: Any, score: Any, threshold: float, rows: int, outputs: int, seed: int, cuts: list[int]
) -> None:
    """One output is asked about its 1s, several are averaged; rows without a 1 included."""
    prediction, target = zeros_and_ones(rows, outputs, seed)
    value = measured(metric(threshold=threshold), prediction, target, cuts)
    called, there = (prediction > threshold).numpy(), target.numpy() > 0.5
    average = "macro" if outputs > 1 else "binary"
    whole = (there, called) if outputs > 1 else (there[:, 0], called[:, 0])
    assert value == pytest.approx(expected(score, *whole, average=average), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("metric", "score"), AGREEMENTS)
@settings(max_examples=50, deadline=None)
@given(rows=ROWS, classes=st.integers(1, 5), seed=SEEDS, cuts=CUTS)
def test_agreements_agree_with_scikit_learn(
    metric: Any, score: Any, rows: int, classes: int, seed: int, cuts: list[int]
) -> None:
    """Several classes, or a single output of 0 and 1; undefined where scikit-learn's is."""
    if classes == 1:
        prediction, target = zeros_and_ones(rows, 1, seed)
        pair = target[:, 0] > 0.5, prediction[:, 0] > 0.5
    else:
        prediction, target = drawn(rows, classes, seed)
        pair = target, prediction.argmax(1)
    value = measured(metric(), prediction, target, cuts)
    assert value == pytest.approx(expected(score, *pair), rel=1e-12, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize(("metric", "score"), RANKINGS)
@pytest.mark.parametrize("average", ["macro", "weighted"])
@settings(max_examples=30, deadline=None)
@given(rows=ROWS, classes=st.integers(2, 5), seed=SEEDS, cuts=CUTS)
def test_rankings_of_classes_agree_with_scikit_learn(
    metric: Any, score: Any, average: str, rows: int, classes: int, seed: int, cuts: list[int]
) -> None:
    """Each class against all others by its softmax; a class of no row, or of all where that matters, is left out."""
    scores, labels = drawn(rows, classes, seed)
    share, inside = scores.double().softmax(1).numpy(), np.eye(classes)[labels.numpy()]
    known = [c for c in range(classes) if inside[:, c].any() and not (metric is AUROC and inside[:, c].all())]
    wanted = math.nan
    if known:
        weights = inside[:, known].sum(0) if average == "weighted" else None
        wanted = float(np.average([expected(score, inside[:, c], share[:, c]) for c in known], weights=weights))
    value = measured(metric(average=average), scores, labels, cuts)
    assert value == pytest.approx(wanted, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(("metric", "score"), RANKINGS)
@settings(max_examples=30, deadline=None)
@given(rows=ROWS, seed=SEEDS, cuts=CUTS)
def test_rankings_of_zeros_and_ones_agree_with_scikit_learn(
    metric: Any, score: Any, rows: int, seed: int, cuts: list[int]
) -> None:
    """Only the order of the predictions counts, so logits need no sigmoid."""
    prediction, target = zeros_and_ones(rows, 1, seed)
    ones = int(target.sum())
    undefined = ones == 0 or (ones == rows and metric is AUROC)
    wanted = math.nan if undefined else expected(score, target[:, 0], prediction[:, 0])
    assert measured(metric(), prediction, target, cuts) == pytest.approx(wanted, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("metric", EVERY)
def test_a_metric_of_classes_without_rows_is_nan(metric: Any) -> None:
    """Nothing was measured; an empty batch, of either form, does not change that."""
    assert math.isnan(metric().compute())
    assert math.isnan(measured(metric(), torch.zeros(0, 1), torch.zeros(0, 1)))
    assert math.isnan(measured(metric(), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)))


@pytest.mark.parametrize("metric", EVERY)
def test_labels_may_stand_at_places(metric: Any) -> None:
    """Scores (rows, classes, places) against labels (rows, places) are as many rows as there are places."""
    scores, labels = drawn(40, 3, 0)
    wanted = measured(metric(), scores, labels)
    value = measured(metric(), scores.reshape(10, 4, 3).movedim(2, 1), labels.reshape(10, 4), [3])
    assert value == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("none", [-100, 3])
@pytest.mark.parametrize("metric", EVERY)
def test_labels_of_no_class_are_left_out(metric: Any, none: int) -> None:
    """-100 is CrossEntropyLoss's word for a row that has no label; a spec may say a number above the classes."""
    scores, labels = drawn(40, 3, 1)
    with_gaps = torch.where(torch.arange(40) % 4 == 0, none, labels)
    named = with_gaps != none
    wanted = measured(metric(), scores[named], labels[named])
    assert measured(metric(), scores, with_gaps, [7]) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("metric", EVERY)
def test_shapes_that_would_broadcast_are_refused(metric: Any) -> None:
    """(rows, 2) against (rows, 1) would compare each output with one truth."""
    with pytest.raises(ValueError, match="one shape"):
        metric().update(torch.zeros(4, 2), torch.zeros(4, 1))


@pytest.mark.parametrize("metric", EVERY)
def test_metrics_of_classes_take_labels_with_a_single_output(metric: Any) -> None:
    """Two classes may share one score."""
    prediction, target = zeros_and_ones(30, 1, 5)
    wanted = measured(metric(), prediction, target)
    assert measured(metric(), prediction, target[:, 0].long()) == pytest.approx(wanted)


@pytest.mark.parametrize("metric", [AUROC, AveragePrecision])
def test_scores_that_are_nan_have_no_order(metric: Any) -> None:
    """Rather nan than a figure made of arbitrary places."""
    prediction, target = zeros_and_ones(10, 1, 0)
    prediction[3] = math.nan
    assert math.isnan(measured(metric(), prediction, target))


def test_fifty_thousand_classes_need_no_matrix() -> None:
    """A matrix of so many classes would be 20 GB."""
    scores = torch.zeros(2, 50_000)
    assert measured(MatthewsCorrCoef(), scores, torch.tensor([0, 49_999])) == 0.0


def test_all_metrics_of_classes_prefer_large_values() -> None:
    """Early stopping takes its direction from here."""
    assert all(metric.higher_is_better for metric in EVERY)
