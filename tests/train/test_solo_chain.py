"""A chain passed by hand has the losses and gradients of torch's own pass, bit for bit, or is left to it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.train.chain import FOLLOWING
from annpipe.train.losses_by_hand import POINTWISE, loss_by_hand
from annpipe.train.solo_chain import solo_chain

DTYPES = [torch.float32, torch.float64]
AFTER: dict[str, Callable[[], list[nn.Module]]] = {
    "nothing": list,
    "ReLU": lambda: [nn.ReLU()],
    "ReLU in place": lambda: [nn.ReLU(inplace=True)],
    "Tanh": lambda: [nn.Tanh()],
    "Sigmoid": lambda: [nn.Sigmoid()],
    "GELU": lambda: [nn.GELU()],
    "GELU by tanh": lambda: [nn.GELU("tanh")],
    "SiLU": lambda: [nn.SiLU()],
    "LeakyReLU": lambda: [nn.LeakyReLU(0.2)],
    "ELU": lambda: [nn.ELU(0.7)],
    "Softplus": lambda: [nn.Softplus(2.0, 1.0)],
    "Dropout": lambda: [nn.Dropout(0.3)],
    "Dropout of none": lambda: [nn.Identity(), nn.Dropout(0.0)],
    "Tanh, Dropout": lambda: [nn.Tanh(), nn.Dropout(0.3)],
    "Dropout, ReLU": lambda: [nn.Dropout(0.3), nn.ReLU()],
    "GELU, Tanh, ReLU": lambda: [nn.GELU(), nn.Tanh(), nn.ReLU()],
}
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "MSELoss": nn.MSELoss,
    "MSELoss, sum": lambda: nn.MSELoss(reduction="sum"),
    "L1Loss": nn.L1Loss,
    "L1Loss, sum": lambda: nn.L1Loss(reduction="sum"),
    "SmoothL1Loss": lambda: nn.SmoothL1Loss(beta=0.3),
    "HuberLoss": lambda: nn.HuberLoss(delta=0.3),
    "HuberLoss, sum": lambda: nn.HuberLoss(reduction="sum", delta=0.3),
    "BCEWithLogitsLoss": nn.BCEWithLogitsLoss,
    "SoftMarginLoss": nn.SoftMarginLoss,
}


def network(after: list[nn.Module], width: int = 3, outputs: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, 7), *after, nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, outputs))


def data(rows: int, dtype: torch.dtype, width: int = 3, outputs: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, width, dtype=dtype, generator=draw)
    return x, torch.rand(rows, outputs, dtype=dtype, generator=draw)


def gradients_of(model: nn.Module) -> list[torch.Tensor | None]:
    return [parameter.grad for parameter in model.parameters()]


def hold(
    model: nn.Sequential,
    loss: nn.Module,
    batches: list[tuple[torch.Tensor, torch.Tensor]],
    share: float = 1.0,
    *,
    gathers: bool = False,
) -> None:
    """Compares with torch's own pass on a copy, batch after batch; `gathers`: gradients are added up over them."""
    other = copy.deepcopy(model)
    chain = solo_chain(model, loss, torch.optim.SGD(model.parameters(), lr=0.1))
    assert chain is not None
    assert not chain.is_heard
    for number, (x, y) in enumerate(batches):
        if not gathers:
            model.zero_grad()
            other.zero_grad()
        torch.manual_seed(number)
        found = chain(x, y, share)
        drawn = torch.get_rng_state()
        torch.manual_seed(number)
        expected = loss(other(x), y) * share
        expected.backward()
        assert torch.equal(found, expected)
        assert not found.requires_grad
        assert torch.equal(drawn, torch.get_rng_state())
        for mine, theirs in zip(gradients_of(model), gradients_of(other), strict=True):
            assert (mine is None) == (theirs is None)
            assert mine is None or theirs is None or torch.equal(mine, theirs)
        with torch.no_grad():
            for mine_too, theirs_too in zip(model.parameters(), other.parameters(), strict=True):
                mine_too -= 0.1 if mine_too.grad is None else 0.1 * mine_too.grad
                theirs_too -= 0.1 if theirs_too.grad is None else 0.1 * theirs_too.grad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("after", AFTER)
def test_every_layer_gives_the_bits_of_torchs_own_pass(after: str, dtype: torch.dtype) -> None:
    """In batches of which the last is shorter, and back again; one row, and 1000 for the vector kernels."""
    model = network(AFTER[after]()).to(dtype)
    hold(model, nn.MSELoss(), [data(rows, dtype) for rows in (16, 16, 5, 16, 1, 1000)])


def test_every_layer_that_is_passed_by_hand_is_held_here() -> None:
    """A new one has to be added."""
    assert {type(layer) for make in AFTER.values() for layer in make()} == {*FOLLOWING, nn.Identity}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_gives_the_bits_of_torchs_own_pass(loss: str, share: float, dtype: torch.dtype) -> None:
    """Whole, and as a share of batches whose gradients are added up."""
    made = LOSSES[loss]()
    batches = [data(rows, dtype) for rows in (16, 16, 5, 1)]
    hold(network([nn.Tanh()]).to(dtype), made, batches, share)
    hold(network([nn.Tanh()]).to(dtype), made, batches, share, gathers=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("how", ["plain", "weights", "ignored", "smooth", "probabilities"])
def test_cross_entropy_gives_the_bits_of_torchs_own_pass(how: str, reduction: str, dtype: torch.dtype) -> None:
    """Labels with and without weights and one that is ignored; what it does not know goes over a graph."""
    loss = nn.CrossEntropyLoss(
        torch.tensor([0.5, 2.0, 1.0], dtype=dtype) if how == "weights" else None,
        reduction=reduction,
        ignore_index=1 if how == "ignored" else -100,
        label_smoothing=0.1 if how == "smooth" else 0.0,
    )
    batches = []
    for rows in (16, 5, 16):
        x, _ = data(rows, dtype)
        labels = torch.arange(rows) % 3
        batches.append((x, torch.eye(3, dtype=dtype)[labels] if how == "probabilities" else labels))
    hold(network([nn.ReLU()], outputs=3).to(dtype), loss, batches, 0.7)


def test_the_usual_losses_need_no_graph() -> None:
    """Otherwise this file would hold torch against itself."""
    given, y = torch.zeros(4, 3), torch.zeros(4, 3)
    for loss in POINTWISE:
        assert loss_by_hand(loss(), given, y) is POINTWISE[loss]
    entropy = nn.CrossEntropyLoss()
    assert loss_by_hand(entropy, given, torch.zeros(4, dtype=torch.int64)) is not loss_by_hand(entropy, given, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", [*itertools.product([1, 3], [1, 2])])
@pytest.mark.parametrize("bias", [True, False])
def test_single_columns_and_layers_without_bias(bias: bool, widths: tuple[int, int], dtype: torch.dtype) -> None:
    """One feature or one output has strides of its own."""
    torch.manual_seed(1)
    inputs, outputs = widths
    model = nn.Sequential(
        nn.Linear(inputs, 1, bias=bias), nn.Tanh(), nn.Linear(1, 6, bias=bias), nn.ReLU(), nn.Linear(6, outputs)
    ).to(dtype)
    hold(model, nn.L1Loss(), [data(rows, dtype, inputs, outputs) for rows in (1000, 8, 2)])


@pytest.mark.parametrize(
    "frozen",
    [["0.weight"], ["0.bias"], ["0.weight", "0.bias"], ["2.weight", "2.bias"], ["4.weight"], ["0.weight", "2.bias"]],
)
def test_what_is_frozen_gets_no_gradient(frozen: list[str]) -> None:
    """At the beginning, in the middle or at the end."""
    model = network([nn.Tanh()])
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    hold(model, nn.MSELoss(), [data(8, torch.float32)] * 2)


def test_what_needs_no_gradient_may_be_anything() -> None:
    """A frozen convolution with a hook, and a Flatten, stand before the first layer that is trained."""
    torch.manual_seed(0)
    front = nn.Conv1d(1, 2, 3)
    front.requires_grad_(False)
    seen: list[Any] = []
    front.register_forward_hook(lambda *told: seen.append(told))
    model = nn.Sequential(front, nn.BatchNorm1d(2, affine=False), nn.Flatten(), nn.Linear(6, 4), nn.ReLU())
    x, y = torch.randn(9, 1, 5), torch.randn(9, 4)
    hold(model, nn.MSELoss(), [(x, y)] * 2)
    assert len(seen) == 4  # the copy has the hook, too


def test_rows_of_several_dimensions_go_over_a_graph() -> None:
    """A Linear on (rows, steps, features) is torch's own affair."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    hold(model, nn.MSELoss(), [(torch.randn(6, 5, 3), torch.randn(6, 5, 2))] * 2, 0.5)


class Doubled(nn.Linear):
    """A layer of somebody's own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


class Penalty(nn.MSELoss):
    """A loss of somebody's own, which may see the parameters."""


def _shared() -> nn.Sequential:
    one = nn.Linear(3, 3)
    return nn.Sequential(one, nn.ReLU(), one)


def _bound() -> nn.Sequential:
    model = network([])
    model[0].weight = model[0].weight
    model[1].forward = lambda x: x[:, :5]
    return model


def _shared_weight() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    return model


LEFT: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "a layer of one's own": lambda: (nn.Sequential(Doubled(3, 2)), nn.MSELoss()),
    "a loss of one's own": lambda: (network([]), Penalty()),
    "a model of another class": lambda: (nn.ModuleList([nn.Linear(3, 2)]), nn.MSELoss()),
    "a norm in the middle": lambda: (network([nn.LayerNorm(7)]), nn.MSELoss()),
    "a trained activation": lambda: (network([nn.PReLU()]), nn.MSELoss()),
    "all dropped": lambda: (network([nn.Dropout(1.0)]), nn.MSELoss()),
    "a softmax": lambda: (network([nn.Softmax(1)]), nn.MSELoss()),
    "a shared layer": lambda: (_shared(), nn.MSELoss()),
    "a shared weight": lambda: (_shared_weight(), nn.MSELoss()),
    "a parametrization": lambda: (
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))),
        nn.MSELoss(),
    ),
    "a forward of one's own": lambda: (_bound(), nn.MSELoss()),
    "nothing to train": lambda: (network([]).requires_grad_(False), nn.MSELoss()),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_no_plain_chain_is_left_to_torch(what: str) -> None:
    """Each of these would be passed wrongly, or nobody knows."""
    model, loss = LEFT[what]()
    parameters = [nn.Parameter(torch.zeros(1)), *model.parameters()]
    assert solo_chain(model, loss, torch.optim.SGD(parameters, lr=0.1)) is None


def test_whoever_listens_is_heard() -> None:
    """A hook on a model, layer, loss or parameter, or on all modules, set at any time and taken away again."""
    model, loss = network([]), nn.MSELoss()
    chain = solo_chain(model, loss, torch.optim.SGD(model.parameters(), lr=0.1))
    assert chain is not None
    hooks: list[Callable[[], Any]] = [
        lambda: model.register_forward_hook(lambda *told: None),
        lambda: model[0].register_forward_pre_hook(lambda *told: None),
        lambda: model[2].register_full_backward_hook(lambda *told: None),
        lambda: model[2].register_full_backward_pre_hook(lambda *told: None),
        lambda: loss.register_forward_hook(lambda *told: None),
        lambda: model[0].weight.register_hook(lambda grad: None),
        lambda: model[0].bias.register_post_accumulate_grad_hook(lambda tensor: None),
        lambda: nn.modules.module.register_module_forward_hook(lambda *told: None),
        lambda: nn.modules.module.register_module_full_backward_hook(lambda *told: None),
    ]
    for register in hooks:
        assert not chain.is_heard
        handle = register()
        assert chain.is_heard
        handle.remove()
    assert not chain.is_heard


def test_an_optimizer_of_ones_own_gets_gradients_that_stay() -> None:
    """It may keep one for later; torch's own optimizers copy what they keep, and find theirs in the same memory."""

    class Keeping(torch.optim.SGD):
        pass

    x, y = data(8, torch.float32)
    for optimizer, is_same in ((Keeping, False), (torch.optim.SGD, True)):
        model = network([])
        chain = solo_chain(model, nn.MSELoss(), optimizer(model.parameters(), lr=0.1))
        assert chain is not None
        kept = []
        for share in (1.0, 2.0):
            model.zero_grad()
            chain(x, y, share)
            kept.append(model[0].weight.grad)
        assert (kept[0] is kept[1]) == is_same
        assert torch.equal(*kept) == is_same
