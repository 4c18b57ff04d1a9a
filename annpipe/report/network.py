"""The network of a report: its layers in a list, and drawn as boxes one below the other, with shapes and parameters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from annpipe.draft.component import components_in
from annpipe.plan.plan import Layer, Plan
from annpipe.report.wording import short

MOST_LAYERS = 60
WIDTH, BOX, GAP, INDENT = 420, 38, 16, 18
MOST_DEPTH = 4
SIZES = ("out_features", "out_channels", "hidden_size", "embedding_dim", "kernel_size", "p", "num_heads")


@dataclass(frozen=True)
class LayerRow:
    """A layer as it is listed: how deep inside others, the stack that it begins, its options in short, shapes."""

    depth: int
    branch: str
    name: str
    detail: str
    output: str
    parameters: int


def layer_rows(plan: Plan) -> tuple[LayerRow, ...]:
    """Every layer, those inside others after the one that holds them."""
    return tuple(row for layer in plan.model for row in _rows(layer, 0, ""))


def _rows(layer: Layer, depth: int, branch: str) -> Iterator[LayerRow]:
    component = layer.component
    options = component.options
    words = [part.name for value in options.values() for part in components_in(value)] if not layer.stacks else []
    words += [_option(name, options[name]) for name in SIZES if options.get(name) is not None]
    yield LayerRow(
        depth, branch, short(component.name), short(", ".join(words)), shape(layer.output_shape), layer.parameters
    )
    for path, stack in layer.stacks.items():
        for position, inner in enumerate(stack):
            yield from _rows(inner, depth + 1, "" if position else short(path.rpartition(".")[2]))


def _option(name: str, value: object) -> str:
    return str(value) if name.startswith("out_") else f"{name.replace('_', ' ')} {value}"


def shape(sizes: Sequence[int]) -> str:
    """The shape of a row: `64`, `16 × 28 × 28`, `1` for a single number."""
    return " × ".join(f"{size:,}" for size in sizes) or "1"


def network_picture(plan: Plan, rows: Sequence[LayerRow]) -> Markup:
    """The layers as boxes; a bar in each is its part of all parameters. Of very many layers the first and the last."""
    shown = list(rows)
    left_out = len(shown) - MOST_LAYERS
    if left_out > 0:
        shown = [*shown[: MOST_LAYERS // 2], *shown[-MOST_LAYERS // 2 :]]
    holders = {id(row) for row, after in itertools.pairwise(shown) if after.depth > row.depth}
    most = max(row.parameters for row in shown if id(row) not in holders)
    y = BOX + GAP
    parts = [_end(0, f"input {shape(plan.model[0].input_shape)}")]
    for position, row in enumerate(shown):
        if left_out > 0 and position == MOST_LAYERS // 2:
            parts.append(_end(y, f"… {left_out:,} more layers …"))
            y += BOX + GAP
        parts += [_arrow(y, row.depth), _box(row, y, 0 if id(row) in holders else most)]
        y += BOX + GAP
    parts += [_arrow(y, 0), _end(y, f"output {shape(plan.model[-1].output_shape)}")]
    height = y + BOX
    head = f'<svg class="network" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="the layers of the network">'
    return Markup(head + "".join(parts) + "</svg>")


def _box(row: LayerRow, y: int, most: int) -> str:
    x = INDENT * min(row.depth, MOST_DEPTH)
    width = WIDTH - x
    bar = max(2.0, (width - 16) * min(1.0, row.parameters / most)) if row.parameters and most else 0.0
    name = f"{row.branch}: {row.name}" if row.branch else row.name
    detail = f'<tspan class="soft" dx="8">{escape(short(row.detail, 26))}</tspan>' if row.detail else ""
    count = f"{row.parameters:,}" if row.parameters else ""
    right = f'{escape(row.output)}<tspan class="soft" dx="8">{count}</tspan>' if count else str(escape(row.output))
    css = "box" if row.parameters else "box plain"
    return (
        f'<rect class="{css}" x="{x}" y="{y}" width="{width}" height="{BOX}" rx="6"/>'
        f'<text x="{x + 10}" y="{y + 23}">{escape(short(name, 24))}{detail}</text>'
        f'<text x="{WIDTH - 10}" y="{y + 23}" text-anchor="end">{right}</text>'
        + (f'<rect class="bar" x="{x + 8}" y="{y + BOX - 5}" width="{bar:.1f}" height="2.5" rx="1"/>' if bar else "")
    )


def _arrow(y: int, depth: int) -> str:
    x = INDENT * min(depth, MOST_DEPTH) + 24
    return f'<path class="arrow" d="M{x} {y - GAP + 1}V{y - 3}m-3.5-4 3.5 4 3.5-4"/>'


def _end(y: int, words: str) -> str:
    return f'<text class="soft" x="10" y="{y + 23}">{escape(words)}</text>'
