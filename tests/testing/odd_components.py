"""Components of one's own of many sorts, without a word about the spec that they need: annpipe finds one for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from annpipe import (
    Dataset,
    MetricKey,
    Stack,
    data,
    distribution,
    initializer,
    layer,
    loss,
    metric,
    scheduler,
    transform,
)


@layer
class ConvBlock(torch.nn.Module):
    """`channels` filters."""

    def __init__(self, channels: int = 4, *, in_channels: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


@layer
class Block(torch.nn.Module):
    """Runs `inside` twice with dropout `p`."""

    def __init__(self, inside: Stack, p: float = 0.5) -> None:
        super().__init__()
        self.inside, self.drop = inside, torch.nn.Dropout(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.inside(x))


@layer
class Attend(torch.nn.Module):
    """Attention with `heads` heads."""

    def __init__(self, heads: int = 2, *, d_model: int) -> None:
        super().__init__()
        self.a = torch.nn.MultiheadAttention(d_model, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 3:
            raise ValueError("sequences are needed")
        return self.a(x, x, x, need_weights=False)[0]


@layer
class Tokens(torch.nn.Module):
    """The mean of vectors, of which there are `n`."""

    def __init__(self, n: int = 10) -> None:
        super().__init__()
        self.e = torch.nn.Embedding(n, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.e(x).mean(1)


@loss(target="classes")
class Focal(torch.nn.Module):
    """Cross entropy that counts easy rows less, the less the larger `gamma`."""

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logp = prediction.log_softmax(1).gather(1, target[:, None])
        return -((1 - logp.exp()) ** self.gamma * logp).mean()


@metric(classes=True)
class Top2:
    """The share of rows whose label is among the two best scores."""

    higher_is_better = True

    def __init__(self) -> None:
        self.hits, self.n = 0.0, 0

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        self.hits += float((prediction.topk(2).indices == target[:, None]).any(1).sum())
        self.n += len(target)

    def compute(self) -> float:
        return self.hits / self.n if self.n else float("nan")


@scheduler(steps_on="metric")
class Halve(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """Halves where `monitor` stays for `wait` looks."""

    def __init__(self, optimizer: torch.optim.Optimizer, wait: int = 2, monitor: MetricKey | None = None) -> None:
        super().__init__(optimizer, factor=0.5, patience=wait)


@transform(takes="category")
class Frequency(torch.nn.Module):
    """The share of the rows that have the category."""

    shares: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shares", torch.zeros(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        self.shares = torch.bincount(x[:, 0].nan_to_num(0).long()).double() / len(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shares[x[:, 0].nan_to_num(0).long().clamp(0, len(self.shares) - 1)][:, None]


@initializer
def noisy_(tensor: torch.Tensor, scale: float = 1.0, *, generator: torch.Generator) -> None:
    """Normal numbers of a standard deviation of `scale`."""
    with torch.no_grad():
        tensor.normal_(generator=generator).mul_(scale)


@data
def pictures(rows: int = 20, *, generator: torch.Generator) -> Dataset:
    """`rows` pictures."""
    x = torch.rand(rows, 1, 4, 4, generator=generator, dtype=torch.float64)
    return Dataset({"x": x}, {"label": (x.mean((1, 2, 3)) > 0.5).long()})


@data
def labelled(rows: int = 20, *, generator: torch.Generator) -> Dataset:
    """`rows` numbers, with a label."""
    x = torch.rand(rows, generator=generator, dtype=torch.float64)
    return Dataset({"x": x}, {"label": (x > 0.5).long()})


@distribution
class NumpyDraw(torch.distributions.Distribution):
    """Draws from NumPy's generator, and not from torch's."""

    def __init__(self) -> None:
        super().__init__(torch.Size(), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> torch.Tensor:
        return torch.as_tensor(np.random.random_sample(tuple(sample_shape)))  # fault


@layer
class Reseeds(torch.nn.Module):
    """A linear layer that seeds torch's generator."""

    def __init__(self, *, in_features: int) -> None:
        super().__init__()
        torch.manual_seed(0)  # fault
        self.l = torch.nn.Linear(in_features, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x)
