"""The names nearest to a mistyped one: near enough to be meant, and no others."""

from __future__ import annotations

import pytest

from annpipe.errors.suggest import did_you_mean, nearest

OPTIONS = ["lr", "momentum", "weight_decay", "nesterov", "fused"]


@pytest.mark.parametrize(
    ("word", "known", "first"),
    [
        ("learning_rat", ["learning_rate", "lr"], "learning_rate"),
        ("momentun", OPTIONS, "momentum"),
        ("Adamm", ["SGD", "Adam", "Adamax"], "Adam"),
        ("rl", OPTIONS, "lr"),
        ("CosineLR", ["StepLR", "CosineAnnealingLR"], "CosineAnnealingLR"),
    ],
)
def test_a_mistyped_name_has_the_meant_one_first(word: str, known: list[str], first: str) -> None:
    """A letter more, less or other; two letters swapped; a part left out."""
    assert nearest(word, known)[0] == first


@pytest.mark.parametrize(("word", "own"), [("relu", "ReLU"), ("RELU", "ReLU"), ("linear", "Linear")])
def test_a_name_in_another_case_is_meant_alone(word: str, own: str) -> None:
    """Nothing else is offered beside it."""
    assert did_you_mean(word, ["RReLU", "ReLU", "ReLU6", "Bilinear", "Linear"]) == f"did you mean '{own}'?"


@pytest.mark.parametrize("word", ["speed", "xyz", ""])
def test_a_word_that_resembles_nothing_has_no_suggestion(word: str) -> None:
    """`speed` shares three letters with `fused`, and is not a slip of it."""
    assert did_you_mean(word, OPTIONS) == ""
