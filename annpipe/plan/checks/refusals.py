"""What components refuse before a run: options, as each is built once, and runs that they do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from annpipe.backend.instantiate import instantiate, named_modules, parameter_groups
from annpipe.backend.protocols import check_class
from annpipe.contract import RunPreview
from annpipe.draft.component import Component, components_in
from annpipe.draft.losses import unweighted
from annpipe.draft.option_faults import option_refused
from annpipe.draft.parameter_groups import FOR_ALL, ParameterGroup, without_parameters
from annpipe.draft.resolved import sparse_layers
from annpipe.draft.sections import Draft
from annpipe.errors import OptionError, Problem
from annpipe.errors.wording import first_line
from annpipe.plan.plan import Layer
from annpipe.plan.schedules import UNKNOWN, with_length
from annpipe.plan.shapes.run import refused
from annpipe.registry.discovery import PluginFault, function_of
from annpipe.registry.traits import OptimizerTraits

BUILT_ELSEWHERE = frozenset(
    {"data", "transform", "layer", "initializer", "loss", "optimizer", "scheduler", "plot"}  # a plot draws when built
)


def parameters_of(layers: Sequence[Layer]) -> dict[str, torch.nn.Parameter]:
    """The parameters of a model on the meta device by name, `0.weight`."""
    with torch.device("meta"):
        modules = named_modules([layer.component for layer in layers])
        return dict(torch.nn.Sequential(modules).named_parameters())


def refusals(
    drafted: Draft, model: Mapping[str, torch.nn.Parameter] | None = None, targets: Sequence[str] = ()
) -> list[Problem]:
    """What components refuse that no shape is run through, and the data's distributions.

    The optimizer is built over the parameters of the model, or over a matrix where it is None.
    """
    parameters = {} if model is None else {**model, **_of_loss(drafted.loss, targets)}
    unfit = list(without_parameters(list(parameters), drafted.groups)) if model is not None else []
    groups = drafted.groups if model is not None and not unfit else ()
    parameters = parameters or {"": torch.nn.Parameter(torch.empty(2, 2, device="meta"))}
    params = parameter_groups(parameters, groups)
    optimizer, problems = _tried(_unfused(drafted.optimizer), {"params": params})
    problems += [] if problems else [*_of_no_group(optimizer, groups), *_refused_sparse(drafted)]
    if drafted.scheduler is not None and not problems:
        scheduler = with_length(drafted.scheduler, UNKNOWN)  # where the run's is not known
        problems += _tried(scheduler, {"optimizer": optimizer})[1]
    supplied = {"model": torch.nn.Linear(1, 1, device="meta")}
    for _, component in drafted.components():
        if component.kind not in BUILT_ELSEWHERE:
            problems += _tried(component, supplied)[1]
    return unfit + problems + _refused_distributions(drafted)


def _of_loss(loss: Component, targets: Sequence[str]) -> dict[str, torch.nn.Parameter]:
    """The loss's own parameters, `loss.weight`."""
    with torch.device("meta"):
        built = _tried(unweighted(loss), {"target_names": targets})[0]
    parameters = built.named_parameters() if isinstance(built, torch.nn.Module) else ()
    return {f"loss.{name}": parameter for name, parameter in parameters}


def _of_no_group(optimizer: Any, groups: Sequence[ParameterGroup]) -> list[Problem]:
    """Options of groups that the optimizer does not keep for each group: they would change nothing."""
    return [
        Problem(
            "wrong-value",
            f"{group.options.name} has one `{name}` for all parameters",
            node.place,
            f"write it as an option of {group.options.name} itself",
        )
        for group in groups
        for name, node in group.options.nodes.items()
        if name in FOR_ALL or name not in optimizer.defaults
    ]


def _refused_distributions(drafted: Draft) -> list[Problem]:
    """Distributions are built as the data component will see them, in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        inner = [part for part in components_in(dict(drafted.data.options)) if part.kind == "distribution"]
        return [problem for part in inner for problem in _tried(part, {})[1]]
    finally:
        torch.set_default_dtype(before)


def _refused_sparse(drafted: Draft) -> list[Problem]:
    """What cannot be done with the sparse gradients that a layer gives: clipping them, and most optimizers' steps."""
    layers, spec = sparse_layers(drafted), drafted.spec
    if not layers:
        return []
    layer, optimizer = layers[0], drafted.optimizer
    node = layer.nodes.get("sparse")
    place = node.place if node else layer.place
    problems = []
    if reason := _no_sparse_steps(drafted):
        message = f"{optimizer.name} cannot step with the sparse gradients of {layer.name}: {reason}"
        help_ = "leave `sparse` out, or take plain SGD or Adagrad, without momentum and `weight_decay`"
        related = ((optimizer.place, "the optimizer"),) if optimizer.place else ()
        problems.append(Problem("wrong-value", message, place, help_, related))
    for option in ("clip_norm", "clip_value"):
        if getattr(spec.train, option) is not None:
            message = f"torch cannot clip the sparse gradients of {layer.name}"
            related = ((spec.place("train", option), "clipped here"),)
            problems.append(Problem("wrong-value", message, place, f"leave `sparse` or `{option}` out", related))
    return problems


def _no_sparse_steps(drafted: Draft) -> str | None:
    """Why the optimizer cannot step with sparse gradients, found by a small step; None where it can.

    What it remembers must not be sparse either: checkpoints keep no such tensors.
    """
    if drafted.optimizer.traits(OptimizerTraits).closure:
        return None
    parameter = torch.nn.Parameter(torch.zeros(2, 2, device="cpu"))
    at, ones = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 2)
    parameter.grad = torch.sparse_coo_tensor(at, ones, (2, 2), device="cpu", check_invariants=True)
    optimizer, problems = _tried(drafted.optimizer, {"params": [parameter]})
    if problems:
        return None
    try:
        optimizer.step()
    except Exception as error:  # an optimizer may refuse them with anything
        return first_line(error)
    kept = [value for value in optimizer.state[parameter].values() if isinstance(value, torch.Tensor)]
    return "what it remembers of them is sparse, too" if any(value.is_sparse for value in kept) else None


def _tried(component: Component, supplied: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """The built component, or what it refuses."""
    try:
        return instantiate(component, **supplied), []
    except PluginFault as fault:
        return None, [fault.problem]
    except OptionError as error:
        return None, [option_refused(component, error)]
    except Exception as error:  # a component may refuse its options with anything
        return None, [refused(component, error)]


def _unfused(optimizer: Component) -> Component:
    """Meta tensors have no fused kernels."""
    return optimizer.with_options(fused=None) if "fused" in optimizer.options else optimizer


def misfits(drafted: Draft, preview: RunPreview) -> Iterator[Problem]:
    """A problem at the line of each plot and callback that such a run has no use for."""
    for component in (*drafted.plots, *drafted.callbacks):
        try:
            check_class(component)
            check = function_of(component.entry, "check")
            if check is not None:
                check(replace(preview, options=component.options))
        except PluginFault as fault:
            yield fault.problem
        except OptionError as error:
            node = component.nodes.get(error.option)
            of = f"{component.name}.{error.option}" if error.option else component.name
            place = node.place if node else component.place
            yield Problem("wrong-value", f"`{of}`: {error.message}", place, error.help)
        except Exception as error:  # a plugin's check may raise anything: reported at its line
            yield _raised(component, error)


def _raised(component: Component, error: Exception) -> Problem:
    message = f"the check of '{component.name}' raised {type(error).__name__}: {first_line(error)}"
    return Problem("wrong-value", message, component.place)
