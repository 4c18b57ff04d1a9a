"""The table of torch's classes is measured with the installed torch, and no class of torch is passed over."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import vmap

from annpipe.backend.torch_classes import TORCH_CLASSES, ClassFacts, facts_of
from annpipe.train.divisors import compares_labels
from annpipe.train.gears.manual.layers import MANUAL_LAYERS
from annpipe.train.gears.manual.losses import MANUAL_LOSSES
from annpipe.train.gears.stacked.optimizers import STACKED_OPTIMIZERS

ARGUMENTS: dict[type, tuple[Any, ...]] = {nn.Threshold: (0.1, 0.0)}
NOT_ELEMENTWISE = {
    **dict.fromkeys(("GLU", "Softmax", "Softmax2d", "LogSoftmax", "Softmin"), "mixes the numbers of a row"),
    "PReLU": "has a parameter",
    "RReLU": "draws",
    "MultiheadAttention": "attends",
}
"""The classes of `torch.nn.modules.activation` that are not in the table, each with why."""
NOT_POINTWISE = {
    **dict.fromkeys(("CrossEntropyLoss", "LinearCrossEntropyLoss", "NLLLoss", "NLLLoss2d", "CTCLoss"), "labels"),
    **dict.fromkeys(("MultiMarginLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss"), "one number a row"),
    **dict.fromkeys(("CosineEmbeddingLoss", "MarginRankingLoss", "GaussianNLLLoss"), "three inputs"),
    **dict.fromkeys(("TripletMarginLoss", "TripletMarginWithDistanceLoss"), "three inputs"),
    "HingeEmbeddingLoss": "targets are 1 and -1",
}
"""The classes of `torch.nn.modules.loss` that are no pointwise losses of the table, each with why."""


def classes_of(module: Any, base: type) -> dict[str, type]:
    """The public classes that a module of torch defines."""
    named = inspect.getmembers(module, inspect.isclass)
    own = {name: kind for name, kind in named if issubclass(kind, base) and kind.__module__ == module.__name__}
    return {name: kind for name, kind in own.items() if not name.startswith("_")}


def made(kind: type, **options: Any) -> Any:
    return kind(*ARGUMENTS.get(kind, ()), **options)


def having(fact: str) -> list[type]:
    return [kind for kind, facts in TORCH_CLASSES.items() if getattr(facts, fact)]


def numbers(seed: int = 0) -> torch.Tensor:
    """Between 0 and 1, so that every loss takes them."""
    return torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 0.98 + 0.01


def test_every_activation_of_torch_is_in_the_table_or_named_here() -> None:
    """A class that a new torch brings fails here until it is measured."""
    found = set(classes_of(nn.modules.activation, nn.Module))
    known = {kind.__name__ for kind in having("is_elementwise")} - {"Identity"}
    assert found - known == set(NOT_ELEMENTWISE)
    assert known <= found


def test_every_loss_of_torch_is_in_the_table_or_named_here() -> None:
    """As activations."""
    found = set(classes_of(nn.modules.loss, nn.Module))
    assert found - {kind.__name__ for kind in having("is_pointwise")} == set(NOT_POINTWISE)


@pytest.mark.parametrize("kind", having("is_elementwise"))
def test_elementwise_layers_act_on_each_number_alone(kind: type) -> None:
    """In any order and shape, without parameters and without a draw."""
    layer, x = made(kind).train(), numbers() * 8 - 4
    drawn = torch.get_rng_state()
    output = layer(x)
    order = torch.randperm(x.numel(), generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not layer.state_dict()
    close = {"rtol": 1e-12, "atol": 1e-15}  # vectors and what is left over of them are computed apart
    torch.testing.assert_close(layer(x.flatten()[order]), output.flatten()[order], **close)
    torch.testing.assert_close(torch.stack([layer(row) for row in x]), output, **close)


@pytest.mark.parametrize("name", [name for name, why in NOT_ELEMENTWISE.items() if why == "mixes the numbers of a row"])
def test_other_activations_mix_numbers(name: str) -> None:
    """Softmax and its kin: another number of the row changes the first."""
    layer = getattr(nn, name)(*(() if name in ("GLU", "Softmax2d") else (-1,)))
    x = numbers().reshape(1, 6, 2, 2)
    other = x.clone()
    other[..., -1] += 1
    other[:, 1:] += 1
    assert not torch.equal(layer(x).flatten()[0], layer(other).flatten()[0])


@pytest.mark.filterwarnings("ignore:reduction")  # torch would rather have a mean over rows of KLDivLoss
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", having("is_pointwise"))
def test_pointwise_losses_are_the_mean_or_sum_of_a_number_for_each(kind: type, reduction: str) -> None:
    """Unreduced they give one for each number, and each depends on its own alone."""
    x, y = numbers(), numbers(1)
    each = made(kind, reduction="none")(x, y)
    assert each.shape == x.shape
    torch.testing.assert_close(made(kind, reduction=reduction)(x, y), getattr(each, reduction)())
    torch.testing.assert_close(made(kind, reduction="none")(x.flatten(), y.flatten()), each.flatten())


@pytest.mark.parametrize("kind", having("is_batched"))
def test_batched_losses_run_under_vmap(kind: type) -> None:
    """Two models at once give what each gives."""
    x = torch.stack([numbers(), numbers(2)])
    y = torch.tensor([[0, 1, 2, 3, 0, 1], [3, 2, 1, 0, 1, 0]]) if TORCH_CLASSES[kind].compares_labels else x.flip(0)
    loss = made(kind)
    both = torch.stack([loss(x[member], y[member]) for member in range(2)])
    torch.testing.assert_close(vmap(loss)(x, y), both)


def test_losses_of_labels_divide_by_what_labels_weigh() -> None:
    """Their mean over two parts is not the mean of the parts' means, where these weigh differently."""
    assert having("compares_labels") == [nn.CrossEntropyLoss, nn.NLLLoss]
    for kind in having("compares_labels"):
        loss = made(kind, weight=torch.tensor([1.0, 9.0, 1.0, 1.0], dtype=torch.float64))
        x, y = numbers(), torch.tensor([1, 1, 1, 0, 0, 0])
        parts = [loss(x[:3], y[:3]), loss(x[3:], y[3:])]
        assert not torch.isclose(loss(x, y), sum(parts) / 2)
        torch.testing.assert_close(loss(x, y), (parts[0] * 27 + parts[1] * 3) / 30)
        assert compares_labels(loss)


def test_the_kernels_are_those_that_the_table_promises() -> None:
    """What is said to be written without autograd is, and stacked optimizers have their formulas."""
    manual_losses = {*MANUAL_LOSSES, nn.CrossEntropyLoss}
    assert {nn.Linear, *MANUAL_LAYERS, *manual_losses} == set(having("is_manual"))
    assert set(STACKED_OPTIMIZERS) == set(having("is_stacked"))


@pytest.mark.parametrize("kind", having("is_stacked"))
def test_fused_adam_is_what_torch_s_optimizer_calls(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam and AdamW, and no other: torch calls its fused kernel for them."""
    calls = list[object]()
    for name in ("_fused_adam_", "_fused_adamw_"):
        kernel = getattr(torch, name)

        def count(*given: Any, kernel: Any = kernel, **options: Any) -> Any:
            calls.append(kernel)
            return kernel(*given, **options)

        monkeypatch.setattr(torch, name, count)
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    options = {"fused": True} if "fused" in inspect.signature(kind).parameters else {}
    kind([parameter], lr=0.1, **options).step()
    assert bool(calls) == TORCH_CLASSES[kind].is_fused_adam


def test_nothing_is_known_of_a_subclass() -> None:
    """It may compute anything."""

    class Mine(nn.ReLU):
        pass

    assert facts_of(Mine()) == ClassFacts()
    assert facts_of(nn.ReLU()).is_elementwise
