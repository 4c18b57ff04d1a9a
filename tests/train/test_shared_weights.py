"""Training with weights that stand at several places."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

SPEC = """
version: 1
name: shared
device: {type: cpu, threads: 1}
data:
  formula: {rows: 64, inputs: {a: {Uniform: [-1, 1]}, b: {Normal: [0, 1]}}, targets: {y: a*b}}
  split: {val: 0.25}
blocks:
  encoder: [Linear: 4, BatchNorm1d, Tanh]
model: [Linear: 4, shared: encoder, residual: [shared: encoder, Dropout: 0.2], Linear: 1]
loss: MSELoss
optimizer: {AdamW: {lr: 0.01}, groups: [{params: encoder, lr: 0.002}]}
train: {epochs: 8, batch_size: 16}
"""


@pytest.mark.parametrize("more", ["", "average: {EMA: {decay: 0.9}}\n", "average: {SWA: {start: 0.4}}\n"])
def test_a_resumed_run_with_shared_weights_is_the_run_that_never_was_interrupted(more: str, fit: Any) -> None:
    """Bit for bit, of an averaged model too; and the weights still are the same at each place."""
    whole = fit(SPEC + more)
    fit(SPEC + more, stop_at=11)
    resumed = fit(SPEC + more, resume=True)
    for name, tensor in whole.parts.model.state_dict().items():
        assert torch.equal(resumed.parts.model.state_dict()[name], tensor), name
    assert resumed.parts.model.encoder is resumed.parts.model[2].layers.encoder
    assert resumed.losses[-1] == whole.losses[-1]


def test_a_group_has_shared_weights_once(fit: Any) -> None:
    """By their first name; the optimizer steps them once."""
    run = fit(SPEC)
    others, encoder = run.parts.optimizer.param_groups
    assert [tuple(parameter.shape) for parameter in encoder["params"]] == [(4, 4), (4,), (4,), (4,)]
    assert len(others["params"]) == 4
    assert encoder["lr"] == 0.002


def test_shared_weights_train_as_in_plain_torch(fit: Any) -> None:
    """The same steps on the same batch."""
    run = fit(SPEC.replace("Dropout: 0.2", "Identity").replace("16}", "all, shuffle: false}"), "optimizer=SGD")
    start = fit(SPEC.replace("Dropout: 0.2", "Identity").replace("16}", "all, shuffle: false}"), "optimizer=SGD",
                "optimizer.SGD.lr=0", "train.epochs=1")  # fmt: skip
    theirs = copy.deepcopy(start.parts.model).train()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.reset_running_stats()
    first, encoder, last = theirs[0], theirs[1], theirs[3]
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.001)
    rows = run.parts.rows["train"]
    for _ in range(8):
        optimizer.zero_grad()
        x = encoder(first(rows.x))
        torch.nn.functional.mse_loss(last(x + encoder(x)), rows.y).backward()
        optimizer.step()
    for name, tensor in theirs.state_dict().items():
        assert torch.allclose(run.parts.model.state_dict()[name], tensor, atol=1e-6), name
