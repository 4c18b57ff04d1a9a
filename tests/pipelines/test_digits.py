"""`digits`: the mean of five seeds on rows that no network has seen, the same for each."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch

from annpipe.draft.draft import draft
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.evaluate import evaluate
from annpipe.train.parts import build
from annpipe.train.schedule import schedule

PIPELINES = Path(__file__).parents[2] / "pipelines"


def accuracy(name: str, seed: int) -> tuple[float, torch.Tensor]:
    """The accuracy on the test split after the whole training, and the labels of that split."""
    spec = load_spec(PIPELINES / f"{name}.yaml", overrides=[f"seed={seed}"])
    plan = resolve(draft(spec, Registry.installed()))
    parts = build(plan, torch.device("cpu"), torch.float32)
    steps = schedule(plan, len(parts.rows["train"]))
    Eager(plan, parts, steps).advance(steps.total_steps)
    return evaluate(plan, parts, parts.rows["test"])["accuracy"], parts.rows["test"].y


@pytest.mark.soak  # one seed of each is trained by the tests of the gallery
@pytest.mark.parametrize(("name", "bar"), [("digits_mlp", 0.97), ("digits_convnet", 0.985)])
def test_the_mean_of_five_seeds(name: str, bar: float) -> None:
    """The test is a quarter of the 1797 digits, the same one for each seed, with each digit in proportion."""
    found = [accuracy(name, seed) for seed in range(5)]
    held = found[0][1]
    assert len(held) == 449
    assert all(torch.equal(labels, held) for _, labels in found)
    assert all(43 <= int(count) <= 47 for count in held.bincount())
    assert statistics.mean(value for value, _ in found) >= bar
