"""`model.inputs`: which columns does each stack take, and how do they arrive there? Told without torch.

The stacks are one layer at the front of the model, an entry of the spec's own registry that no spec can name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from annpipe.contract import Field, Fields
from annpipe.errors import Place, Problem
from annpipe.plan.columns import TYPES, fitting
from annpipe.plan.component import Component
from annpipe.registry import Entry, Parameter, Registry
from annpipe.registry.entry import Origin
from annpipe.registry.suggest import did_you_mean
from annpipe.spec.component import Call
from annpipe.spec.spec import Spec

INPUTS = "model.inputs"
MODULE = Path(__file__).parent.with_name("ends.py")
Columns = Sequence[Sequence[str]]


def with_ends(spec: Spec, registry: Registry) -> Registry:
    """A registry of the spec's own that has the layer which its inputs are."""
    if not spec.inputs:
        return registry
    own = registry.copy()
    said = ("names: list[str]", "columns: list[list[str]]", "branches: list[stack]", "join: str")
    supplied = ("spans", "shapes", "whole", "output_shapes")
    parameters = [Parameter(name, type_) for name, type_ in (text.split(": ") for text in said)]
    parameters += [Parameter(name, "any", supplied=True) for name in supplied]
    summary = "The stacks that the model's inputs go to."
    target, file = "annpipe.ends:Inputs", str(MODULE)
    traits = {"end": "inputs"}
    own.add_entries([Entry("layer", INPUTS, target, tuple(parameters), summary, Origin("annpipe"), file, traits=traits)])
    return own


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
    return [Component("layer", INPUTS, options, spec.place("model", "inputs"))]


def is_inputs(component: Component) -> bool:
    """Whether a layer is the one that the inputs are."""
    return component.kind == "layer" and component.name == INPUTS


def stack_columns(columns: Columns, fields: Fields) -> list[tuple[str, ...]]:
    """The inputs that each stack takes, in the order of its names and patterns."""
    return [tuple(dict.fromkeys(name for word in words for name in fitting(word, fields))) for words in columns]


def input_faults(spec: Spec, fields: Fields) -> list[Problem]:
    """Names of no column, columns of no stack or of two, and columns that no stack can take together."""
    taken: dict[str, Place] = {}
    problems: list[Problem] = []
    for stack in spec.inputs:
        own: list[str] = []
        for node in stack.columns:
            names = fitting(str(node.value), fields)
            if not names:
                problems.append(_unknown(str(node.value), node.place, fields))
            for name in (name for name in names if name not in own):
                own.append(name)
                if name in taken:
                    problems.append(_taken_twice(name, node.place, taken[name]))
                taken.setdefault(name, node.place)
        problems += _unjoinable(own, fields, stack.columns[0].place if stack.columns else stack.name.place)
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
    shaped = [name for name in names if fields.inputs[name].shape]
    if shaped and len(names) > 1:
        others = ", ".join(name for name in names if name != shaped[0])
        message = f"'{shaped[0]}' is not one number a row, and cannot stand beside {others}"
        yield Problem("inputs", message, place, f"give '{shaped[0]}' a stack of its own")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def arriving(component: Component, fields: Fields) -> Component:
    """The layer of the inputs with where the columns of its stacks stand in what arrives, and in which shape."""
    stacks = stack_columns(component.options["columns"], fields)
    shapes = [list(shape) for shape in fields.stacks] or [_shape(names, fields) for names in stacks]
    whole = [len(names) == 1 and fields.inputs[names[0]].dtype == "int" for names in stacks]
    if fields.stacks:  # transforms lay the stacks' columns out one after another
        ends = [sum(map(math.prod, shapes[: number + 1])) for number in range(len(shapes))]
        spans = [[[end - math.prod(shape), end]] for end, shape in zip(ends, shapes, strict=True)]
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
    return list(only.shape) if only.shape else [len(names)]


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
