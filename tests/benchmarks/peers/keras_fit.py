"""The jobs in Keras on the backend that KERAS_BACKEND names, torch if left out; no bar, nothing written."""

from __future__ import annotations

import os
import time

import torch

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras  # it reads the variable as it is imported

BACKEND = keras.backend.backend()


class KerasFit:
    """`train(n)` trains n epochs and gives the seconds that `fit` took; `widths` are those of the layers."""

    def __init__(self, widths: list[int], loss: str, lr: float, x: torch.Tensor, y: torch.Tensor, batch: int) -> None:
        self.x, self.y, self.batch = x.numpy(), y.numpy(), min(batch, len(x))
        layers = [keras.layers.Dense(width, activation="relu") for width in widths[:-1]]
        self.model = keras.Sequential([keras.Input((x.shape[1],)), *layers, keras.layers.Dense(widths[-1])])
        self.model.compile(optimizer=keras.optimizers.Adam(lr), loss=loss)

    def train(self, epochs: int) -> float:
        begin = time.perf_counter()
        shuffle = self.batch < len(self.x)
        self.model.fit(self.x, self.y, batch_size=self.batch, epochs=epochs, shuffle=shuffle, verbose=0)
        return time.perf_counter() - begin
