"""Rows with targets of each kind, and a spec of them: what losses divide by is tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

ROWS, WIDTH = 14, 3
DRAW = np.random.default_rng(4)
X = DRAW.normal(size=(ROWS, 2))
LABELS = np.array([1, 1, 1, 1, 1, 0, 2, 0, 2, 1, 0, 2, 0, 1])  # the first five are a batch of one class
TARGETS: dict[str, Any] = {
    "labels": LABELS,
    "grid": np.stack([LABELS, LABELS[::-1]], 1),
    "numbers": DRAW.normal(size=(ROWS, WIDTH)),
    "counts": DRAW.poisson(2, size=(ROWS, WIDTH)).astype(float),
    "ones": (DRAW.random((ROWS, WIDTH)) > 0.6).astype(float),
    "signs": np.sign(DRAW.normal(size=(ROWS, WIDTH))),
    "shares": DRAW.dirichlet([1.0] * WIDTH, size=ROWS),
}
SPEC = """
version: 1
name: divisors
seed: 1
device: {type: cpu, threads: 1, precision: float64}
data: {npz: {file: rows.npz, inputs: [a, b], targets: [TARGET]}}
model: [Linear: 4, Tanh, Linear: 3]
loss: MSELoss
optimizer: {SGD: {lr: 1.0}}
train: {epochs: 1, shuffle: false, batch_size: 14}
"""
WEIGHT = "weight: [1, 5, 20]"


def spec(target: str, loss: str) -> str:
    names = "[p, q, r]" if target == "three" else f"[{target}]"
    labels = ", labels: true" if target in ("labels", "grid") else ""
    return SPEC.replace("targets: [TARGET]", f"targets: {names}{labels}").replace("loss: MSELoss", f"loss: {loss}")
