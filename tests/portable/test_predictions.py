"""Outputs of a network become columns: classes with their probabilities, numbers, and what a loss takes outputs for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from annpipe.portable.description import ModelTarget, TargetRoles
from annpipe.portable.predictions import lost_rows, prediction_columns


def target(**changes: Any) -> ModelTarget:
    """A number, but for the changes."""
    facts: dict[str, Any] = {"name": "y", "shape": (), "span": None, "labels": False}
    return ModelTarget(**{**facts, "words": (), "classes": None, "gives": None, **changes})


@pytest.mark.parametrize("gives", ["scores", "log-probabilities", None])
def test_scores_become_the_likeliest_class_and_probabilities(gives: str | None) -> None:
    """Without a loss that tells probabilities there are none; a row of NaN has no class."""
    scores = torch.tensor([[0.0, 1.0], [2.0, 0.0], [float("nan"), 0.0]])
    outputs = scores.log_softmax(1) if gives == "log-probabilities" else scores
    columns = prediction_columns([target(labels=True, classes=("a", "b"), gives=gives)], outputs)
    assert columns["y"].tolist() == ["b", "a", None]
    assert list(columns) == (["y", "y_a", "y_b"] if gives else ["y"])
    if gives:
        expected = scores[:2].double().softmax(1)
        np.testing.assert_allclose(columns["y_b"][:2], expected[:, 1], rtol=1e-6)
    assert list(lost_rows(columns)) == [2]


@pytest.mark.parametrize("gives", ["logits", "probabilities"])
def test_one_output_of_two_classes_is_a_probability(gives: str) -> None:
    """Of the second class; the first has the rest."""
    logits = torch.tensor([[-1.0], [3.0]])
    outputs = logits if gives == "logits" else logits.sigmoid()
    columns = prediction_columns([target(classes=("no", "yes"), gives=gives)], outputs)
    assert columns["y"].tolist() == ["no", "yes"]
    np.testing.assert_allclose(columns["y_yes"], logits.double().sigmoid()[:, 0], rtol=1e-6)
    np.testing.assert_allclose(columns["y_no"] + columns["y_yes"], 1.0)


def test_each_target_has_its_columns_of_the_output() -> None:
    """By span; roles name what is not the target's value, and a logarithm is taken back."""
    roles = TargetRoles(names=("mean", "variance"), point=0, is_log=False)
    rate = TargetRoles(names=("rate",), point=0, is_log=True)
    targets = [
        target(span=(0, 1)),
        target(name="g", span=(1, 3), roles=roles),
        target(name="p", span=(3, 4), roles=rate),
    ]
    columns = prediction_columns(targets, torch.tensor([[1.0, 2.0, 3.0, 0.0]]))
    assert {name: column.tolist() for name, column in columns.items()} == {
        "y": [1.0],
        "g": [2.0],
        "g_mean": [2.0],
        "g_variance": [3.0],
        "p": [1.0],
    }


def test_targets_of_a_shape_keep_it() -> None:
    """A number a position is a column each; more is an array; scores of positions are the classes there."""
    flat = prediction_columns([target(shape=(2,))], torch.tensor([[1.0, 2.0]]))
    assert {name: column.tolist() for name, column in flat.items()} == {"y_0": [1.0], "y_1": [2.0]}
    image = prediction_columns([target(shape=(2, 2), gives="logits")], torch.zeros(1, 2, 2))
    assert image["y"].tolist() == [[[0.5, 0.5], [0.5, 0.5]]]
    classes = prediction_columns([target(shape=(2,), labels=True)], torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    assert classes["y"].tolist() == [[0, 1]]
