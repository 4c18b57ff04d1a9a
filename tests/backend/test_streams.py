"""Every stream of random numbers is its own: what one draws changes nothing in another."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from annpipe.backend.streams import STREAMS, GlobalStream, drawing, generator, stream_seed

SPEC = """
version: 1
name: streams
seed: 3
device: {type: cpu, threads: 1}
data:
  formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}, noise: {y: {Normal: [0, 0.1]}}}
  split: {val: 0.25, test: 0.1}
model: [Linear: 4, Tanh, Dropout: 0.2, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 3, batch_size: 8}
"""

GLOBAL_NOISE = '''
import torch
from annpipe import Dataset, data

@data
def global_noise(rows: int = 40) -> Dataset:
    """Draws from torch's global generator, which it should not."""
    x = torch.rand(rows)
    return Dataset({"x": x}, {"y": x + torch.randn(rows)})
'''


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors agree bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_streams_differ_from_each_other_and_from_seed_to_seed() -> None:
    """No two streams share a seed, and each is a number that torch takes."""
    seeds = {stream_seed(seed, name) for seed in range(100) for name in STREAMS}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)


FIRST = {
    "data": (4237268861321998237, "0x1.d30e2c20baaadp-1", "0x1.31567d44e07dcp-2"),
    "split": (1105137867662287046, "0x1.bb7e3aa2bc8a6p-2", "0x1.2876645f2a148p-3"),
    "init": (8335665080893784494, "0x1.85a94bd68a0e8p-3", "0x1.f2edb080d0260p-3"),
    "shuffle": (6382374139836185491, "0x1.9cd07b270c621p-1", "0x1.a0a3fcd441a48p-1"),
    "dropout": (3422261212948167458, "0x1.b1363e0449cc3p-1", "0x1.23f2eac1aabe6p-2"),
}
"""Of seed 7: the seed of each stream, and the first two numbers that torch draws from it."""


def test_the_first_numbers_of_each_stream_are_pinned() -> None:
    """A run of last year is repeated today: no other derivation of the seeds, in a generator or in the global ones."""
    assert FIRST.keys() == set(STREAMS)
    for name, (seed, *numbers) in FIRST.items():
        assert stream_seed(7, name) == seed
        own = torch.rand(2, dtype=torch.float64, generator=generator(7, name))
        with drawing(7, name):
            lent = torch.rand(2, dtype=torch.float64)
        with GlobalStream(7, name, torch.device("cpu")).lent():
            kept = torch.rand(2, dtype=torch.float64)
        for drawn in (own, lent, kept):
            assert [number.hex() for number in drawn.tolist()] == numbers, name


def test_the_same_seed_gives_the_same_run_and_another_seed_another(fit: Any) -> None:
    """Data, initial weights, batches and dropout masks, so every loss."""
    torch.manual_seed(1)
    first = fit(SPEC)
    torch.manual_seed(2)
    second = fit(SPEC)
    other = fit(SPEC, "seed=4")
    assert first.losses == second.losses
    assert same(first.parts.model.state_dict(), second.parts.model.state_dict())
    assert same(first.parts.dataset.inputs, second.parts.dataset.inputs)
    assert not set(first.losses) & set(other.losses)
    assert not same(first.parts.dataset.inputs, other.parts.dataset.inputs)


def test_another_model_sees_the_same_data_and_splits(fit: Any) -> None:
    """A wider one with more dropout, trained longer in other batches."""
    first = fit(SPEC)
    other = fit(SPEC, "model.0={Linear: 9}", "model.2={Dropout: 0.5}", "train.epochs=5", "train.batch_size=all")
    for split in ("train", "val", "test"):
        assert same(getattr(first.parts.splits, split).inputs, getattr(other.parts.splits, split).inputs)
        assert same(getattr(first.parts.splits, split).targets, getattr(other.parts.splits, split).targets)


def test_other_noise_changes_neither_inputs_nor_initial_weights(fit: Any) -> None:
    """Only the targets."""
    first = fit(SPEC, "optimizer={SGD: {lr: 0.0}}")
    other = fit(SPEC, "optimizer={SGD: {lr: 0.0}}", "data.formula.noise.y={Laplace: [0, 2]}")
    assert same(first.parts.dataset.inputs, other.parts.dataset.inputs)
    assert not same(first.parts.dataset.targets, other.parts.dataset.targets)
    assert same(first.parts.dataset.truth, other.parts.dataset.truth)
    assert same(first.parts.model.state_dict(), other.parts.model.state_dict())


def test_a_layer_more_at_the_end_changes_no_weight_before_it(fit: Any) -> None:
    """Initial weights are drawn in the order of the stack."""
    first = fit(SPEC, "optimizer={SGD: {lr: 0.0}}")
    other = fit(SPEC, "optimizer={SGD: {lr: 0.0}}", "model=[Linear: 4, Tanh, Dropout: 0.2, Linear: 1, Tanh, Linear: 1]")
    for mine, theirs in zip(first.parameters, other.parameters, strict=False):
        assert torch.equal(mine, theirs)


def test_a_generator_that_draws_from_torch_itself_is_reproducible(fit: Any) -> None:
    """The global generator is lent to the stream `data` while a plugin makes its rows."""
    spec = SPEC.replace("  formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}, "
                        "noise: {y: {Normal: [0, 0.1]}}}", "  global_noise: 40")  # fmt: skip
    spec += "plugins: [./noise.py]\n"
    torch.manual_seed(1)
    first = fit(spec, noise=GLOBAL_NOISE)
    torch.manual_seed(2)
    second = fit(spec, noise=GLOBAL_NOISE)
    other = fit(spec, "seed=4", noise=GLOBAL_NOISE)
    assert same(first.parts.dataset.targets, second.parts.dataset.targets)
    assert not same(first.parts.dataset.targets, other.parts.dataset.targets)
    assert first.parts.dataset.inputs["x"].dtype == torch.float64


def test_training_leaves_the_global_generator_where_it_was(fit: Any) -> None:
    """Who calls annpipe from Python keeps their own random numbers."""
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fit(SPEC)
    assert torch.equal(torch.rand(3), expected)


def test_a_lent_stream_goes_on_where_it_stopped() -> None:
    """Two loans draw what one would have; a fault inside loses nothing."""
    stream = GlobalStream(7, "dropout", torch.device("cpu"))
    with stream.lent():
        first = torch.rand(2)
    torch.rand(5)
    with pytest.raises(TypeError), stream.lent():
        torch.rand(1) + None
    with stream.lent():
        last = torch.rand(2)
    with drawing(7, "dropout"):
        expected = [torch.rand(2), torch.rand(1), torch.rand(2)]
    assert torch.equal(first, expected[0])
    assert torch.equal(last, expected[2])
    assert generator(7, "dropout").initial_seed() == stream_seed(7, "dropout")
