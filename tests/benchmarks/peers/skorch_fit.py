"""The jobs in skorch with its leanest settings: no callback, no validation split, no printing."""

from __future__ import annotations

import time

import torch
from skorch import NeuralNet


class SkorchFit:
    """`train(n)` trains n epochs and gives the seconds that `partial_fit` took."""

    def __init__(
        self, network: torch.nn.Module, loss: torch.nn.Module, lr: float, x: torch.Tensor, y: torch.Tensor, batch: int
    ) -> None:
        self.x, self.y = x, y
        self.net = NeuralNet(
            network,
            criterion=loss,
            optimizer=torch.optim.Adam,
            lr=lr,
            batch_size=-1 if batch >= len(x) else batch,
            iterator_train__shuffle=batch < len(x),
            train_split=None,
            callbacks="disable",
            verbose=0,
        )
        self.net.initialize()

    def train(self, epochs: int) -> float:
        begin = time.perf_counter()
        self.net.partial_fit(self.x, self.y, epochs=epochs)
        return time.perf_counter() - begin
