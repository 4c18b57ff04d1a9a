"""An optimizer whose parameters have another name than annpipe gives them."""

import torch

from annpipe import optimizer


@optimizer
class Descent(torch.optim.Optimizer):
    def __init__(self, lr: float = 0.1, *, parameters: list[float]) -> None:
        super().__init__(parameters, {"lr": lr})
