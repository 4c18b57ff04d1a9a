"""Dead and saturated units: for each activation layer, how steep it is at the inputs that it gets from some rows.

A unit whose activation is flat at a row passes no gradient for that row. A *dead* unit is exactly flat at all rows, as
a ReLU that is never positive: nothing in front of it learns through it. A unit is *saturated* at a row where its slope
is below 5 % of the steepest that its activation has, as tanh beyond ±2.2 and the sigmoid beyond ±4.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from annpipe.inspection.calls import ModuleCall, run_watched, watchable

ROWS_AT_ONCE = 1024
RANGE = torch.linspace(-10, 10, 2001, dtype=torch.float64)  # in which each activation is at its steepest
FLAT = 0.05  # the share of the steepest slope below which a unit counts as saturated
ALMOST = 0.95  # the share of rows at which a unit is flat or saturated that makes it remarkable

nn = torch.nn
ELEMENTWISE: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Hardshrink, nn.Softshrink, nn.Threshold),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softplus, nn.Softsign),
)
GATED = (nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell, nn.Transformer, nn.TransformerEncoderLayer)
CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


@dataclass(frozen=True)
class LayerUnits:
    """One activation layer: `flat` and `saturated` have for each unit the share of rows (and positions), (units,)."""

    name: str
    layer: str
    flat: torch.Tensor
    saturated: torch.Tensor

    @property
    def units(self) -> int:
        """How many units the layer has; a channel of an image is one."""
        return len(self.flat)

    @property
    def dead(self) -> list[int]:
        """The units that are exactly flat at all rows, from 0."""
        return (self.flat == 1).nonzero().flatten().tolist()

    @property
    def almost_dead(self) -> list[int]:
        """Those that are flat at 95 % of the rows or more, and not at all."""
        return ((self.flat >= ALMOST) & (self.flat < 1)).nonzero().flatten().tolist()

    @property
    def always_saturated(self) -> list[int]:
        """Those that are saturated at 95 % of the rows or more, and not dead."""
        return ((self.saturated >= ALMOST) & (self.flat < 1)).nonzero().flatten().tolist()


@dataclass(frozen=True)
class Units:
    """The activation layers in the order in which they run, and the layers whose inner activations cannot be read."""

    layers: tuple[LayerUnits, ...]
    closed: tuple[str, ...] = ()


@dataclass
class _Tally:
    """Counts for one layer over blocks of rows; `n` are the rows times the positions of each."""

    layer: str
    flat: torch.Tensor
    saturated: torch.Tensor
    n: int = 0


def look_at_units(network: nn.Module, x: torch.Tensor) -> Units:
    """The units of the network for some rows, in evaluation mode; `x` is (rows, …) as the network takes it."""
    tallies: dict[str, _Tally] = {}
    channels_first: bool | None = None

    def on_call(call: ModuleCall) -> None:
        nonlocal channels_first
        if isinstance(call.module, ELEMENTWISE) and call.input.ndim > 1:
            _count(tallies, call, channels_first)
        elif call.is_inner and next(call.module.parameters(), None) is not None:
            channels_first = isinstance(call.module, CHANNELS_FIRST)

    network = watchable(network)
    with torch.no_grad():
        for block in torch.split(x, ROWS_AT_ONCE):
            channels_first = None
            run_watched(network, block, on_call)
    layers = [LayerUnits(name, t.layer, t.flat / t.n, t.saturated / t.n) for name, t in tallies.items()]
    gated = [(name, type(module).__name__) for name, module in network.named_modules() if isinstance(module, GATED)]
    return Units(tuple(layers), tuple(" ".join(words) for words in gated))


def _count(tallies: dict[str, _Tally], call: ModuleCall, channels_first: bool | None) -> None:
    """Adds the slopes of one call; a layer that is called at several places counts them all."""
    z = call.input
    by_channel = z.ndim > 3 if channels_first is None else channels_first
    unit_dim = 1 if by_channel else z.ndim - 1
    slopes = _slopes(call.module, z).abs().movedim(unit_dim, 0).flatten(1)  # (units, rows * positions)
    steepest = _slopes(call.module, RANGE.to(z.dtype)[:, None].repeat(1, z.shape[1])).abs().max()
    flat, saturated = (slopes == 0).sum(1), (slopes < FLAT * steepest).sum(1)
    if call.name not in tallies:
        tallies[call.name] = _Tally(type(call.module).__name__, torch.zeros_like(flat), torch.zeros_like(flat))
    tally = tallies[call.name]
    tally.flat, tally.saturated, tally.n = tally.flat + flat, tally.saturated + saturated, tally.n + slopes.shape[1]


def _slopes(module: nn.Module, z: torch.Tensor) -> torch.Tensor:
    """The derivative of an elementwise activation at each number of z."""
    with torch.enable_grad():
        at = z.detach().clone().requires_grad_()
        (slopes,) = torch.autograd.grad(module.forward(at).sum(), at)
    return slopes
