"""The figure `activations`: the nonlinearities of the model in use, each with its derivative."""

from __future__ import annotations

import copy

import torch
from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.style import MAX_PANELS, PREDICTION, TRAIN, Doubles, legend, message, panels, shown, styled

TITLE = "activations"
SPAN = 5.0
MAX_PARAMETERS = 100
"""A layer with more is no function of one number."""


@plot(of_rows=False)
@styled
def activations(view: RunView) -> Figure:
    """Each kind of activation function in the model on [-5, 5], its derivative dashed."""
    x = torch.linspace(-SPAN, SPAN, 401, dtype=torch.float64)
    curves: dict[str, tuple[Doubles, Doubles]] = {}
    for module in view.model.modules():
        label = _label(module)
        if label not in curves and (curve := _curve(module, x)):
            curves[label] = curve
    if not curves:
        return message(view, TITLE, "No layer of the model is an activation function.")
    drawn = dict(list(curves.items())[:MAX_PANELS])
    figure, all_axes = panels(view, TITLE, len(drawn))
    for axes, (label, (value, slope)) in zip(all_axes, drawn.items(), strict=True):
        axes.axhline(0, color="#8a8a8a", linewidth=0.8)
        axes.axvline(0, color="#8a8a8a", linewidth=0.8)
        axes.plot(x.numpy(), value, color=TRAIN, linewidth=2.2, label="f(x)")
        axes.plot(x.numpy(), slope, color=PREDICTION, linewidth=1.5, linestyle=(0, (4, 2)), label="f'(x)")
        axes.set_title(label)
        axes.set_xlabel("x")
        legend(axes)
    return figure


def _label(module: torch.nn.Module) -> str:
    options = module.extra_repr().replace("inplace=True", "").strip(", ")
    return shown(f"{type(module).__name__}({options})" if options else type(module).__name__)


def _curve(module: torch.nn.Module, x: torch.Tensor) -> tuple[Doubles, Doubles] | None:
    """The values and slopes of a module that works on each number by itself and is no straight line."""
    if list(module.children()) or sum(parameter.numel() for parameter in module.parameters()) > MAX_PARAMETERS:
        return None
    function = copy.deepcopy(module).to("cpu").to(torch.float64).eval()
    at = x.clone().requires_grad_()
    try:
        value = function(at[None] * 1)[0]
        part = function(x[None, : len(x) // 3] * 1)[0]
        if value.shape != x.shape or not torch.allclose(part, value[: len(part)]):
            return None
        slope = torch.autograd.grad(value.sum(), at)[0] if value.requires_grad else torch.zeros_like(x)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError):
        return None
    value = value.detach()
    straight = torch.lerp(value[0], value[-1], torch.linspace(0, 1, len(x), dtype=x.dtype))
    if not value.isfinite().all() or torch.allclose(value, straight, atol=1e-9):
        return None
    return value.numpy(), slope.numpy()
