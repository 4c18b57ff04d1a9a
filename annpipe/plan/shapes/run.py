"""Runs the model on the meta device: fills in every layer's sizes and finds its output shape, without data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.torch_shortcuts import LeanShapes
from annpipe.contract import Fields
from annpipe.draft.blocks import MOST_LAYERS
from annpipe.draft.component import Component, components_in
from annpipe.errors import Problem, SpecError
from annpipe.errors.wording import first_line
from annpipe.plan.plan import Layer
from annpipe.plan.shapes.flow import (
    Flow,
    counted_once,
    forward_problem,
    pieces,
    raised_in,
    rank_problem,
    repeated,
    steps_first,
)
from annpipe.portable.stack import passed
from annpipe.registry.discovery import PluginFault
from annpipe.registry.traits import LayerTraits, LossTraits
from annpipe.registry.types import holds_stacks

BATCH = 7  # rows on the meta device: a prime that is unlikely to be a size of the model

Shape = tuple[int, ...]

# what each contract name means of the shape of the tensor that arrives, rows included
SIZES: Mapping[str, Callable[[Shape], Any]] = {
    "in_features": lambda shape: shape[-1],
    "in_channels": lambda shape: shape[1],
    "num_features": lambda shape: shape[1],
    "num_channels": lambda shape: shape[1],
    "input_size": lambda shape: shape[-1],
    "normalized_shape": lambda shape: [shape[-1]],
    "d_model": lambda shape: shape[-1],
    "embed_dim": lambda shape: shape[-1],
    "input_shape": lambda shape: list(shape[1:]),
}
FREE = frozenset({"normalized_shape"})  # names that may differ from the shape's own size


def input_tensor(fields: Fields) -> torch.Tensor:
    """A meta tensor like the batches the model will get: (rows, numbers), or one input in its own shape."""
    if fields.features is not None:
        return torch.empty((BATCH, *fields.features), device="meta")
    if len(fields.inputs) > 1 or next(iter(fields.inputs.values())).shape == ():
        only_int = len(fields.inputs) == 1 and next(iter(fields.inputs.values())).dtype == "int"
        dtype = torch.int64 if only_int else torch.float32
        width = sum(math.prod(field.shape) for field in fields.inputs.values())
        return torch.empty((BATCH, width), dtype=dtype, device="meta")
    field = next(iter(fields.inputs.values()))
    dtype = torch.int64 if field.dtype == "int" else torch.float32
    return torch.empty((BATCH, *field.shape), dtype=dtype, device="meta")


def run_shapes(model: Sequence[Component], data: Component, fields: Fields) -> tuple[Layer, ...]:
    """Fills and checks every layer in turn; raises SpecError at the first one that does not fit.

    The error shows two places: the layer, and what gives it the shape it cannot take.
    """
    for component in model:
        _check_number(component)
    return counted_once(_run_stack(model, input_tensor(fields), data, Flow())[0])


def _check_number(component: Component) -> int:
    """How many layers a component stands for, those inside included; raises SpecError where they are too many."""
    times: int = component.options.get(component.traits(LayerTraits).repeats or "", 1)
    depth = component.options.get("num_layers")  # as torch's recurrent layers call what they have on top of one another
    inside = sum(_check_number(inner) for inner in components_in(dict(component.options)))
    count = (depth if isinstance(depth, int) else 1) + times * inside
    if count > MOST_LAYERS:
        message = f"{component.name} stands for {count:,} layers; a model has at most {MOST_LAYERS:,}"
        raise SpecError([Problem("wrong-value", message, component.place, "repeat it fewer times")])
    return count


def _run_stack(
    components: Sequence[Component], tensor: torch.Tensor, before: Component, flow: Flow
) -> tuple[tuple[Layer, ...], torch.Tensor]:
    """The layers of a stack at which `tensor` arrives from `before`, and what leaves the last of them."""
    layers = []
    for component in components:
        try:
            layer, after = _run_layer(component, tensor, before, flow)
            flow.check_shared(layer)
        except SpecError as error:
            raise SpecError([_with_giver(problem, before, tensor) for problem in error.problems]) from error
        tensor, before = after, component
        layers.append(layer)
    return tuple(layers), tensor


GIVES = "this gives "


def _with_giver(problem: Problem, before: Component, tensor: torch.Tensor) -> Problem:
    """A fault of shape, with the component that gives the shape; inside a container it is known already."""
    known = any(note.startswith(GIVES) for _, note in problem.related)
    if problem.code != "shape" or before.place is None or known:
        return problem
    return replace(problem, related=((before.place, f"{GIVES}{show(tensor.shape)}"), *problem.related))


def _run_layer(component: Component, tensor: torch.Tensor, before: Component, flow: Flow) -> tuple[Layer, torch.Tensor]:
    if misfit := _misfit(component, tensor):
        raise SpecError([misfit])
    tapped = flow.tapped
    filled, stacks = _with_stacks(flow.with_tap_shapes(component), tensor, before, flow)
    filled = fill(filled, tuple(tensor.shape))
    module = _construct(filled, flow)
    output, takes_first = _forward(filled, module, tensor)
    _check_training(filled, module, tensor)
    if output.ndim == 0 or output.shape[0] != len(tensor):
        message = f"{component.name} turns {show(tensor.shape)} into {show(output.shape)}: the rows are lost"
        raise SpecError([Problem("shape", message, component.place, "a layer keeps the first dimension, the rows")])
    count = sum(parameter.numel() for parameter in module.parameters())
    arrives, leaves = tuple(tensor.shape[1:]), tuple(output.shape[1:])
    return Layer(filled, arrives, leaves, count, takes_first, stacks, tapped), output


def _with_stacks(
    component: Component, tensor: torch.Tensor, before: Component, flow: Flow
) -> tuple[Component, dict[str, tuple[Layer, ...]]]:
    """A container with the layers of its stacks filled, each stack starting from the shape that arrives."""
    traits, parameters = component.traits(LayerTraits), component.entry.parameters
    stacks: dict[str, tuple[Layer, ...]] = {}
    outputs: list[list[int]] = []
    options = dict(component.options)
    shares = bool(options.get(traits.shares or ""))

    arrives = pieces(component, tensor)

    def run(layers: Sequence[Component], path: str) -> list[Component]:
        tensor = next(arrives)
        times = options[traits.repeats] if traits.repeats else 1
        stacks[path], output = _run_stack(list(layers) * times, tensor, before, flow)
        outputs.append(list(output.shape[1:]))
        if shares:
            stacks[path] = repeated(component, stacks[path], len(layers))
        return [layer.component for layer in stacks[path][: len(layers) if shares else None]]

    for option in parameters:
        value = options.get(option.name)
        if not isinstance(value, list) or not holds_stacks(option.option_type):
            continue
        if any(isinstance(item, list) for item in value):
            options[option.name] = [run(item, f"{option.name}.{number}") for number, item in enumerate(value)]
        else:
            options[option.name] = run(value, option.name)
    if not stacks:
        return component, {}
    known = {"output_shape": outputs[0], "output_shapes": outputs}
    for name in known.keys() & {option.name for option in parameters if option.supplied}:
        _agree(component, name, options.get(name), known[name])
        options[name] = known[name]
    short = component if traits.repeats and not shares else None
    return replace(component, options=options, template=component.template or short), stacks


def _agree(component: Component, name: str, written: Any, known: Any) -> None:
    if written not in (None, known):
        message = f"the layers inside {component.name} give {known}; its `{name}` says {written}"
        raise SpecError([Problem("shape", message, component.place, f"leave `{name}` out: it is filled in")])


def _misfit(component: Component, tensor: torch.Tensor) -> Problem | None:
    """What can be said of a layer before it runs: of which dimensions its input is.

    A layer that is an option of it takes what it takes.
    """
    entry = component.entry
    fault = rank_problem(component, tensor, show(tensor.shape)) or steps_first(component)
    stacks = {option.name for option in entry.parameters if holds_stacks(option.option_type)}
    inner = components_in([value for name, value in component.options.items() if name not in stacks])
    misfits = (_misfit(layer, tensor) for layer in inner if layer.kind == "layer")
    return fault or next((misfit for misfit in misfits if misfit), None)


def fill(component: Component, shape: Shape) -> Component:
    """The layer with its supplied parameters; one that was written must agree with the shape that arrives."""
    entry = component.entry
    options = dict(component.options)
    for parameter in entry.parameters:
        if not parameter.supplied or parameter.name not in SIZES:
            continue
        size = _size(component, parameter.name, shape)
        written = options.get(parameter.name)
        if written is None:
            options[parameter.name] = size
        elif written != size and parameter.name not in FREE:
            arrived = f"{component.name} gets {show(shape)}"
            message = f"{arrived}, so `{parameter.name}` is {size}; the spec says {written}"
            help_ = f"leave `{parameter.name}` out: it is filled from the shape"
            raise SpecError([Problem("shape", message, component.place, help_)])
    stacks = {option.name for option in entry.parameters if holds_stacks(option.option_type)}  # filled already
    inside = {key: value if key in stacks else _filled_inside(value, shape) for key, value in options.items()}
    ordered = {p.name: inside[p.name] for p in entry.parameters if p.name in inside}
    return replace(component, options=ordered)


def _filled_inside(value: Any, shape: Shape) -> Any:
    """A layer given as an option of a layer meets the same shape."""
    if isinstance(value, Component) and value.kind == "layer":
        return fill(value, shape)
    return [_filled_inside(item, shape) for item in value] if isinstance(value, list) else value


def _size(component: Component, name: str, shape: Shape) -> Any:
    try:
        return SIZES[name](shape)
    except IndexError:
        message = f"{component.name} cannot take the shape {show(shape)} that arrives: `{name}` cannot be read off it"
        problem = Problem("shape", message, component.place, "change it, or the layers before it")
        raise SpecError([problem]) from None


def _construct(component: Component, flow: Flow) -> torch.nn.Module:
    try:
        with torch.device("meta"):
            module = instantiate(component, flow.building)
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except Exception as error:  # a layer may raise anything for options it refuses: it becomes a fault of the spec
        raise SpecError([refused(component, error)]) from error
    assert isinstance(module, torch.nn.Module), component.name
    return module.eval()


def refused(component: Component, error: Exception) -> Problem:
    """A component whose own constructor refuses its options, with the line of its plugin."""
    if component.traits(LayerTraits).end or component.traits(LossTraits).end:
        help_ = "give what the last layers of its stacks give one shape, as `- Flatten` and a Linear do"
        return Problem("wrong-value", f"`{component.name}`: {first_line(error)}", component.place, help_)
    message = f"{component.name} refuses its options: {first_line(error)}"
    help_ = f"`annpipe show {component.kind} {component.name}` shows its options"
    return Problem("wrong-value", message, component.place, help_, raised_in(component.entry, error))


def _forward(component: Component, module: torch.nn.Module, tensor: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """The output, and whether it was the first of several."""
    try:
        with torch.no_grad(), LeanShapes():
            if isinstance(module, torch.nn.Softmax | torch.nn.Softmin):  # torch 2.13 takes any `dim` of a meta tensor
                tensor.size(module.dim)
            output = passed(module, tensor)
    except Exception as error:  # whatever a layer says of a shape it cannot take is reported at its line
        shown, reason = show(tensor.shape), first_line(error)
        raise SpecError([forward_problem(component, tensor, shown, error, reason)]) from error
    takes_first = isinstance(output, tuple | list)
    first = output[0] if takes_first else output
    if not isinstance(first, torch.Tensor):
        message = f"{component.name} gives {type(first).__name__}, not a tensor"
        raise SpecError([Problem("shape", message, component.place, "a layer returns a tensor, or a tuple of them")])
    return first, takes_first


def _check_training(component: Component, module: torch.nn.Module, tensor: torch.Tensor) -> None:
    """Runs the layer as training does, where it may refuse what it took before: batch normalization an `eps` of 0."""
    try:
        with torch.no_grad(), LeanShapes(), torch.random.fork_rng(devices=[]):
            passed(module.train(), tensor)
    except ValueError as error:
        raise SpecError([refused(component, error)]) from error
    except Exception:  # what depends on values cannot be known without them: the run itself will tell
        return


def show(shape: Sequence[int]) -> str:
    """A shape in words, the rows as `rows`: `(rows, 100)`."""
    sizes = ["rows" if position == 0 and size == BATCH else str(size) for position, size in enumerate(shape)]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
