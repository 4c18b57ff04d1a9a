"""How does a step get its gradients? One forward and backward pass, or one a batch; then they are clipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from annpipe.plan.plan import Plan

Gradients = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""x, (rows, …), and y, (rows, …) -> the loss, detached; the gradients are then in the parameters."""


def gradients(
    plan: Plan, model: torch.nn.Module, loss: torch.nn.Module, parameters: Sequence[torch.nn.Parameter]
) -> Gradients:
    """The function that a plan asks for: whole or in batches, clipped or not."""

    def whole(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        value: torch.Tensor = loss(model(x), y)
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        return value.detach()

    size = plan.train.batch_size
    computed: Gradients = whole
    if plan.train.accumulate > 1 and size != "all":
        computed = _in_batches(model, loss, parameters, size, is_sum=plan.loss.options.get("reduction") == "sum")
    if plan.train.clip_norm is None and plan.train.clip_value is None:
        return computed
    return _clipped(computed, parameters, plan.train.clip_norm, plan.train.clip_value)


def _in_batches(
    model: torch.nn.Module,
    loss: torch.nn.Module,
    parameters: Sequence[torch.nn.Parameter],
    size: int,
    *,
    is_sum: bool,
) -> Gradients:
    """Batch after batch: a mean over all rows is the mean of the batches' means, each weighted by its rows."""

    def accumulated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        values = []
        for x_batch, y_batch in zip(torch.split(x, size), torch.split(y, size), strict=True):
            share = 1.0 if is_sum else len(x_batch) / len(x)
            value: torch.Tensor = loss(model(x_batch), y_batch) * share
            value.backward()  # type: ignore[no-untyped-call]  # torch's own
            values.append(value.detach())
        return torch.stack(values).sum()

    return accumulated


def _clipped(
    computed: Gradients, parameters: Sequence[torch.nn.Parameter], norm: float | None, value: float | None
) -> Gradients:
    def clipped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = computed(x, y)
        if value is not None:
            torch.nn.utils.clip_grad_value_(parameters, value)
        if norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, norm)
        return loss

    return clipped
