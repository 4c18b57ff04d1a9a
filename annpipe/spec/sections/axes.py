"""Reads what a sweep tries at one path of the spec: a list of values, or a range to draw values from.

`sweep.over` and `--over PATH=VALUES` say it in the same words: `[ReLU, Tanh]`, `{log_uniform: [1e-4, 1e-1]}`, `0..7`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from annpipe.errors import Place, Problem, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, plain
from annpipe.spec.yaml.nodes import in_words as node_in_words

OVER = "--over "
FORMS = ("choice", "uniform", "log_uniform", "range")
COUNTED = ("seed", "data.split.fold", "data.split.seed")  # repetitions that a number says: `seed: 8`
SPLIT = "data.split"
SPLITS = ("val_rows", "test_rows", "by", "fold", "seed")  # options of a split that say which rows are held out
# values that say nothing of the model, only of its luck: numbers to draw with, rows to hold out
REPEATS = {"seed": "seeds", SPLIT: "splits", f"{SPLIT}.fold": "folds", f"{SPLIT}.seed": "seeds of the split"}
REPEATS |= {f"{SPLIT}.val_rows": "files of val rows", f"{SPLIT}.test_rows": "files of test rows"}
REPEATS |= {f"{SPLIT}.by": "columns of the split"}
MOST_TRIALS = 10_000
FORMS_SAID = "write a list, `{log_uniform: [1e-4, 1e-1]}`, `{uniform: [0, 0.5]}` or `{range: [8, 64, 8]}`"
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)\Z")


@dataclass(frozen=True)
class Span:
    """A range of numbers, both ends included, drawn from evenly or evenly in its logarithm."""

    low: float
    high: float
    is_log: bool = False

    def points(self, n: int) -> tuple[float, ...]:
        """n values from end to end, evenly apart; of one the middle."""
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        shares = [place / (n - 1) for place in range(n)] if n > 1 else [0.5]
        inner = [low + (high - low) * fraction for fraction in shares]
        values = [math.exp(value) if self.is_log else value for value in inner]
        return (self.low, *values[1:-1], self.high) if n > 1 else tuple(values)


@dataclass(frozen=True)
class Axis:
    """A path of the spec and the values that it takes, or the `span` that they are drawn from.

    `step` is there where the values are numbers at this distance. `place` is where it was written; `nodes` are its
    values as they stand there.
    """

    path: str
    values: tuple[Any, ...] = ()
    span: Span | None = None
    step: float | None = None
    place: Place | None = field(default=None, compare=False, repr=False)
    nodes: tuple[Node, ...] = field(default=(), compare=False, repr=False)

    @property
    def short(self) -> str:
        """Its path in a word: `lr`, or `model.1` where the last part is a position."""
        head, _, last = self.path.rpartition(".")
        return f"{head.rpartition('.')[2]}.{last}" if last.isdecimal() else last

    @property
    def is_repeat(self) -> bool:
        """Whether its values are repetitions, over which results are averaged; so are whole splits that name rows."""
        if self.path != SPLIT:
            return self.path in REPEATS
        return all(isinstance(value, dict) and value.keys() <= {*SPLITS, "folds"} for value in self.values)

    def node(self, value: Any) -> Node:
        """A value as the spec would say it, at its place."""
        assert self.place is not None
        at = next((number for number, other in enumerate(self.values[: len(self.nodes)]) if other is value), None)
        return node_of(value, self.place) if at is None else self.nodes[at]

    @property
    def in_words(self) -> str:
        """Its values in words: `1e-3, 1e-2` or `0.0001 to 0.1, logarithmic`."""
        if self.span is None:
            return ", ".join(map(in_words, self.values))
        return f"{self.span.low:g} to {self.span.high:g}{', logarithmic' if self.span.is_log else ''}"


def in_words(value: Any) -> str:
    """A swept value without signs, numbers in six digits: `{Adam: {lr: 0.1}}` is `Adam lr 0.1`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return f"[{', '.join(map(in_words, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def read_over(text: str) -> tuple[ScalarNode, Node]:
    """`--over PATH=VALUES` as a pair of `sweep.over`: the path, and the node of its values.

    The values are those of a list without its brackets, `0..7`, or one of the forms. Raises SpecError for what cannot
    be read.

    >>> plain(read_over("model.1=ReLU,{LeakyReLU: 0.2}")[1])
    ['ReLU', {'LeakyReLU': 0.2}]
    """
    path, sign, values = text.partition("=")
    start = len(OVER) + 1
    if not sign or not path.strip() or not values.strip():
        help_ = "as in `--over optimizer.Adam.lr=1e-3,1e-2` or `--over seed=0..7`"
        whole = Place(f"{OVER}{text}", 1, start, max(1, len(text)))
        raise SpecError([Problem("override", f"'{text}' names no path and values", whole, help_)])
    at = Place(f"{OVER}{text}", 1, start + len(path) + 1, len(values))
    try:
        node = compose(f"[{values}]", at.file)
    except SpecError as error:
        help_ = "separate values by commas; write lists and mappings as in the spec, [1, 2] and {lr: 1}"
        raise SpecError([Problem("override", f"'{values}' cannot be read: {error}", at, help_)]) from error
    assert isinstance(node, ListNode)
    alone = node.items[0] if len(node.items) == 1 and _is_compact(node.items[0]) else node
    key = ScalarNode(path.strip(), path, True, Place(at.file, 1, start, len(path)))
    return key, placed(alone, at)


def over_of(path: str, values: Any) -> tuple[ScalarNode, Node]:
    """The same of plain data, as a program gives it."""
    place = Place(f"{OVER}{path}={json.dumps(values)}", 1, len(OVER) + 1, len(path))
    return ScalarNode(path, path, True, place), node_of(values, place)


def placed(node: Node, place: Place) -> Node:
    """The node with all that it holds at one place."""
    match node:
        case ScalarNode():
            return replace(node, place=place)
        case ListNode(items=items):
            return replace(node, items=tuple(placed(item, place) for item in items), place=place)
        case MappingNode(pairs=pairs):
            held = tuple((replace(key, place=place), placed(value, place)) for key, value in pairs)
            return replace(node, pairs=held, place=place)


def node_of(value: Any, place: Place) -> Node:
    """Plain data as the node that says it."""
    match value:
        case dict():
            return MappingNode(tuple((_scalar(key, place), node_of(item, place)) for key, item in value.items()), place)
        case list() | tuple():
            return ListNode(tuple(node_of(item, place) for item in value), place)
    return _scalar(value, place)


def _scalar(value: Any, place: Place) -> ScalarNode:
    return ScalarNode(value, value if isinstance(value, str) else json.dumps(value), True, place)


def _is_compact(node: Node) -> bool:
    """Whether a node alone says several values: `0..7`, or `{range: [1, 4]}`."""
    if isinstance(node, MappingNode):
        return len(node.pairs) == 1 and node.keys[0] in FORMS
    return isinstance(node, ScalarNode) and isinstance(node.value, str) and bool(_RANGE.match(node.value))


class AxisFault(Exception):
    """What is wrong with the values of an axis, at a node."""

    def __init__(self, node: Node, message: str, help_: str | None = None) -> None:
        super().__init__(message)
        self.node, self.message, self.help = node, message, help_


def axis_of(path: str, node: Node, place: Place) -> Axis:
    """The axis that a node says; raises AxisFault."""
    match node:
        case ListNode(items=items):
            return _listed(path, node, items, place)
        case ScalarNode(value=str() as text) if match_ := _RANGE.match(text):
            return _counted(path, node, int(match_[1]), int(match_[2]), 1, place)
        case ScalarNode(value=int() as count) if path in COUNTED and not isinstance(count, bool):
            if count < 1:
                raise AxisFault(node, f"`{path}` is to take {count} values", "write how many, as in `seed: 8`")
            return _counted(path, node, 0, count - 1, 1, place)
        case MappingNode(pairs=((key, value),)) if key.value in FORMS:
            return _formed(path, str(key.value), value, place)
        case MappingNode(pairs=((key, _), *_)):
            help_ = did_you_mean(str(key.value), FORMS) or FORMS_SAID
            raise AxisFault(node, f"`{path}` has no values: '{key.value}' is no way to say them", help_)
    help_ = f"a single value is set, not swept: {FORMS_SAID}" if isinstance(node, ScalarNode) else FORMS_SAID
    raise AxisFault(node, f"`{path}` must have values to try; found {node_in_words(node)}", help_)


def _listed(path: str, node: Node, items: Sequence[Node], place: Place) -> Axis:
    values = tuple(plain(item) for item in items)
    if not values:
        raise AxisFault(node, f"`{path}` has an empty list of values", FORMS_SAID)
    written = [json.dumps(value, sort_keys=True) for value in values]
    twice = next((number for number, text in enumerate(written) if text in written[:number]), None)
    if twice is not None:
        message = f"`{path}` takes {written[twice]} twice"
        raise AxisFault(items[twice], message, "each trial is made once: leave one out")
    return Axis(path, values, place=place, nodes=tuple(items))


def _counted(path: str, node: Node, first: float, last: float, step: float, place: Place) -> Axis:
    """Numbers from the first to the last, both included."""
    if last < first:
        message = f"the range {first:g}..{last:g} of `{path}` has no values"
        raise AxisFault(node, message, "write the smaller one first")
    count = math.floor((last - first) / step + 1e-9) + 1
    if count > MOST_TRIALS:
        raise AxisFault(node, f"the range of `{path}` has over {MOST_TRIALS:,} values", "take a longer step")
    return Axis(path, tuple(first + step * number for number in range(count)), step=step, place=place)


def _formed(path: str, form: str, node: Node, place: Place) -> Axis:
    if not isinstance(node, ListNode):
        raise AxisFault(node, f"`{path}`: `{form}` takes a list; found {node_in_words(node)}", FORMS_SAID)
    if form == "choice":
        return _listed(path, node, node.items, place)
    numbers = [plain(item) for item in node.items]
    most = 3 if form == "range" else 2
    for item, value in zip(node.items, numbers, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise AxisFault(
                item, f"`{path}`: `{form}` goes from number to number; found {node_in_words(item)}", FORMS_SAID
            )
    if not 2 <= len(numbers) <= most:
        wanted = "the first number, the last one and the step" if most == 3 else "the smallest and the largest number"
        raise AxisFault(node, f"`{path}`: `{form}` takes {wanted}; found {node_in_words(node)}", FORMS_SAID)
    low, high = numbers[:2]
    if form == "range":
        step = numbers[2] if len(numbers) == 3 else 1
        if step <= 0:
            raise AxisFault(node.items[2], f"`{path}`: the step of a range must be greater than 0", FORMS_SAID)
        return _counted(path, node, low, high, step, place)
    if low >= high:
        raise AxisFault(node, f"`{path}`: `{form}` goes from {low:g} to {high:g}", "write the smaller number first")
    if form == "log_uniform" and low <= 0:
        message = f"`{path}`: `log_uniform` begins at {low:g}, which has no logarithm"
        raise AxisFault(node.items[0], message, "begin above 0, or take `uniform`")
    return Axis(path, span=Span(float(low), float(high), form == "log_uniform"), place=place)
