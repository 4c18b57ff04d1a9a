"""How does a step get its gradients? One forward and backward pass, or one a batch; then they are clipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from annpipe.plan.plan import Plan
from annpipe.train.divisors import Terms, accumulates, compares_labels, is_sum, undivided
from annpipe.train.gears.manual.chain import solo_chain
from annpipe.train.parts import Parts

Gradients = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""x, (rows, …), and y, (rows, …) -> the loss, (), or with terms their values and divisors, (2K,), detached; the
gradients are then in the parameters."""
Adding = Callable[[torch.Tensor, torch.Tensor, float | torch.Tensor], torch.Tensor]
"""x, y and a share -> the loss times the share, detached; its gradients are added to those in the parameters."""
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
        computed = _by_terms(plan, parts, device, scaler, terms)
    else:
        computed = _by_rows(plan, _adding(plan, parts, device, scaler), parameters, is_sum=is_sum(plan, parts.loss))
    if scaler is not None:
        computed = _unscaled(computed, scaler, parts.optimizer)
    if plan.train.clip_norm is None and plan.train.clip_value is None:
        return computed
    return _clipped(computed, parameters, plan.train.clip_norm, plan.train.clip_value)


def _by_rows(plan: Plan, add: Adding, parameters: list[torch.nn.Parameter], *, is_sum: bool) -> Gradients:
    def whole(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        return add(x, y, 1.0)

    size = plan.train.batch_size
    if not accumulates(plan) or size == "all":
        return whole
    return _in_batches(add, parameters, size, is_sum=is_sum)


def _by_terms(
    plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None, terms: Terms
) -> Gradients:
    """Batch after batch: what each adds to a term is its numerator over the divisor of the whole step."""
    parameters = [parameter for parameter in parts.parameters if parameter.requires_grad]
    add, size = _adding_terms(plan, parts, device, scaler, terms), plan.train.batch_size

    def computed(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for parameter in parameters:
            parameter.grad = None
        divisors = terms.divisors(y)
        if not accumulates(plan) or size == "all":
            return torch.cat([add(x, y, None), divisors])
        batches = zip(torch.split(x, size), torch.split(y, size), strict=True)
        return torch.cat([torch.stack([add(*batch, divisors) for batch in batches]).sum(0), divisors])

    return computed


def _adding_terms(
    plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None, terms: Terms
) -> AddingTerms:
    """A loss of torch's own as the only term may be passed by hand."""
    if terms.is_alone and compares_labels(parts.loss):
        divided = _adding(plan, parts, device, scaler)
        summed = _adding(plan, replace(parts, loss=undivided(parts.loss)), device, scaler)

        def alone(x: torch.Tensor, y: torch.Tensor, divisors: torch.Tensor | None) -> torch.Tensor:
            value = divided(x, y, 1.0) if divisors is None else summed(x, y, divisors.reciprocal().squeeze(0))
            return value.unsqueeze(0)

        return alone

    def values(x: torch.Tensor, y: torch.Tensor, divisors: torch.Tensor | None) -> torch.Tensor:
        given = parts.model(x)
        return terms.values(given, y) if divisors is None else terms.numerators(given, y) / divisors

    return _by_graph(_mixed(plan, device, values), scaler)


def _adding(plan: Plan, parts: Parts, device: torch.device, scaler: torch.amp.GradScaler | None) -> Adding:
    """By hand where the model is a chain and nobody listens, else by torch's own pass over a graph."""
    model, loss = parts.model, parts.loss

    def shared(x: torch.Tensor, y: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = loss(model(x), y)
        return value if isinstance(share, float) and share == 1.0 else value * share

    by_graph = _by_graph(_mixed(plan, device, shared), scaler)
    is_mixed = plan.device.autocast != "off"
    chain = None if is_mixed or device.type != "cpu" else solo_chain(parts.model, parts.loss, parts.optimizer)
    if chain is None:
        return by_graph

    def by_hand(x: torch.Tensor, y: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
        return by_graph(x, y, share) if chain.is_heard else chain(x, y, share)

    return by_hand


def _by_graph(compute: Callable[..., torch.Tensor], scaler: torch.amp.GradScaler | None) -> Callable[..., torch.Tensor]:
    """What computes a loss, (), or terms of one, (K,) -> what adds the gradients of their sum, too."""

    def by_graph(x: torch.Tensor, y: torch.Tensor, how: Any) -> torch.Tensor:
        value = compute(x, y, how)
        total = value.sum() if value.ndim else value
        scaled: Any = scaler.scale(total) if scaler else total
        scaled.backward()
        return value.detach()

    return by_graph


def _mixed(plan: Plan, device: torch.device, compute: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The same in the precision that the plan asks for."""
    if plan.device.autocast == "off":
        return compute
    dtype = getattr(torch, plan.device.autocast)

    def mixed(x: torch.Tensor, y: torch.Tensor, how: Any) -> torch.Tensor:
        with torch.autocast(device.type, dtype):
            return compute(x, y, how)

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
