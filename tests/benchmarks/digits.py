"""Test accuracy on `digits`, the mean of five seeds, beside scikit-learn's MLPClassifier on the same rows:

    python tests/benchmarks/digits.py [SEEDS]

The split of the two specs is fixed and stratified, 75 % to train and 25 % to test. scikit-learn's network has the
hidden layers of `digits_mlp`, its inputs are standardized on the train split, and it trains until its loss stands
still.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import ROOT, machine
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from annpipe import Dataset
from annpipe.backend.device import computing
from annpipe.datasets.steps.make import make_dataset
from annpipe.datasets.steps.splits import split_dataset
from annpipe.draft.draft import draft
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.evaluate import evaluate
from annpipe.train.parts import build
from annpipe.train.schedule import schedule

MLP = ROOT / "pipelines" / "digits_mlp.yaml"
CONVNET = ROOT / "pipelines" / "digits_convnet.yaml"
Array = np.ndarray[Any, np.dtype[Any]]
BARS = {MLP: 0.97, CONVNET: 0.985}


def planned(spec: Path, seed: int) -> Plan:
    """The plan of a spec with another seed."""
    return resolve(draft(load_spec(spec, overrides=[f"seed={seed}"]), Registry.installed()))


def trained_accuracy(spec: Path, seed: int) -> float:
    """The accuracy on the test split after the whole training, one thread."""
    plan, device = planned(spec, seed), torch.device("cpu")
    torch.set_num_threads(1)
    with computing(plan.device.precision, deterministic=False) as dtype:
        parts = build(plan, device, dtype)
        steps = schedule(plan, len(parts.rows["train"]))
        Eager(plan, parts, steps).advance(steps.total_steps)
        return evaluate(plan, parts, parts.rows["test"])["accuracy"]


def peer_accuracy(seed: int) -> float:
    """scikit-learn's network on the rows of `digits_mlp`'s split."""
    plan = planned(MLP, seed)
    splits = split_dataset(make_dataset(plan.data, seed), plan.split, seed)
    assert splits.test
    peer = make_pipeline(StandardScaler(), MLPClassifier((256, 128), max_iter=500, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(*_images_and_labels(splits.train))
    return float(peer.score(*_images_and_labels(splits.test)))


def _images_and_labels(part: Dataset) -> tuple[Array, Array]:
    """The images as rows of pixels, (rows, 64), and the digits they show, (rows,)."""
    return part.inputs["image"].flatten(1).numpy(), part.targets["y"].numpy()


def measure(seeds: int = 5) -> list[str]:
    """The rows of the table."""
    found = {spec: [trained_accuracy(spec, seed) for seed in range(seeds)] for spec in BARS}
    peer = [peer_accuracy(seed) for seed in range(seeds)]
    lines = [
        f"| {spec.stem} | {_spread(values)} | ≥ {BARS[spec]} | {_verdict(values, BARS[spec])} |"
        for spec, values in found.items()
    ]
    return [*lines, f"| scikit-learn's MLPClassifier (256, 128) | {_spread(peer)} | – | |"]


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.4f} ({min(values):.4f}–{max(values):.4f})"


def _verdict(values: list[float], bar: float) -> str:
    return "holds" if statistics.mean(values) >= bar else "**missed**"


if __name__ == "__main__":
    print("| what | test accuracy: mean (least–greatest) | bar | |\n|---|---|---|---|")
    print("\n".join(measure(*map(int, sys.argv[1:]))))
    print(f"\n{machine()}")
