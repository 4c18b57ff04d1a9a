"""A chain passed by hand has the losses and gradients of torch's own pass, bit for bit, or is left to it.

Only many rows of a narrow layer are transposed, where they add up in another order.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.train.gears.manual import chain as solo
from annpipe.train.gears.manual.chain import solo_chain
from annpipe.train.gears.manual.layers import MANUAL_LAYERS
from annpipe.train.gears.manual.losses import MANUAL_LOSSES, manual_loss

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
    same: Callable[[torch.Tensor, torch.Tensor], bool] = torch.equal,
) -> None:
    """Compares with torch's own pass on a copy, batch after batch; `gathers`: gradients are added up over them."""
    other = copy.deepcopy(model)
    chain = solo_chain(model, loss, torch.optim.SGD(model.parameters(), lr=0.1))
    assert chain is not None
    assert not chain.has_hooks
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
        assert same(found, expected)
        assert not found.requires_grad
        assert torch.equal(drawn, torch.get_rng_state())
        for mine, theirs in zip(gradients_of(model), gradients_of(other), strict=True):
            assert (mine is None) == (theirs is None)
            assert mine is None or theirs is None or same(mine, theirs)
        with torch.no_grad():
            for mine_too, theirs_too in zip(model.parameters(), other.parameters(), strict=True):
                mine_too -= 0.1 if mine_too.grad is None else 0.1 * mine_too.grad
                theirs_too -= 0.1 if theirs_too.grad is None else 0.1 * theirs_too.grad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("after", AFTER)
def test_every_layer_gives_the_bits_of_torchs_own_pass(after: str, dtype: torch.dtype) -> None:
    """In batches of which the last is shorter, and back again; one row, and 255 for the vector kernels."""
    model = network(AFTER[after]()).to(dtype)
    hold(model, nn.MSELoss(), [data(rows, dtype) for rows in (16, 16, 5, 16, 1, 255)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [255, 256, 1000])
def test_wide_layers_give_the_bits_of_torchs_own_pass_however_many_rows(rows: int, dtype: torch.dtype) -> None:
    """They lie as torch lays them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 16), nn.Dropout(0.3)).to(dtype)
    hold(model, nn.MSELoss(), [data(rows, dtype, outputs=16)] * 2)


def near(mine: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Equal but for rounding; a thousandth more would be seen."""
    unit = torch.finfo(mine.dtype).eps
    return torch.allclose(mine, theirs, rtol=64 * unit, atol=64 * unit * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("after", AFTER)
def test_many_rows_of_narrow_layers_differ_by_rounding_alone(after: str, dtype: torch.dtype) -> None:
    """They are transposed, and the same masks are drawn for them."""
    model = network(AFTER[after]()).to(dtype)
    hold(model, nn.MSELoss(), [data(rows, dtype) for rows in (256, 1000, 255)], same=near)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [1, 2, 20])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_many_rows(loss: str, outputs: int, dtype: torch.dtype) -> None:
    """Of one output or several, with layers before that are transposed or not."""
    made = LOSSES[loss]()
    hold(network([], outputs=outputs).to(dtype), made, [data(600, dtype, outputs=outputs)], same=near)
    hold(nn.Sequential(nn.Linear(3, outputs)).to(dtype), made, [data(600, dtype, outputs=outputs)])


def test_many_rows_of_narrow_layers_are_transposed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each feature's rows together, but for the last layer; as usual, they give torch's own bits."""
    model, (x, y) = network([nn.Tanh(), nn.Dropout(0.3)]), data(1000, torch.float32)
    for narrow, strides in ((16, [(1, 1000), (1, 1000), (2, 1)]), (0, [(7, 1), (5, 1), (2, 1)])):
        monkeypatch.setattr(solo, "NARROW", narrow)
        chain = solo_chain(model, nn.L1Loss(), torch.optim.SGD(model.parameters(), lr=0.1))
        assert chain is not None
        buffers = chain._new_buffers(x)
        assert [t.stride() for t in buffers.outputs] == [t.stride() for t in buffers.grads] == strides
    hold(model, nn.L1Loss(), [(x, y)] * 2)


def test_every_layer_that_is_passed_by_hand_is_held_here() -> None:
    """A new one has to be added."""
    assert {type(layer) for make in AFTER.values() for layer in make()} == {*MANUAL_LAYERS, nn.Identity}


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

    def batch(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.arange(rows) % 3
        return data(rows, dtype)[0], torch.eye(3, dtype=dtype)[labels] if how == "probabilities" else labels

    hold(network([nn.ReLU()], outputs=3).to(dtype), loss, [batch(rows) for rows in (16, 5, 16)], 0.7)
    hold(network([nn.ReLU()], outputs=3).to(dtype), loss, [batch(600)], 0.7, same=near)
    hold(nn.Sequential(nn.Linear(3, 3)).to(dtype), loss, [batch(600)])


def test_the_usual_losses_need_no_graph() -> None:
    """Otherwise this file would hold torch against itself."""
    given, y = torch.zeros(4, 3), torch.zeros(4, 3)
    for loss in MANUAL_LOSSES:
        assert manual_loss(loss(), given, y) is MANUAL_LOSSES[loss]
    entropy = nn.CrossEntropyLoss()
    assert manual_loss(entropy, given, torch.zeros(4, dtype=torch.int64)) is not manual_loss(entropy, given, y)


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
    hold(model, nn.L1Loss(), [data(rows, dtype, inputs, outputs) for rows in (200, 8, 2)])


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


def test_whoever_listens_has_hooks() -> None:
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
        assert not chain.has_hooks
        handle = register()
        assert chain.has_hooks
        handle.remove()
    assert not chain.has_hooks


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


UNFIT = (torch.optim.Optimizer, torch.optim.SparseAdam, torch.optim.LBFGS, torch.optim.Muon)
OPTIMIZERS = [
    one
    for one in vars(torch.optim).values()
    if isinstance(one, type) and issubclass(one, torch.optim.Optimizer) and one not in UNFIT
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_optimizer_of_torchs_keeps_a_gradient_that_is_written_over(optimizer: Any) -> None:
    """Five steps with gradients in the same memory are five steps with fresh ones."""
    model, loss, (x, y) = network([nn.Tanh()]), nn.MSELoss(), data(8, torch.float32)
    other = copy.deepcopy(model)
    mine, theirs = optimizer(model.parameters(), lr=0.01), optimizer(other.parameters(), lr=0.01)
    chain = solo_chain(model, loss, mine)
    assert chain is not None
    for _ in range(5):
        mine.zero_grad()
        theirs.zero_grad()
        chain(x, y, 1.0)
        loss(other(x), y).backward()
        mine.step()
        theirs.step()
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)


def test_torchs_optimizers_are_found() -> None:
    """The list above is no empty one."""
    assert {torch.optim.SGD, torch.optim.Adam, torch.optim.Rprop} <= set(OPTIMIZERS)


SPEC = """
version: 1
name: chain
seed: 3
device: {type: cpu, threads: 1, precision: float64, compile: off}
data:
  formula:
    rows: 37
    inputs: {a: {Normal: [0, 1]}, b: {Normal: [0, 1]}}
    targets: {y: a * b}
  split: {val: 0.2}
model: [Linear: 8, GELU, Dropout: 0.2, {Linear: 6}, ReLU, Linear: 1]
loss: SmoothL1Loss
optimizer: {AdamW: {lr: 0.02, weight_decay: 0.1}}
train: {epochs: 6, batch_size: 8}
"""
JOBS = {
    "mini-batches": [],
    "full batch": ["train.batch_size=all"],
    "single precision": ["device.precision=float32"],
    "clipped": ["train.clip_norm=0.1", "train.clip_value=0.05"],
    "accumulated": ["train.accumulate=3"],
    "accumulated sums": ["train.accumulate=2", "loss={L1Loss: {reduction: sum}}", "train.clip_norm=1.0"],
    "frozen": ["model.freeze=['0.*']"],
    "initialized": ["model.init={'*.weight': xavier_uniform_, '*.bias': {constant_: 0.1}}"],
    "an average of weights": ["average={SWA: {start: 0.5}}"],
    "a moving average": ["average={EMA: {decay: 0.9}}"],
    "momentum": ["optimizer={SGD: {lr: 0.05, momentum: 0.9, nesterov: true}}"],
    "evaluated several times": ["optimizer={LBFGS: {lr: 0.3, max_iter: 3}}", "train.batch_size=all"],
    "of several groups": ["optimizer={AdamW: {lr: 0.02}, groups: [{params: bias, weight_decay: 0.0}]}"],
}


@pytest.mark.parametrize("job", JOBS)
def test_a_run_is_that_of_torchs_own_pass(job: str, fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, values on the val split and the final weights, bit for bit, whatever is done with the gradients."""
    calls = []
    passed = solo.SoloChain._without_autograd
    monkeypatch.setattr(solo.SoloChain, "_without_autograd", lambda *given: calls.append(1) or passed(*given))
    run = fit(SPEC, *JOBS[job])
    assert calls
    monkeypatch.setattr("annpipe.train.gears.eager.gradients.solo_chain", lambda *told: None)
    other = fit(SPEC, *JOBS[job])
    assert run.told.series == other.told.series
    for mine, theirs in zip(run.parameters, other.parameters, strict=True):
        assert torch.equal(mine, theirs)
