"""Resolves `model.inputs` and `model.outputs`: the columns of each stack and the target of each head, without torch.

The stacks are one layer at the front of the model, the heads one at its end, and the losses of the heads are one loss;
their entries are in no registry, so that no spec can name them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annpipe.contract import Field, Fields
from annpipe.draft.component import Component
from annpipe.draft.transforms import TYPES, fitting
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.kinds import traits_of
from annpipe.spec.sections.component import Call
from annpipe.spec.sections.spec import Spec

INPUTS = "model.inputs"
OUTPUTS = "model.outputs"
MODULE = Path(__file__).parents[1] / "portable" / "heads.py"
StackColumns = Sequence[Sequence[str]]


@dataclass(frozen=True)
class OutputHead:
    """A head: the target that it predicts, its layers, its loss with its weight, its metrics."""

    name: str
    layers: tuple[Component, ...]
    loss: Component
    weight: float
    metrics: tuple[Component, ...]

    def __hash__(self) -> int:
        return hash((self.name, self.loss))


def _entry(
    kind: str, name: str, attribute: str, options: Mapping[str, str], supplied: Sequence[str], summary: str, end: str
) -> Entry:
    """An entry of a class in `annpipe.portable.heads`, with its options and what the engine supplies."""
    parameters = [Parameter(option, type_) for option, type_ in options.items()]
    parameters += [Parameter(option, "any", supplied=True) for option in supplied]
    target, origin = f"annpipe.portable.heads:{attribute}", Origin("annpipe")
    traits = traits_of(kind, {"end": end})
    return Entry(kind, name, target, tuple(parameters), summary, origin, str(MODULE), traits=traits)


INPUTS_ENTRY = _entry(
    "layer",
    INPUTS,
    "Inputs",
    {"names": "list[str]", "columns": "list[list[str]]", "branches": "list[stack]", "join": "str"},
    ("spans", "shapes", "whole", "output_shapes"),
    "The stacks that the model's inputs go to.",
    "inputs",
)
OUTPUTS_ENTRY = _entry(
    "layer",
    OUTPUTS,
    "Outputs",
    {"names": "list[str]", "branches": "list[stack]"},
    (),
    "The heads that the model's outputs are.",
    "outputs",
)
LOSS_ENTRY = _entry(
    "loss",
    OUTPUTS,
    "HeadLosses",
    {"losses": "dict[str, loss]", "weights": "dict[str, float]"},
    ("spans", "labels"),
    "The weighted sum of the losses of all heads.",
    "outputs",
)


def inputs_layer(spec: Spec, layers: Callable[[Sequence[Call]], Sequence[Component]]) -> list[Component]:
    """The layer that the inputs are, where the spec has some; `layers` drafts those of a stack."""
    if not spec.inputs:
        return []
    options = {
        "names": [str(stack.name.value) for stack in spec.inputs],
        "columns": [[str(node.value) for node in stack.columns] for stack in spec.inputs],
        "branches": [list(layers(stack.layers)) for stack in spec.inputs],
        "join": spec.join,
    }
    return [Component("layer", INPUTS, options, spec.place("model", "inputs"), entry=INPUTS_ENTRY)]


def outputs_layer(heads: Sequence[OutputHead], place: Place) -> list[Component]:
    """The layer that the outputs are, where the spec has some."""
    options = {"names": [head.name for head in heads], "branches": [list(head.layers) for head in heads]}
    return [Component("layer", OUTPUTS, options, place, entry=OUTPUTS_ENTRY)] if heads else []


def outputs_loss(heads: Sequence[OutputHead], place: Place) -> Component:
    """The loss of a run whose model has heads."""
    losses, weights = {head.name: head.loss for head in heads}, {head.name: head.weight for head in heads}
    return Component("loss", OUTPUTS, {"losses": losses, "weights": weights}, place, entry=LOSS_ENTRY)


def in_order(heads: Sequence[OutputHead], fields: Fields) -> tuple[OutputHead, ...]:
    """The heads in the order of the targets that they predict."""
    return tuple(head for name in fields.targets for head in heads if head.name == name)


def output_faults(spec: Spec, fields: Fields) -> Iterator[Problem]:
    """Heads of no target, targets without a head, and targets that no head can predict."""
    names = [str(head.name.value) for head in spec.outputs]
    for head in spec.outputs:
        name = str(head.name.value)
        if name not in fields.targets:
            help_ = did_you_mean(name, list(fields.targets)) or f"the targets are {_some(list(fields.targets))}"
            yield Problem("outputs", f"there is no target '{name}' that a head could predict", head.name.place, help_)
        elif shape := fields.targets[name].shape:
            message = f"the target '{name}' has the shape {shape} a row, and a head predicts one number or class"
            yield Problem("outputs", message, head.name.place, "predict it by a model without `outputs`")
    known = all(name in fields.targets for name in names)
    left = [name for name in fields.targets if name not in names]
    if spec.outputs and known and left:
        message = f"no head predicts the target{'s' * (len(left) > 1)} {', '.join(map(repr, left[:6]))}"
        help_ = "give each target a head, or leave it out of the data"
        yield Problem("outputs", message, spec.place("model", "outputs"), help_)


def is_inputs(component: Component) -> bool:
    """Whether a layer is the one that the inputs are."""
    return component.kind == "layer" and component.name == INPUTS


def end_names(component: Component) -> list[str]:
    """The stacks of inputs with their columns, or the heads, in words; empty for any other layer."""
    if component.name not in (INPUTS, OUTPUTS):
        return []
    names: list[str] = component.options["names"]
    if component.name == OUTPUTS:
        return names
    return [f"{name}: {', '.join(columns)}" for name, columns in zip(names, component.options["columns"], strict=True)]


def stack_columns(columns: StackColumns, fields: Fields) -> list[tuple[str, ...]]:
    """The inputs that each stack takes, in the order of its names and patterns."""
    return [tuple(dict.fromkeys(name for word in words for name in fitting(word, fields))) for words in columns]


def input_faults(spec: Spec, fields: Fields) -> list[Problem]:
    """Names of no column, columns of no stack or of two, and columns that no stack can take together."""
    taken: dict[str, Place] = {}
    problems: list[Problem] = []
    for stack in spec.inputs:
        taken_here: list[str] = []
        for node in stack.columns:
            names = fitting(str(node.value), fields)
            if not names:
                problems.append(_unknown(str(node.value), node.place, fields))
            for name in (name for name in names if name not in taken_here):
                taken_here.append(name)
                if name in taken:
                    problems.append(_taken_twice(name, node.place, taken[name]))
                taken.setdefault(name, node.place)
        problems += _unjoinable(taken_here, fields, stack.columns[0].place if stack.columns else stack.name.place)
    return problems or [*_left_over(spec, [name for name in fields.inputs if name not in taken])]


def _unknown(word: str, place: Place, fields: Fields) -> Problem:
    known = list(fields.inputs)
    if word in fields.targets:
        return Problem("unknown-column", f"'{word}' is a target, not an input", place, f"the inputs are {_some(known)}")
    help_ = did_you_mean(word, [*known, *TYPES]) or f"the inputs are {_some(known)}"
    return Problem("unknown-column", f"no input fits '{word}'", place, help_)


def _taken_twice(name: str, place: Place, first: Place) -> Problem:
    message = f"the input '{name}' is taken by two stacks"
    help_ = "each input goes to one stack; `parallel` gives what arrives to several"
    return Problem("inputs", message, place, help_, ((first, "taken here"),))


def _left_over(spec: Spec, left: Sequence[str]) -> Iterator[Problem]:
    if left and spec.inputs:
        message = f"no stack takes the input{'s' * (len(left) > 1)} {', '.join(map(repr, left[:6]))}"
        message += f" and {len(left) - 6} more" * (len(left) > 6)
        names = [str(stack.name.value) for stack in spec.inputs]
        it = "them" if len(left) > 1 else "it"
        help_ = f"name {it} in the `columns` of {' or '.join(names)}, or leave {it} out of the data"
        yield Problem("inputs", message, spec.place("model", "inputs"), help_)


def _unjoinable(names: Sequence[str], fields: Fields, place: Place) -> Iterator[Problem]:
    shaped = [name for name in names if fields.inputs[name].stands_alone]
    if shaped and len(names) > 1:
        others = ", ".join(name for name in names if name != shaped[0])
        message = f"'{shaped[0]}' is not one number a row, and cannot stand beside {others}"
        yield Problem("inputs", message, place, f"give '{shaped[0]}' a stack of its own")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def with_column_spans(component: Component, fields: Fields) -> Component:
    """The layer of the inputs with where the columns of its stacks stand in what arrives, and in which shape."""
    stacks = stack_columns(component.options["columns"], fields)
    shapes = [list(shape) for shape in fields.stacks] or [_shape(names, fields) for names in stacks]
    whole = [len(names) == 1 and fields.inputs[names[0]].dtype == "int" for names in stacks]
    if fields.stacks:  # transforms lay the stacks' columns out one after another
        stops = [sum(map(math.prod, shapes[: number + 1])) for number in range(len(shapes))]
        spans = [[[end - math.prod(shape), end]] for end, shape in zip(stops, shapes, strict=True)]
    else:
        places = column_places(fields)
        spans = [_merged([places[name] for name in names]) for names in stacks]
    return component.with_options(spans=spans, shapes=shapes, whole=whole)


def column_places(fields: Fields) -> dict[str, tuple[int, int]]:
    """Where the numbers of each input begin and end in the matrix that all of them make, side by side."""
    places: dict[str, tuple[int, int]] = {}
    start = 0
    for name, field in fields.inputs.items():
        places[name] = (start, start + math.prod(field.shape))
        start = places[name][1]
    return places


def _shape(names: Sequence[str], fields: Fields) -> list[int]:
    """The shape of a row of some inputs: one with a shape of its own alone, or numbers side by side."""
    only: Field = fields.inputs[names[0]]
    return list(only.shape) if only.stands_alone else [sum(math.prod(fields.inputs[name].shape) for name in names)]


def _merged(places: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Spans that follow one another as one."""
    spans: list[list[int]] = []
    for start, stop in places:
        if spans and spans[-1][1] == start:
            spans[-1][1] = stop
        else:
            spans.append([start, stop])
    return spans


def inputs_data(component: Component) -> dict[str, Any]:
    """The layer as a spec says it: `inputs`, and `join`."""
    options = component.options
    parts = zip(options["names"], options["columns"], options["branches"], strict=True)
    stacks = {
        name: {"columns": list(columns), "layers": [layer.to_data() for layer in layers]}
        for name, columns, layers in parts
    }
    return {"inputs": stacks, "join": options["join"]}


def outputs_data(outputs: Sequence[OutputHead]) -> dict[str, Any]:
    """The heads as a spec says them."""
    heads = {
        head.name: {
            "layers": [layer.to_data() for layer in head.layers],
            "loss": head.loss.to_data(),
            "weight": head.weight,
            "metrics": [metric.to_data() for metric in head.metrics],
        }
        for head in outputs
    }
    return {"outputs": heads}
