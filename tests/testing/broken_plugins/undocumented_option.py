"""Fault: no word says what `q` is."""

import torch

from annpipe import scheduler


@scheduler
class Falling(torch.optim.lr_scheduler.LRScheduler):
    """The rate falls with each step."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        q: float = 0.9,  # fault
    ) -> None:
        self.q = q
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        return [float(rate) * self.q**self.last_epoch for rate in self.base_lrs]
