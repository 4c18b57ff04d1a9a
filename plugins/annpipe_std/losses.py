"""Losses that combine other losses, and losses that take several outputs for one target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import Loss, LossTerm, OptionError, did_you_mean, loss
from annpipe_std.output_roles import gaussian_outputs, in_order, quantile_outputs

Reduction = Annotated[Literal["mean", "sum"], Field(description="how the losses of the rows become one number")]


@loss(name="weighted_sum")
class WeightedSum(torch.nn.Module):
    """The sum of several losses on the same predictions and targets, each with its weight."""

    def __init__(
        self,
        losses: Annotated[list[Loss], Field(description="The losses; all compare with values, or all with classes.")],
        weights: Annotated[
            list[float] | None, Field(description="A factor for each of them; null: 1 for each.")
        ] = None,
    ) -> None:
        super().__init__()
        if not losses:
            raise OptionError("losses", "there is no loss in it", help="as in `losses: [MSELoss, L1Loss]`")
        if weights is not None and len(weights) != len(losses):
            message = f"there are {len(losses)} losses and {len(weights)} weights"
            raise OptionError("weights", message, help="give one for each loss")
        self.losses = torch.nn.ModuleList(losses)  # type: ignore[arg-type]  # a loss is a module: its mark says so
        self.weights = weights if weights is not None else [1.0] * len(losses)

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """**Shape:** what each of the losses takes; a scalar comes out."""
        values = [
            weight * criterion(prediction, target) for weight, criterion in zip(self.weights, self.losses, strict=True)
        ]
        return torch.stack(values).sum()

    def terms(self) -> list[LossTerm]:
        """Each loss with its weight."""
        return [LossTerm(criterion, weight) for weight, criterion in zip(self.weights, self.losses, strict=True)]


@loss(name="per_target")
class PerTarget(torch.nn.Module):
    """A loss for each target by its name, as MSELoss for an amount and BCEWithLogitsLoss for a yes or no."""

    def __init__(
        self,
        losses: Annotated[dict[str, Loss], Field(description="For each target its loss.")],
        weights: Annotated[
            dict[str, float] | None, Field(description="The factor of a target's loss; 1 where none is given.")
        ] = None,
        *,
        target_names: list[str],
    ) -> None:
        super().__init__()
        for option, names in (("losses", losses), ("weights", weights or {})):
            unknown = [name for name in names if name not in target_names]
            if unknown:
                message = f"there is no target '{unknown[0]}'"
                near = did_you_mean(unknown[0], target_names)
                raise OptionError(option, message, help=near or f"the targets are {', '.join(target_names)}")
        without = [name for name in target_names if name not in losses]
        if without:
            message = f"the target '{without[0]}' has no loss"
            raise OptionError("losses", message, help=f"give one for each of {', '.join(target_names)}")
        self.losses = torch.nn.ModuleList(losses[name] for name in target_names)  # type: ignore[misc]  # as above
        self.weights = [(weights or {}).get(name, 1.0) for name in target_names]

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """**Shape:** prediction and target (rows, targets); each loss sees its column as (rows, 1)."""
        columns = zip(self.losses, torch.split(prediction, 1, 1), torch.split(target, 1, 1), strict=True)
        values = [weight * criterion(*pair) for weight, (criterion, *pair) in zip(self.weights, columns, strict=True)]
        return torch.stack(values).sum()

    def terms(self) -> list[LossTerm]:
        """Each target's loss with its weight, on its own column."""
        weighted = enumerate(zip(self.losses, self.weights, strict=True))
        return [LossTerm(criterion, weight, _column(index), _column(index)) for index, (criterion, weight) in weighted]


def _column(index: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """(rows, targets) -> (rows, 1)."""
    return lambda tensor: tensor[:, index : index + 1]


@loss(outputs=gaussian_outputs)
class GaussianNLLLoss(torch.nn.GaussianNLLLoss):
    """The negative log-likelihood of a normal distribution (Nix and Weigend, 1994).

    It takes two outputs for each target, the mean and the variance, as the layer `mean_variance` makes them.
    """

    def __init__(
        self,
        full: Annotated[bool, Field(description="whether the constant term is included")] = False,
        eps: Annotated[float, Field(gt=0, description="the least variance")] = 1e-6,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(full=full, eps=eps, reduction=reduction)

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # the variance is among the outputs
        """**Shape:** (rows, 2 · targets), mean and variance of each target in turn; (rows, targets); a scalar."""
        means, variances = prediction[:, 0::2], prediction[:, 1::2]
        return super().forward(means, target, variances)


@loss(outputs=quantile_outputs)
class QuantileLoss(torch.nn.Module):
    """The pinball loss of one quantile or of several ascending ones (Koenker and Bassett, 1978).

    Several take an output each, for each target, as the layer `quantiles` makes them: they never cross. The one nearest
    to the median is the prediction that metrics and figures see.
    """

    def __init__(
        self,
        quantiles: Annotated[float | list[float], Field(description="a quantile between 0 and 1, or several")] = 0.5,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.levels: torch.Tensor
        self.register_buffer("levels", torch.tensor(in_order(quantiles), dtype=torch.float64), persistent=False)
        self.reduction = reduction

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, quantiles · targets), the quantiles of each target in turn; (rows, targets); a scalar."""
        levels = self.levels.to(prediction.dtype)
        missing = target[..., None] - prediction.reshape(*target.shape, len(levels))  # (rows, targets, quantiles)
        losses = torch.maximum(levels * missing, (levels - 1) * missing)
        return losses.sum() if self.reduction == "sum" else losses.mean()
