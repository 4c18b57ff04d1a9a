"""The seed job written by hand in plain torch, recording nothing: `python bare_loop.py [EPOCHS]`.

Torch's defaults throughout: `optim.Adam`, `zero_grad`, `loss.item()` after each epoch; two threads.
"""

from __future__ import annotations

import resource
import sys
import time

import torch

THREADS = 2
EPOCHS = 10_000


def make_data() -> tuple[torch.Tensor, torch.Tensor]:
    """x (1000, 1) uniform in [-15, 15] and y (1000, 1) = x² + 3 with noise of standard deviation 5."""
    x = torch.empty(1000, 1).uniform_(-15, 15)
    return x, x**2 + 3 + 5 * torch.randn(1000, 1)


def make_model() -> torch.nn.Sequential:
    """The MLP 1-100-10-6-1 with ReLU."""
    return torch.nn.Sequential(
        torch.nn.Linear(1, 100),
        torch.nn.ReLU(),
        torch.nn.Linear(100, 10),
        torch.nn.ReLU(),
        torch.nn.Linear(10, 6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 1),
    )


class BareLoop:
    """Model, loss and optimizer; `train(n)` runs n epochs and returns their losses."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y
        self.model = make_model()
        self.loss = torch.nn.L1Loss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-4)

    def train(self, epochs: int) -> list[float]:
        losses = []
        for _ in range(epochs):
            self.optimizer.zero_grad()
            loss = self.loss(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS
    job = BareLoop(*make_data())
    begin = time.perf_counter()
    losses = job.train(epochs)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"loss {losses[-1]:.4f}  loop_seconds {seconds:.3f}  peak_kib {peak}")
