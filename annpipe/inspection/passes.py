"""The forward and backward pass of one row, layer by layer, in double precision, checked by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from annpipe.errors import DataError
from annpipe.inspection.calls import ModuleCall, run_watched, watchable

LARGE = 20_000  # numbers from which a network is checked at fewer of them
MOST_CHECKED, MOST_OF_LARGE = 2_000, 300  # numbers that are moved for the finite differences, two passes each
STEP = 1e-6  # by which a number is moved, times its size where that is above 1
CONTAINERS = (torch.nn.Sequential,)  # their output is that of the last layer in them
KINK = 1e-3  # the difference of the slopes on both sides, as a share of the larger, from which there is a kink


@dataclass(frozen=True)
class LayerPass:
    """One layer's part in both passes, without the dimension of rows.

    `gradient` is that of the loss by the output, None where none flows; `parameters` has the values and the gradients
    of each parameter by its own name.
    """

    name: str
    layer: str
    input: torch.Tensor
    output: torch.Tensor
    gradient: torch.Tensor | None
    parameters: dict[str, tuple[torch.Tensor, torch.Tensor | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Differences:
    """Gradients against central differences: the largest difference, and that as a share of the largest gradient.

    `checked` of `total` numbers were moved; `kinks` of these lie on a kink of the loss, which has no derivative there.
    """

    largest: float
    relative: float
    checked: int
    total: int
    kinks: int


@dataclass(frozen=True)
class RowPass:
    """Both passes of one row: the features, the layers in their order, and the loss.

    Where the row has no target, `loss_name` is None and `loss` the sum of the outputs, from which the backward pass
    then begins. `gradient` is that by the features, None where these are whole numbers.
    """

    features: torch.Tensor
    gradient: torch.Tensor | None
    layers: tuple[LayerPass, ...]
    loss_name: str | None
    target: torch.Tensor | None
    loss: float
    differences: Differences


def row_pass(
    network: torch.nn.Module, x: torch.Tensor, loss: torch.nn.Module | None = None, y: torch.Tensor | None = None
) -> RowPass:
    """The passes of a row, x (1, …), with its target as the loss takes it, y (1, …).

    The network and the loss are copied to double precision; their own parameters keep their gradients. Raises
    DataError where the network does not compute in it.
    """
    network, loss = _in_double(network), _in_double(loss) if loss is not None else None
    x = x.double().requires_grad_() if x.is_floating_point() else x
    y = y.double() if y is not None and y.is_floating_point() else y
    calls: list[ModuleCall] = []
    try:
        output = run_watched(network, x, lambda call: calls.append(_kept(call)))
    except RuntimeError as error:
        message = f"the network does not compute in double precision: {' '.join(str(error).split())[:200]}"
        raise DataError(
            message, "a layer of a plugin may have tensors that are no buffers; see `register_buffer`"
        ) from error
    value = output.sum() if loss is None else loss(output, y)
    if value.requires_grad:
        value.backward()

    def again() -> float:
        with torch.no_grad():
            result = network(x)
            return float((result.sum() if loss is None else loss(result, y)).item())

    return RowPass(
        features=x.detach()[0],
        gradient=None if x.grad is None else x.grad[0],
        layers=tuple(_layer_pass(call) for call in calls if call.is_inner or not isinstance(call.module, CONTAINERS)),
        loss_name=None if loss is None else type(loss).__name__,
        target=None if y is None else y[0],
        loss=value.item(),
        differences=finite_differences(again, _moved(network, loss, x)),
    )


def _in_double(module: torch.nn.Module) -> torch.nn.Module:
    whole = watchable(module).double()
    for parameter in whole.parameters():
        parameter.requires_grad_()  # also of what is frozen: it has a gradient as well
        parameter.grad = None
    return whole


def _kept(call: ModuleCall) -> ModuleCall:
    if call.output.requires_grad:
        call.output.retain_grad()
    return call


def _layer_pass(call: ModuleCall) -> LayerPass:
    parameters = {
        name: (parameter.detach(), parameter.grad)
        for name, parameter in call.module.named_parameters(recurse=call.is_inner)
    }
    gradient = call.output.grad if call.output.requires_grad else None
    return LayerPass(
        name=call.name,
        layer=type(call.module).__name__,
        input=call.input.detach()[0],
        output=call.output.detach()[0],
        gradient=None if gradient is None else gradient[0],
        parameters=parameters,
    )


def _moved(network: torch.nn.Module, loss: torch.nn.Module | None, x: torch.Tensor) -> list[torch.Tensor]:
    """What has a gradient, and can be moved: parameters and features."""
    tensors = [*network.parameters(), *(loss.parameters() if loss is not None else ())]
    return [tensor for tensor in [*tensors, x] if tensor.grad is not None]


def finite_differences(value: Callable[[], float], tensors: list[torch.Tensor]) -> Differences:
    """Holds the gradients of leaf tensors against central differences of `value`, which depends on them.

    Of many numbers some of each tensor are moved, at equal distances.
    """
    total = sum(tensor.numel() for tensor in tensors)
    fraction = min(1.0, (MOST_CHECKED if total < LARGE else MOST_OF_LARGE) / max(total, 1))
    largest = max((float(tensor.grad.abs().max()) for tensor in tensors if tensor.grad is not None), default=0.0)
    differences, checked, kinks = [0.0], 0, 0
    here = value()
    for tensor in tensors:
        assert tensor.grad is not None
        for position in _some(tensor.numel(), fraction):
            at = torch.unravel_index(torch.tensor(position), tensor.shape)
            gradient = tensor.grad[at].item()
            sides = _both_sides(value, tensor.detach(), at)
            checked += 1
            if sides.has_kink(here, gradient):
                kinks += 1
            else:
                differences.append(abs(sides.central - gradient))
    return Differences(max(differences), max(differences) / largest if largest else 0.0, checked, total, kinks)


def _some(n: int, fraction: float) -> Iterator[int]:
    """Positions at equal distances, at least one."""
    n_taken = max(1, round(n * fraction))
    yield from (number * n // n_taken for number in range(n_taken))


@dataclass(frozen=True)
class _Sides:
    """A value with one number a step lower, and a step higher."""

    before: float
    after: float
    step: float

    @property
    def central(self) -> float:
        return (self.after - self.before) / (2 * self.step)

    def has_kink(self, here: float, gradient: float) -> bool:
        """Whether the slopes on both sides differ by more than rounding and curvature, with the gradient in between."""
        left, right = sorted(((here - self.before) / self.step, (self.after - here) / self.step))
        rounding = 64 * torch.finfo(torch.float64).eps * max(abs(here), 1.0) / self.step
        apart = right - left > KINK * max(abs(left), abs(right)) + rounding
        return apart and left - rounding <= gradient <= right + rounding


def _both_sides(value: Callable[[], float], numbers: torch.Tensor, at: tuple[torch.Tensor, ...]) -> _Sides:
    """Moves one number, and puts it back."""
    kept = numbers[at].item()
    step = STEP * max(1.0, abs(kept))
    numbers[at] = kept - step
    before = value()
    numbers[at] = kept + step
    after = value()
    numbers[at] = kept
    return _Sides(before, after, step)
