"""Reads `model.inputs` and `model.outputs`: stacks with their columns, and heads with their losses, by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.component import KEEP_ONE, Call, read_call, read_calls
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words

INPUT_OPTIONS = ("columns", "layers")
HEAD_OPTIONS = ("layers", "loss", "weight", "metrics")
OUTPUTS_EXAMPLE = "for example `outputs: {mass: {layers: [Linear: 1], loss: L1Loss}}`, named by the target it predicts"
JOINS = ("concat", "add", "mul")
INPUTS_EXAMPLE = "for example `inputs: {picture: {columns: image, layers: [Flatten]}, facts: {columns: [age, cost]}}`"


@dataclass(frozen=True)
class InputCall:
    """A stack of `model.inputs`: its name, the columns it takes by name, pattern or type, and its layers."""

    name: ScalarNode
    columns: tuple[ScalarNode, ...]
    layers: tuple[Call, ...]


@dataclass(frozen=True)
class HeadCall:
    """A head of `model.outputs`: the target that it predicts, its layers, its loss with its weight, its metrics."""

    name: ScalarNode
    layers: tuple[Call, ...]
    loss: Call
    weight: float
    metrics: tuple[Call, ...]


def read_outputs(node: Node) -> tuple[list[HeadCall], list[Problem]]:
    """The heads in their order, and what is wrong with them."""
    problems: list[Problem] = []
    parts = named_parts("model.outputs", node, HEAD_OPTIONS, OUTPUTS_EXAMPLE, problems)
    return [_head(key, head, problems) for key, head in parts], problems


def _head(key: ScalarNode, head: MappingNode, problems: list[Problem]) -> HeadCall:
    what = f"model.outputs.{key.value}"
    known = len(problems)
    layers = read_layers(what, head, problems)
    if not layers and len(problems) == known:
        problems.append(Problem("missing-option", f"`{what}.layers` is missing", key.place, OUTPUTS_EXAMPLE))
    measured = head.get("metrics")
    metrics, wrong = read_calls(measured, f"{what}.metrics") if measured else ([], [])
    problems += wrong
    return HeadCall(key, layers, _loss(what, key, head, problems), _weight(what, head, problems), tuple(metrics))


def _loss(what: str, key: ScalarNode, head: MappingNode, problems: list[Problem]) -> Call:
    node = head.get("loss")
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        problems.append(Problem("missing-option", f"`{what}.loss` is missing", key.place, OUTPUTS_EXAMPLE))
        return Call("", None, key.place)
    read = read_call(node, f"`{what}.loss`", KEEP_ONE)
    if isinstance(read, Call):
        return read
    problems.append(read)
    return Call("", None, node.place)


def _weight(what: str, head: MappingNode, problems: list[Problem]) -> float:
    node = head.get("weight")
    if node is None:
        return 1.0
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    message = f"`{what}.weight` must be a number of at least 0; found {in_words(node)}"
    problems.append(Problem("wrong-type", message, node.place, "it multiplies the loss of the head; 1 is the default"))
    return 1.0


def read_inputs(node: Node) -> tuple[list[InputCall], list[Problem]]:
    """The stacks in their order, and what is wrong with them."""
    problems: list[Problem] = []
    found_stacks = [
        InputCall(key, _columns(key, stack, problems), read_layers(f"model.inputs.{key.value}", stack, problems))
        for key, stack in named_parts("model.inputs", node, INPUT_OPTIONS, INPUTS_EXAMPLE, problems)
    ]
    return found_stacks, problems


def named_parts(
    what: str, node: Node, options: Sequence[str], example: str, problems: list[Problem]
) -> Iterator[tuple[ScalarNode, MappingNode]]:
    """Each name with its mapping of options; what is no such mapping is a problem, as is another option."""
    if not isinstance(node, MappingNode) or not node.pairs:
        message = f"`{what}` must be a mapping from names to {{{', '.join(options)}}}; found {in_words(node)}"
        problems.append(Problem("wrong-type", message, node.place, example))
        return
    for key, value in node.pairs:
        if not isinstance(value, MappingNode):
            message = f"`{what}.{key.value}` must be a mapping of {', '.join(options)}; found {in_words(value)}"
            problems.append(Problem("wrong-type", message, value.place, example))
            continue
        for word, _ in value.pairs:
            if word.value not in options:
                message = f"`{what}.{key.value}` has no option '{word.value}'"
                help_ = did_you_mean(str(word.value), options) or f"it takes {', '.join(options)}"
                problems.append(Problem("unknown-option", message, word.place, help_))
        yield key, value


def read_layers(what: str, part: MappingNode, problems: list[Problem]) -> tuple[Call, ...]:
    """The layers of a part; none where it has none."""
    node = part.get("layers")
    if node is None:
        return ()
    calls, wrong = read_calls(node, f"{what}.layers")
    problems += wrong
    return tuple(calls)


def _columns(key: ScalarNode, stack: MappingNode, problems: list[Problem]) -> tuple[ScalarNode, ...]:
    """The columns of a stack: a word or a list of them, or the one column of its own name."""
    node = stack.get("columns")
    if node is None:
        return (key,)
    items = node.items if isinstance(node, ListNode) else (node,)
    words = [item for item in items if isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value]
    if len(words) < len(items) or not items:
        wrong = next((item for item in items if item not in words), node)
        message = f"`model.inputs.{key.value}.columns` must be names of columns; found {in_words(wrong)}"
        problems.append(Problem("wrong-type", message, wrong.place, INPUTS_EXAMPLE))
    return tuple(words)


def read_join(node: Node, inputs: Sequence[InputCall]) -> tuple[str, list[Problem]]:
    """How the stacks of `model.inputs` meet."""
    word = node.value if isinstance(node, ScalarNode) else None
    if word not in JOINS:
        message = f"`model.join` must be {', '.join(JOINS[:-1])} or {JOINS[-1]}; found {in_words(node)}"
        return JOINS[0], [Problem("wrong-type", message, node.place, did_you_mean(str(word), JOINS))]
    if not inputs:
        message = "`model.join` says how the stacks of `inputs` meet, and there are none"
        return str(word), [Problem("wrong-value", message, node.place, "leave it out, or write `inputs`")]
    return str(word), []
