"""Simple predictors, held against scikit-learn and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from annpipe.contract import Dataset
from annpipe.report.answers import TargetAnswers
from annpipe.report.baselines import NoTable, constant_answers, design, fitted_answers

GENERATOR = np.random.default_rng(0)


def dataset(n: int = 60) -> Dataset:
    """A number with missing values, a word of three, and a number that depends on both."""
    x = torch.tensor(GENERATOR.normal(5, 3, n))
    word = torch.tensor(GENERATOR.integers(0, 3, n)).double()
    y = 2 * x + 4 * (word == 1) + 1
    x[::7] = torch.nan
    return Dataset({"x": x, "word": word}, {"y": y}, categories={"word": ("a", "b", "c")})


def numbers(rows: Dataset) -> TargetAnswers:
    truth = rows.targets["y"].numpy()
    return TargetAnswers("y", "numbers", truth, truth)


def test_least_squares_is_that_of_scikit_learn() -> None:
    """On columns of 0 and 1 for each word, with the mean where a number is missing."""
    train, rows = dataset(), dataset(20)
    answered = dict(fitted_answers(train, rows, numbers(rows), tree=False))["least squares"]

    def table(part: Dataset) -> np.ndarray:
        x, words = part.inputs["x"].numpy(), part.inputs["word"].numpy()
        mean = np.nanmean(train.inputs["x"].numpy())
        return np.stack([np.where(np.isnan(x), mean, x), words == 0, words == 1, words == 2], 1)

    expected = LinearRegression().fit(table(train), train.targets["y"].numpy()).predict(table(rows))
    np.testing.assert_allclose(answered, expected, rtol=1e-9)


def test_boosted_trees_learn_what_depends_on_the_inputs() -> None:
    """They come after the linear function, of numbers and of classes."""
    train, rows = dataset(300), dataset(50)
    found = dict(fitted_answers(train, rows, numbers(rows), tree=True))
    assert list(found) == ["least squares", "gradient-boosted trees"]
    error = np.abs(found["gradient-boosted trees"] - rows.targets["y"].numpy()).mean()
    assert error < 0.5 * np.abs(rows.targets["y"].numpy() - train.targets["y"].numpy().mean()).mean()


def test_constants_are_learned_from_train() -> None:
    """Mean and median of numbers; of classes the most frequent, whatever the rows themselves have."""
    train = Dataset({"x": torch.zeros(5)}, {"y": torch.tensor([0.0, 0.0, 1.0, 1.0, 10.0])})
    truth = np.array([3.0, 4.0])
    found = dict(constant_answers(train, TargetAnswers("y", "numbers", truth, truth)))
    assert {name: values.tolist() for name, values in found.items()} == {
        "mean of train": [2.4, 2.4],
        "median of train": [1.0, 1.0],
    }
    labels = Dataset({"x": torch.zeros(5)}, {"y": torch.tensor([2, 1, 2, 0, -1])})
    classes = TargetAnswers("y", "classes", np.array([0, 1]), np.array([0, 1]), ("a", "b", "c"))
    assert dict(constant_answers(labels, classes))["the most frequent class"].tolist() == [2, 2]


def test_inputs_that_are_no_table_are_refused_with_a_reason() -> None:
    """Tokens, and more columns than a linear function is fitted to."""
    tokens = Dataset({"text": torch.zeros(4, 9, dtype=torch.int64)}, {"y": torch.zeros(4)})
    with pytest.raises(NoTable, match="tokens"):
        design(tokens, tokens)
    wide = Dataset({"image": torch.zeros(4, 3, 20, 20)}, {"y": torch.zeros(4)})
    with pytest.raises(NoTable, match="1,200 numbers"):
        design(wide, wide)
