"""Which values does a sweep try? `--over PATH=VALUE,VALUE` read by the spec's own rules, and their combinations."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annpipe.errors import Place, Problem, SpecError
from annpipe.spec.composer import compose
from annpipe.spec.nodes import ListNode, plain
from annpipe.spec.scalars import core_value

OVER = "--over "
_WORD = re.compile(r"[A-Za-z_]\w*\Z")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)\Z")
REPEATS = ("seed", "data.split.fold", "data.split.seed")  # values that say nothing of the model, only of its luck
MOST_TRIALS = 10_000


@dataclass(frozen=True)
class Axis:
    """A path of the spec and the values that it takes in turn."""

    path: str
    values: tuple[Any, ...]

    @property
    def short(self) -> str:
        """Its path in a word: `lr`, or `model.1` where the last part is a position."""
        head, _, last = self.path.rpartition(".")
        return f"{head.rpartition('.')[2]}.{last}" if last.isdecimal() else last

    @property
    def is_repeat(self) -> bool:
        """Whether its values are repetitions, over which results are averaged."""
        return self.path in REPEATS


def read_axis(text: str) -> Axis:
    """`optimizer.Adam.lr=1e-3,1e-2`, `model.1=ReLU,Tanh` or `seed=0..7`; raises SpecError for another text.

    >>> read_axis("seed=0..2")
    Axis(path='seed', values=(0, 1, 2))
    >>> read_axis("model.1=ReLU,{LeakyReLU: 0.2}").values
    ('ReLU', {'LeakyReLU': 0.2})
    """
    path, sign, said = text.partition("=")
    start = len(OVER) + 1
    whole = Place(f"{OVER}{text}", 1, start, max(1, len(text)))
    if not sign or not path or not said.strip():
        help_ = "as in `--over optimizer.Adam.lr=1e-3,1e-2` or `--over seed=0..7`"
        raise SpecError([Problem("override", f"'{text}' names no path and values", whole, help_)])
    at = Place(f"{OVER}{text}", 1, start + len(path) + 1, len(said))
    if match := _RANGE.match(said.strip()):
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise SpecError([Problem("override", f"the range {said} has no values", at, "write the smaller one first")])
        if last - first >= MOST_TRIALS:
            raise SpecError([Problem("override", f"the range {said} has over {MOST_TRIALS:,} values", at, None)])
        return Axis(path, tuple(range(first, last + 1)))
    try:
        node = compose(f"[{said}]", whole.file)
    except SpecError as error:
        help_ = "separate values by commas; write lists and mappings as in the spec, [1, 2] and {lr: 1}"
        raise SpecError([Problem("override", f"'{said}' cannot be read: {error}", at, help_)]) from error
    assert isinstance(node, ListNode)
    values = tuple(plain(item) for item in node.items)
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        message = f"`{path}` takes {json.dumps(twice)} twice"
        raise SpecError([Problem("override", message, at, "each trial is made once: leave one out")])
    return Axis(path, values)


def combinations(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Every combination, the last axis turning fastest; raises SpecError for a path twice and for too many."""
    paths = [axis.path for axis in axes]
    for number, axis in enumerate(axes):
        if axis.path in paths[:number]:
            place = Place(f"{OVER}{axis.path}", 1, len(OVER) + 1, len(axis.path))
            message = f"`{axis.path}` is swept over twice"
            raise SpecError([Problem("override", message, place, "give all of its values in one")])
    total = 1
    for axis in axes:
        total *= len(axis.values)
    if total > MOST_TRIALS:
        place = Place(f"{OVER}{axes[0].path}", 1, len(OVER) + 1, len(axes[0].path))
        message = f"{total:,} trials are more than {MOST_TRIALS:,}"
        raise SpecError([Problem("override", message, place, "take fewer values, or several sweeps")])
    return [dict(zip(paths, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]


def overrides(values: Mapping[str, Any]) -> list[str]:
    """The combination as `--set` takes it; JSON is YAML, and a word stays one."""
    return [f"{path}={_said(value)}" for path, value in values.items()]


def _said(value: Any) -> str:
    if isinstance(value, str) and _WORD.match(value) and core_value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
