"""A table trained by hand with torch's own `TensorDataset`, `DataLoader(shuffle=True)` and plain Adam."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

THREADS = 2


class DataLoaderLoop:
    """`train(n)` takes n steps, over as many epochs as they need, and returns their losses."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch_size: int) -> None:
        self.loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True)
        self.batches = iter(self.loader)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 1),
        )
        self.loss = torch.nn.MSELoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def train(self, n_steps: int) -> list[float]:
        losses = []
        for _ in range(n_steps):
            x, y = next(self.batches, None) or self._begin_epoch()
            self.optimizer.zero_grad()
            loss = self.loss(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def _begin_epoch(self) -> list[torch.Tensor]:
        self.batches = iter(self.loader)
        first: list[torch.Tensor] = next(self.batches)
        return first
