"""Sparse gradients of an embedding: who can step with them, and what is said of who cannot, before a run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.errors import SpecError
from tests.training import Fit, Planned

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's, at any sparse gradient

SPEC = """
version: 1
name: sparse
device: {type: cpu, threads: 1, precision: float64}
data: {npz: {file: rows.npz, inputs: [t], targets: [y], tokens: [t]}}
model: [Embedding: {num_embeddings: 4, embedding_dim: 3, sparse: true}, Flatten, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 3, batch_size: 4, shuffle: false}
"""
SAYS = "cannot step with the sparse gradients of Embedding"


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> None:
    tokens = np.arange(20).reshape(10, 2) % 4
    np.savez(tmp_path / "rows.npz", t=tokens, y=np.arange(10.0) / 7)


def parameters(run: Any) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in run.parts.model.parameters()]


@pytest.mark.parametrize("optimizer", ["{SGD: {lr: 0.1}}", "{Adagrad: {lr: 0.1}}"])
@pytest.mark.parametrize("train", ["{epochs: 3, batch_size: 4}", "{epochs: 2, batch_size: 2, accumulate: 2}"])
def test_sparse_gradients_take_the_steps_of_dense_ones(optimizer: str, train: str, fit: Fit) -> None:
    """Without torch's fused kernel, which takes none."""
    changes = f"optimizer={optimizer}", f"train={train}"
    sparse, dense = fit(SPEC, *changes), fit(SPEC.replace(", sparse: true", ""), *changes)
    assert sparse.plan.optimizer.options["fused"] is None
    assert dense.plan.optimizer.options["fused"] is True
    torch.testing.assert_close(parameters(sparse), parameters(dense), rtol=1e-12, atol=1e-12)


def test_a_sparse_layer_inside_another_is_seen(planned: Planned) -> None:
    own = "{Embedding: {num_embeddings: 4, embedding_dim: 3, sparse: true}}"
    plan = planned(SPEC, f"blocks={{own: [{own}]}}", "model=[own, Flatten, {Linear: 1}]")
    assert plan.optimizer.options["fused"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("optimizer={Adam: {lr: 0.1}}", SAYS),
        ("optimizer={SGD: {lr: 0.1, fused: true}}", SAYS),
        ("optimizer={SGD: {lr: 0.1, weight_decay: 0.1}}", SAYS),
        ("optimizer={SGD: {lr: 0.1, momentum: 0.9}}", "what it remembers of them is sparse, too"),
        ("train.clip_norm=1", "cannot clip the sparse gradients of Embedding"),
        ("train.clip_value=1", "cannot clip the sparse gradients of Embedding"),
    ],
)
def test_what_takes_no_sparse_gradients_is_refused_at_the_layer(change: str, says: str, planned: Planned) -> None:
    """At `sparse: true`, before a run is lost."""
    with pytest.raises(SpecError) as caught:
        planned(SPEC, change)
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.place
    assert problem.place.line == 6
