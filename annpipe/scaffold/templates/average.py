"""An average of the parameters, which is evaluated and saved."""

import torch
from torch.optim.swa_utils import AveragedModel

from annpipe import average


@average
class PolynomialDecay(AveragedModel):
    """An average in which late parameters weigh more, the more the larger `eta` (Shamir and Zhang, arXiv:1212.1824)."""

    def __init__(self, model: torch.nn.Module, eta: float = 3.0) -> None:
        def mean(averaged: torch.Tensor, value: torch.Tensor, taken: torch.Tensor | int) -> torch.Tensor:
            return averaged + (value - averaged) * (eta + 1) / (taken + 1 + eta)

        super().__init__(model, avg_fn=mean)
