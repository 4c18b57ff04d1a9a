"""The jobs in Lightning with its leanest settings: `barebones`, without logger, bar, checkpoints and checks."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset


class Module(lightning.LightningModule):
    """A network with its loss and Adam."""

    def __init__(self, network: torch.nn.Module, loss: torch.nn.Module, lr: float) -> None:
        super().__init__()
        self.network, self.loss, self.lr = network, loss, lr
        self.begin = self.seconds = 0.0

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        value: torch.Tensor = self.loss(self.network(batch[0]), batch[1])
        return value

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)

    def on_train_start(self) -> None:
        self.begin = time.perf_counter()

    def on_train_end(self) -> None:
        self.seconds = time.perf_counter() - self.begin


class LightningFit:
    """`train(n)` trains n epochs and gives the seconds between the hooks `on_train_start` and `on_train_end`.

    A full batch is handed over as it is, not gathered row by row.
    """

    def __init__(
        self, network: torch.nn.Module, loss: torch.nn.Module, lr: float, x: torch.Tensor, y: torch.Tensor, batch: int
    ) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        self.module = Module(network, loss, lr)
        whole = batch >= len(x)
        rows: Any = [[x, y]] if whole else TensorDataset(x, y)
        self.loader = DataLoader(rows, batch_size=None if whole else batch, shuffle=not whole)

    def train(self, epochs: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it advises more workers, which are slower here
            trainer = lightning.Trainer(max_epochs=epochs, barebones=True, accelerator="cpu", devices=1)
            trainer.fit(self.module, self.loader)
        return self.module.seconds
