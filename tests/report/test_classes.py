"""Figures of classes, held against scikit-learn and against the figure `calibration`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support

from annpipe.report.answers import TargetAnswers
from annpipe.report.classes import calibration, class_measures
from annpipe_std.plots import calibration as figure

GENERATOR = np.random.default_rng(0)


def answers(n_classes: int, rows: int = 200) -> TargetAnswers:
    """Answers that are right more often than not, for classes with names."""
    truth = GENERATOR.integers(0, n_classes, rows)
    scores = GENERATOR.normal(0, 1, (rows, n_classes))
    scores[np.arange(rows), truth] += 1
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    names = tuple(f"class {k}" for k in range(n_classes))
    return TargetAnswers("y", "classes", truth, probability.argmax(1), names, probability)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_precision_recall_and_f1_are_those_of_scikit_learn(n_classes: int) -> None:
    """Of each class, with the number of its rows."""
    given = answers(n_classes)
    expected = precision_recall_fscore_support(given.truth, given.predicted)
    found = [(row.precision, row.recall, row.f1, row.support) for row in class_measures(given)]
    np.testing.assert_allclose(found, np.stack(expected, 1))


def test_a_class_that_nobody_predicts_has_no_precision_and_rows_without_a_label_do_not_count() -> None:
    """Neither is an error, and neither is a 0."""
    rows = class_measures(TargetAnswers("y", "classes", np.array([0, 0, 1, -1]), np.array([0, 0, 0, 1]), ("a", "b")))
    assert [row.support for row in rows] == [2, 1]
    assert rows[0].precision == pytest.approx(2 / 3)
    assert np.isnan(rows[1].precision)  # the one prediction of it is of the row without a label


@pytest.mark.parametrize("n_classes", [2, 4])
def test_calibration_is_that_of_the_figure(n_classes: int) -> None:
    """The same bins and the same expected error, of the second of two classes and of the predicted one of more."""
    given = answers(n_classes)
    assert given.probability is not None
    found = calibration(given)
    assert found is not None
    if n_classes == 2:
        probability, is_so = given.probability[:, 1], given.truth == 1
    else:
        probability, is_so = given.probability.max(1), given.truth == given.predicted
    expected = figure.reliability(torch.from_numpy(probability), torch.from_numpy(is_so), 10)
    assert found.error == pytest.approx(expected.error)
    there = expected.rows > 0
    np.testing.assert_allclose([part.observed for part in found.bins], expected.true[there])
    assert found.of == ("class 1" if n_classes == 2 else "")
