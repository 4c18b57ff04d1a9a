"""How does a step get its gradients? One forward and backward pass, or one a batch; then they are clipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from annpipe.plan.losses import leaves
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts
from annpipe.train.solo_chain import solo_chain

Gradients = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""x, (rows, …), and y, (rows, …) -> the loss, detached; the gradients are then in the parameters."""
Adding = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""x, y and a share -> the loss times the share, detached; its gradients are added to those in the parameters."""


def grad_scaler(plan: Plan, device: torch.device) -> torch.amp.GradScaler | None:
    """What keeps small gradients from vanishing in half precision: the loss is scaled up, the gradients down again."""
    return torch.amp.GradScaler(device.type) if plan.device.autocast == "float16" else None


def gradients(plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None) -> Gradients:
    """The function that a plan asks for: whole or in batches, in mixed precision or not, clipped or not."""
    parameters = [parameter for parameter in parts.parameters if parameter.requires_grad]
    add = _adding(plan, parts, device, scaler)

    def whole(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        return add(x, y, 1.0)

    size = plan.train.batch_size
    computed: Gradients = whole
    if plan.train.accumulate > 1 and size != "all":
        is_sum = all(leaf.options.get("reduction") == "sum" for leaf in leaves(plan.loss))
        computed = _in_batches(add, parameters, size, is_sum=is_sum)
    if scaler is not None:
        computed = _unscaled(computed, scaler, parts.optimizer)
    if plan.train.clip_norm is None and plan.train.clip_value is None:
        return computed
    return _clipped(computed, parameters, plan.train.clip_norm, plan.train.clip_value)


def _adding(plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None) -> Adding:
    """By hand where the model is a chain and nobody listens, else by torch's own pass over a graph."""
    compute = _forward(plan, parts, device)

    def by_graph(x: torch.Tensor, y: torch.Tensor, share: float) -> torch.Tensor:
        value = compute(x, y) if share == 1.0 else compute(x, y) * share
        scaled: Any = scaler.scale(value) if scaler else value
        scaled.backward()
        return value.detach()

    is_mixed = plan.device.autocast != "off"
    chain = None if is_mixed or device.type != "cpu" else solo_chain(parts.model, parts.loss, parts.optimizer)
    if chain is None:
        return by_graph

    def by_hand(x: torch.Tensor, y: torch.Tensor, share: float) -> torch.Tensor:
        return by_graph(x, y, share) if chain.is_heard else chain(x, y, share)

    return by_hand


def _forward(plan: Plan, parts: Parts, device: torch.device) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """x and y -> the loss, with its graph."""
    model, loss = parts.model, parts.loss

    def plain(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = loss(model(x), y)
        return value

    if plan.device.autocast == "off":
        return plain
    dtype = getattr(torch, plan.device.autocast)

    def mixed(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype):
            return plain(x, y)

    return mixed


def _in_batches(
    add: Adding,
    parameters: list[torch.nn.Parameter],
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
            values.append(add(x_batch, y_batch, share))
        return torch.stack(values).sum()

    return accumulated


def _unscaled(computed: Gradients, scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> Gradients:
    def unscaled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = computed(x, y)
        scaler.unscale_(optimizer)
        return loss

    return unscaled


def _clipped(
    computed: Gradients, parameters: list[torch.nn.Parameter], norm: float | None, value: float | None
) -> Gradients:
    def clipped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = computed(x, y)
        if value is not None:
            torch.nn.utils.clip_grad_value_(parameters, value)
        if norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, norm)
        return loss

    return clipped
