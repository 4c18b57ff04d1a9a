"""Where the parameters of a member stand in the matrices of a stack."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.stacked.slots import ParameterSlice, layer_modes, matrix, size, slices_of, trained
from tests.train.gears.stacks import SPEC, Built, built
from tests.training import Planned

GROUPS = "optimizer={SGD: {lr: 0.05}, groups: [{params: '*.bias', lr: 0.1}]}"


def made(planned: Planned, *overrides: str) -> Built:
    with computing("float64", deterministic=False):
        return built(planned(SPEC, *overrides))


def test_a_slice_views_its_numbers_of_each_member() -> None:
    """In the shape of the parameter; writing to it writes to the matrix."""
    numbers = torch.arange(20.0).view(2, 10)
    part = ParameterSlice(0, 3, 9, torch.Size((2, 3))).of(numbers)
    assert torch.equal(part[1], torch.arange(13.0, 19).view(2, 3))
    part.zero_()
    assert numbers[0].tolist() == [0, 1, 2, 0, 0, 0, 0, 0, 0, 9]


@pytest.mark.parametrize(("shape", "count"), [((), 1), ((3,), 3), ((2, 3), 6), ((0,), 1)])
def test_the_size_of_a_shape_is_one_at_least(shape: tuple[int, ...], count: int) -> None:
    assert size(shape) == count


def test_a_matrix_has_a_row_for_each_member() -> None:
    """Its tensors one after another; members without any have rows of no numbers."""
    tensors = [[torch.tensor([[1.0, 2], [3, 4]]), torch.tensor(5.0)], [torch.zeros(2, 2), torch.tensor(6.0)]]
    assert torch.equal(matrix(tensors), torch.tensor([[1.0, 2, 3, 4, 5], [0, 0, 0, 0, 6]]))
    assert matrix([[], []]).shape == (2, 0)


@pytest.mark.parametrize("optimizer", ["optimizer={SGD: {lr: 0.05}}", GROUPS])
def test_slices_fill_the_matrix_of_each_group(optimizer: str, planned: Planned) -> None:
    """Without a gap, and each parameter stands in the group that its optimizer has it in."""
    run = made(planned, optimizer)
    slices = slices_of(run.parts)
    assert trained(run.parts, slices) == [dict(run.parts.model.named_parameters())[name] for name in slices]
    groups = run.parts.optimizer.param_groups
    for number, group in enumerate(groups):
        parts = {name: part for name, part in slices.items() if part.group == number}
        bounds = [(part.start, part.stop) for part in parts.values()]
        assert bounds[0][0] == 0
        assert all(end == start for (_, end), (start, _) in pairwise(bounds))
        assert bounds[-1][1] == sum(parameter.numel() for parameter in group["params"])
        if len(groups) == 2:
            assert {name.endswith("bias") for name in parts} == {number == 1}


UNUSED = '''
import torch
from annpipe import layer

@layer
class Spare(torch.nn.Module):
    """Has a weight that it uses, and one that it does not."""
    def __init__(self) -> None:
        super().__init__()
        self.spare, self.used = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(4))
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.used
'''


def test_what_no_loss_depends_on_has_no_slice(planned: Planned) -> None:
    """Torch steps no parameter without a gradient: neither frozen ones nor those that are not used."""
    model = "model={layers: [Linear: 4, Spare, Linear: 1], freeze: [0.bias]}"
    with computing("float64", deterministic=False):
        run = built(planned(SPEC, "plugins=[unused.py]", model, unused=UNUSED))
        before = {name: tensor.clone() for name, tensor in run.parts.model.state_dict().items()}
        slices = slices_of(run.parts)
    assert list(slices) == ["0.weight", "1.used", "2.weight", "2.bias"]
    assert all(parameter.grad is None for parameter in run.parts.parameters)
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.parts.model.state_dict().items())


def test_the_trial_keeps_the_statistics_of_batch_norm(planned: Planned) -> None:
    """It is made on a copy."""
    run = made(planned, "model=[Linear: 4, BatchNorm1d, Linear: 1]")
    slices_of(run.parts)
    assert run.parts.model[1].num_batches_tracked == 0  # type: ignore[index]  # a Sequential


def test_layers_are_tried_without_drawing_from_any_stream(planned: Planned) -> None:
    """A layer for each of the plan; what follows draws what it would have drawn."""
    run = made(planned, "model=[Linear: 4, Dropout: 0.5, Linear: 1]")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    modes = layer_modes(run.plan, run.parts)
    assert len(modes) == 3
    assert torch.equal(torch.get_rng_state(), before)
