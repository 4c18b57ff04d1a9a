"""Sweeps to draw, made without training: every combination of some values, with a final value by a formula."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annpipe.spec.sections.axes import Axis
from annpipe.sweep.results.table import Goal, Result, SweepResult

LR, LAYER = "optimizer.Adam.lr", "model.1"


def sweep(
    space: Mapping[str, Sequence[Any]], value: Callable[[Mapping[str, Any]], float | None], *, higher: bool = False
) -> SweepResult:
    """A sweep over every combination whose trials ended with these values; those with None failed."""
    results = []
    for number, values in enumerate(itertools.product(*space.values())):
        named = dict(zip(space, values, strict=True))
        final = value(named)
        status = "FINISHED" if final is not None else "FAILED"
        results.append(Result(number, named, None, status, {} if final is None else {"val/loss": final}))
    return SweepResult("small", tuple(Axis(path, ()) for path in space), Goal("val/loss", higher), tuple(results))


def curves_of(swept: SweepResult) -> dict[int, tuple[list[int], list[float]]]:
    finals = {one.number: one.finals.get("val/loss", math.nan) for one in swept.results}
    return {number: ([1, 2, 3], [value + 2, value + 1, value]) for number, value in finals.items()}


def words(figure: Any) -> list[str]:
    """Every text of a figure, once."""
    from matplotlib.text import Text

    return list(dict.fromkeys(text.get_text() for text in figure.findobj(Text) if text.get_text()))


def loss(values: Mapping[str, Any]) -> float:
    worse = {"ReLU": 0.0, "Tanh": 0.2, "Sigmoid": 0.4}[values.get(LAYER, "ReLU")]
    return 0.01 + (math.log10(values[LR]) + 2) ** 2 + worse + 0.01 * values.get("seed", 0)


GRID = {LR: [1e-4, 1e-3, 1e-2, 1e-1], LAYER: ["ReLU", "Tanh", "Sigmoid"]}
