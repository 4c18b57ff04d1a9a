"""Computes the gradients of a step: one forward and backward pass, or one for each batch; then they are clipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from annpipe.plan.plan import Plan
from annpipe.train.accumulation import step_batches
from annpipe.train.clipping import clip_gradients
from annpipe.train.divisors import Terms, compares_labels, is_sum, undivided
from annpipe.train.gears.manual.chain import solo_chain
from annpipe.train.parts import Parts

Gradients = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""x, (rows, …), and y, (rows, …) -> the loss, (), or with terms their values and divisors, (2K,), detached; the
gradients are then in the parameters."""
Adding = Callable[[torch.Tensor, torch.Tensor, float | torch.Tensor], torch.Tensor]
"""x, y and a scale -> the loss times the scale, detached; its gradients are added to those in the parameters."""
AddingTerms = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""x, y and the divisors of the whole step, (K,), where these rows are a part of it -> what they add to the values of
its terms, (K,), detached; their gradients are added to those in the parameters."""


def grad_scaler(plan: Plan, device: torch.device) -> torch.amp.GradScaler | None:
    """What keeps small gradients from vanishing in half precision: the loss is scaled up, the gradients down again."""
    return torch.amp.GradScaler(device.type) if plan.device.autocast == "float16" else None


def gradients(
    plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None, terms: Terms | None = None
) -> Gradients:
    """The function that a plan asks for: whole or in batches, in mixed precision or not, clipped or not.

    `terms` are those of the loss, where batches cannot be put together by their rows.
    """
    parameters = [parameter for parameter in parts.parameters if parameter.requires_grad]
    if terms is not None:
        compute = _by_terms(plan, parts, device, scaler, terms)
    else:
        compute = _by_rows(plan, _adding(plan, parts, device, scaler), parameters, is_sum=is_sum(plan, parts.loss))
    if scaler is not None:
        compute = _unscaled(compute, scaler, parts.optimizer)
    if not plan.train.clips:
        return compute

    def clipped(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = compute(x, y)
        clip_gradients(parameters, plan.train)
        return loss

    return clipped


def _by_rows(plan: Plan, add: Adding, parameters: list[torch.nn.Parameter], *, is_sum: bool) -> Gradients:
    size = plan.train.accumulated_size

    def whole(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        return add(x, y, 1.0)

    def accumulated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        assert size is not None
        for parameter in parameters:
            parameter.grad = None
        return torch.stack([add(*batch) for batch in step_batches(x, y, size, is_sum=is_sum)]).sum()

    return whole if size is None else accumulated


def _by_terms(
    plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None, terms: Terms
) -> Gradients:
    """Batch after batch: what each adds to a term is its numerator over the divisor of the whole step."""
    parameters = [parameter for parameter in parts.parameters if parameter.requires_grad]
    add, size = _adding_terms(plan, parts, device, scaler, terms), plan.train.accumulated_size

    def compute(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        divisors = terms.divisors(y)
        if size is None:
            return torch.cat([add(x, y, None), divisors])
        values = [add(x_batch, y_batch, divisors) for x_batch, y_batch, _ in step_batches(x, y, size)]
        return torch.cat([torch.stack(values).sum(0), divisors])

    return compute


def _adding_terms(
    plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None, terms: Terms
) -> AddingTerms:
    """A loss of torch's own as the only term may be passed without autograd."""
    if terms.is_alone and compares_labels(parts.loss):
        divided = _adding(plan, parts, device, scaler)
        summed = _adding(plan, replace(parts, loss=undivided(parts.loss)), device, scaler)

        def alone(x: torch.Tensor, y: torch.Tensor, divisors: torch.Tensor | None) -> torch.Tensor:
            value = divided(x, y, 1.0) if divisors is None else summed(x, y, divisors.reciprocal().squeeze(0))
            return value.unsqueeze(0)

        return alone

    def values(x: torch.Tensor, y: torch.Tensor, divisors: torch.Tensor | None) -> torch.Tensor:
        outputs = parts.model(x)
        return terms.values(outputs, y) if divisors is None else terms.numerators(outputs, y) / divisors

    return _by_autograd(_mixed(plan, device, values), scaler)


def _adding(plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None) -> Adding:
    """Without autograd where the model is a chain and has no hooks, else by torch's own pass over a graph."""
    model, loss = parts.model, parts.loss

    def scaled(x: torch.Tensor, y: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = loss(model(x), y)
        return value if isinstance(scale, float) and scale == 1.0 else value * scale

    by_autograd = _by_autograd(_mixed(plan, device, scaled), scaler)
    is_mixed = plan.device.autocast != "off"
    chain = None if is_mixed or device.type != "cpu" else solo_chain(parts.model, parts.loss, parts.optimizer)
    if chain is None:
        return by_autograd

    def add(x: torch.Tensor, y: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
        return by_autograd(x, y, scale) if chain.has_hooks else chain(x, y, scale)

    return add


def _by_autograd(
    compute: Callable[..., torch.Tensor], scaler: torch.amp.GradScaler | None
) -> Callable[..., torch.Tensor]:
    """What computes a loss, (), or terms of one, (K,) -> what adds the gradients of their sum, too."""

    def by_autograd(x: torch.Tensor, y: torch.Tensor, how: Any) -> torch.Tensor:
        value = compute(x, y, how)
        total = value.sum() if value.ndim else value
        scaled: Any = scaler.scale(total) if scaler else total
        scaled.backward()
        return value.detach()

    return by_autograd


def _mixed(plan: Plan, device: torch.device, compute: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The same in the precision that the plan asks for."""
    if plan.device.autocast == "off":
        return compute
    dtype = getattr(torch, plan.device.autocast)

    def mixed(x: torch.Tensor, y: torch.Tensor, how: Any) -> torch.Tensor:
        with torch.autocast(device.type, dtype):
            return compute(x, y, how)

    return mixed


def _unscaled(compute: Gradients, scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> Gradients:
    def unscaled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = compute(x, y)
        scaler.unscale_(optimizer)
        return loss

    return unscaled
