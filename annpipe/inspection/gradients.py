"""Norms of the gradient of each layer: those that a run recorded, or of its kept checkpoints, computed now."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.contract import norms_by_layer

PREFIX = "gradient_norm/"
MOST_ROWS = 2048  # whose activations are held for the backward pass


@dataclass(frozen=True)
class GradientNorms:
    """By layer, the epochs and the norms; `source` says how they came about: "recorded" or "checkpoints".

    Recorded ones are those that steps followed, of a batch and clipped where the run clips. Those of checkpoints are
    of the loss over `rows` rows of train, in evaluation mode.
    """

    source: str
    layers: Mapping[str, tuple[list[float], list[float]]]
    rows: int = 0


def recorded_norms(points: Iterable[tuple[str, int, float, int]]) -> GradientNorms | None:
    """What the callback `gradient_norms` recorded, out of points (key, epoch, value, time); None: nothing."""
    layers: dict[str, tuple[list[float], list[float]]] = {}
    for key, epoch, value, _ in points:
        if key.startswith(PREFIX):
            epochs, norms = layers.setdefault(key.removeprefix(PREFIX), ([], []))
            epochs.append(epoch)
            norms.append(value)
    return GradientNorms("recorded", layers) if layers else None


def checkpoint_norms(
    model: torch.nn.Module,
    loss: torch.nn.Module,
    states: Iterable[tuple[float, Mapping[str, Any]]],
    x: torch.Tensor,
    y: torch.Tensor,
) -> GradientNorms:
    """The norms at the weights of some checkpoints: `states` has epochs, and states as a gear writes them."""
    model, loss = copy.deepcopy(model).eval(), copy.deepcopy(loss).eval()
    layers: dict[str, tuple[list[float], list[float]]] = {}
    x, y = x[:MOST_ROWS], y[:MOST_ROWS]
    for epoch, state in states:
        model.load_state_dict(state["model"])
        loss.load_state_dict(state["loss"])
        for layer, norm in norms_by_layer(loss_gradients(model, loss, x, y)).items():
            epochs, norms = layers.setdefault(layer, ([], []))
            epochs.append(epoch)
            norms.append(norm)
    return GradientNorms("checkpoints", layers, len(x))


def loss_gradients(
    model: torch.nn.Module, loss: torch.nn.Module, x: torch.Tensor, y: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The gradient of the loss over some rows by each trained parameter's name."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    gradients = torch.autograd.grad(loss(model(x), y), list(parameters.values()), allow_unused=True)
    return {name: grad for name, grad in zip(parameters, gradients, strict=True) if grad is not None}
