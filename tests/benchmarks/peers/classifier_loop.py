"""A small classifier by hand: 2-64-64-2 over 2000 rows in batches of 64, `DataLoader(shuffle=True)` and plain Adam."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset


class ClassifierLoop:
    """`train(n)` trains n epochs and returns the mean loss of each."""

    def __init__(self, rows: int = 2000, batch_size: int = 64) -> None:
        angle, label = torch.rand(rows) * torch.pi, torch.arange(rows) % 2
        half = torch.stack([angle.cos(), angle.sin()], 1)
        x = torch.where(label[:, None] == 0, half, torch.tensor([1.0, 0.5]) - half) + 0.2 * torch.randn(rows, 2)
        self.loader = DataLoader(TensorDataset(x, label), batch_size=batch_size, shuffle=True)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
        )
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def train(self, epochs: int) -> list[float]:
        means = []
        for _ in range(epochs):
            total = 0.0
            for x, y in self.loader:
                self.optimizer.zero_grad()
                loss = self.loss(self.model(x), y)
                loss.backward()
                self.optimizer.step()
                total += loss.item()
            means.append(total / len(self.loader))
        return means
