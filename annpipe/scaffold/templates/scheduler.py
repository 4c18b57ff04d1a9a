"""A scheduler: the learning rate over the run."""

import torch

from annpipe import scheduler


@scheduler
class InverseRoot(torch.optim.lr_scheduler.LRScheduler):
    """The rate falls as 1 / sqrt(1 + step / slow)."""

    def __init__(self, optimizer: torch.optim.Optimizer, slow: float = 10.0) -> None:
        self.slow = slow
        super().__init__(optimizer)

    def get_lr(self) -> list[float | torch.Tensor]:
        return [float(rate) / (1 + self.last_epoch / self.slow) ** 0.5 for rate in self.base_lrs]
