"""A model as blocks: a box for each layer, frames around layers that hold others, arrows from one to the next.

A line on the right leads from each tap to the layers that read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from annpipe_std.outputs import OutputOf
from annpipe_std.plots.style import INK, PREDICTION, TRAIN, shown
from annpipe_std.structure import Join, Parallel, Repeat, Residual, Take, Tap

Shape = tuple[int, ...]
Shapes = dict[torch.nn.Module, tuple[Shape, Shape]]
WIDTH, HEIGHT, SMALL = 3.2, 0.62, 0.36
SPACE, PAD, HEAD = 0.3, 0.28, 0.3
MOST = 40
"""Layers in a row; of more the first and the last are drawn."""
STACK_NAMES = {"inputs": "stacks", "outputs": "heads"}
"""The parts of a model of several inputs or outputs, and where each has the names of what it holds."""
LEARNED, FIXED, FRAME, NOTE = "#dbe9f4", "#f4f4f4", "#8a8a8a", "#555555"


@dataclass(frozen=True)
class _Box:
    """Something to draw: its size, what is written on it, and what stands inside, one below or beside the other.

    `sets` and `reads` are the names of its taps.
    """

    kind: str
    width: float
    height: float
    text: str = ""
    note: str = ""
    learned: bool = False
    inside: list[_Box] = field(default_factory=list)
    sets: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


TappedBoxes = list[tuple[_Box, float, float]]
"""The boxes that have to do with taps, from above to below, each with the middle of its right side."""


def blocks(axes: Axes, model: torch.nn.Module, shapes: Shapes, inputs: str) -> None:
    """Draws the model from top to bottom, above it the shape of its input and what the inputs are called."""
    whole = _sequence(dict(model.named_children()) or {"0": model}, shapes)
    arrives = shapes[model][0] if model in shapes else None
    axes.set_ylim(-whole.height - 0.5, 1.2)
    label = f"input {_row(arrives)}" if arrives is not None else "input"
    axes.text(0, 0.92, label, ha="center", va="center", fontsize=9)
    axes.text(0, 0.6, inputs, ha="center", va="center", fontsize=8, color=NOTE)
    _arrow(axes, (0, 0.42), (0, 0))
    tapped: TappedBoxes = []
    _draw(axes, whole, 0, 0, tapped)
    _arrow(axes, (0, -whole.height), (0, -whole.height - 0.42))
    right = _taps_drawn(axes, tapped, whole.width / 2)
    axes.set_xlim(-whole.width / 2 - 0.4, right + 0.4)


def _taps_drawn(axes: Axes, tapped: TappedBoxes, right: float) -> float:
    """A line for each tap that is read, down a lane beside the boxes, that of the first outermost; where lanes end."""
    n_taps = sum(len(box.sets) for box, _, _ in tapped)
    lanes = iter(right + 0.3 * number for number in range(n_taps, 0, -1))
    drawn: dict[str, tuple[float, float, float]] = {}
    for box, x, y in tapped:
        for name in box.reads:
            if name in drawn:  # its tap is not among layers that are left out
                begin, top, lane = drawn[name]
                corners = ([begin, lane, lane, x + 0.2], [top, top, y, y])
                axes.plot(*corners, color=PREDICTION, linewidth=1.3, zorder=0.5)
                _arrow(axes, (x + 0.2, y), (x, y), colour=PREDICTION)
        for name in box.sets:
            drawn[name] = (x, y, next(lanes))
    return right + 0.3 * n_taps


def _box_of(name: str, module: torch.nn.Module, shapes: Shapes) -> _Box:
    if isinstance(module, Residual):
        has_projection = bool(list(module.projection.parameters()))
        inner = _sequence(dict(module.layers.named_children()), shapes)
        note = "projection" if has_projection else ""
        side = 1.0 if has_projection else 0.5
        size = (inner.width + 2 * PAD + 2 * side, inner.height + 2 * PAD + HEAD + 0.75)
        return _Box("residual", *size, "residual", note, inside=[inner])
    if isinstance(module, Parallel):
        branches = [_sequence(dict(branch.named_children()), shapes) for branch in module.branches]
        return _beside("parallel", module.join, branches)
    if name in ("inputs", "outputs") and isinstance(getattr(module, STACK_NAMES[name], None), list):
        stacks = [
            _framed(label, _sequence(dict(stack.named_children()), shapes)) for label, stack in module.named_children()
        ]
        return _beside(name, str(getattr(module, "join", "concat")), stacks)
    if isinstance(module, Repeat):
        children = dict(module.layers.named_children())
        n_once = len(children) if module.share else len(children) // module.times
        once = _sequence(dict(list(children.items())[:n_once]), shapes)
        return _framed(f"repeat, {module.times} times{', the same weights' if module.share else ''}", once)
    if isinstance(module, torch.nn.Sequential) and len(module):
        return _framed(name, _sequence(dict(module.named_children()), shapes))
    return _leaf(module, shapes)


def _beside(text: str, join: str, branches: list[_Box]) -> _Box:
    width = sum(branch.width for branch in branches) + SPACE * (len(branches) - 1)
    height = max(branch.height for branch in branches)
    return _Box("parallel", width + 2 * PAD, height + 2 * PAD + HEAD + 1.3, text, join, inside=branches)


def _framed(text: str, inner: _Box) -> _Box:
    return _Box("frame", inner.width + 2 * PAD, inner.height + 2 * PAD + HEAD, text, inside=[inner])


def _leaf(module: torch.nn.Module, shapes: Shapes) -> _Box:
    count = sum(parameter.numel() for parameter in module.parameters())
    shape = _row(shapes[module][1]) if module in shapes else ""
    same = module in shapes and shapes[module][0] == shapes[module][1]
    parts = [shape if count or not same else "", f"{count:,} parameters" if count else ""]
    note = "  ·  ".join(part for part in parts if part)
    sets, reads = _taps_of(module)
    size = HEIGHT if note else SMALL
    return _Box("leaf", WIDTH, size, _title(module), note, learned=count > 0, sets=sets, reads=reads)


def _title(module: torch.nn.Module) -> str:
    match module:
        case Tap():
            return f"tap {module.name}"
        case Take():
            return f"take {module.name}"
        case Join():
            return f"join {', '.join(module.names)} by {module.by}"
        case OutputOf():
            return f"{type(module.layer).__name__}, {module.part}"
    return type(module).__name__


def _taps_of(module: torch.nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that a layer taps, and those that it reads."""
    match module:
        case Tap():
            return (module.name,), ()
        case Take():
            return (), (module.name,)
        case Join():
            return (), tuple(module.names)
    return (), ()


def _sequence(children: Mapping[str, torch.nn.Module], shapes: Shapes) -> _Box:
    """Modules one below the other; of too many the first and the last."""
    if not children:
        return _Box("leaf", WIDTH, SMALL, "as it is")
    items = list(children.items())
    left_out = max(0, len(items) - MOST)
    kept = items[: MOST // 2] + items[len(items) - MOST // 2 :] if left_out else items
    boxes = [_box_of(name, module, shapes) for name, module in kept]
    if left_out:
        boxes.insert(MOST // 2, _Box("gap", WIDTH, SMALL, f"… {left_out} more layers …"))
    height = sum(box.height for box in boxes) + SPACE * (len(boxes) - 1)
    return _Box("sequence", max(box.width for box in boxes), height, inside=boxes)


def _draw(axes: Axes, box: _Box, x: float, top: float, tapped: TappedBoxes) -> None:
    """Draws a box whose upper edge has its middle at (x, top)."""
    if box.kind == "sequence":
        y = top
        for number, inner in enumerate(box.inside):
            if number:
                _arrow(axes, (x, y + SPACE), (x, y))
            _draw(axes, inner, x, y, tapped)
            y -= inner.height + SPACE
    elif box.kind == "leaf":
        _leaf_drawn(axes, box, x, top)
        if box.sets or box.reads:
            tapped.append((box, x + box.width / 2, top - box.height / 2))
    elif box.kind == "gap":
        axes.text(x, top - box.height / 2, box.text, ha="center", va="center", fontsize=9, style="italic")
    else:
        _frame_drawn(axes, box, x, top, tapped)


def _leaf_drawn(axes: Axes, box: _Box, x: float, top: float) -> None:
    colour = LEARNED if box.learned else FIXED
    axes.add_patch(_rounded(x, top, box, facecolor=colour, edgecolor=INK, linewidth=1.0))
    middle = top - box.height / 2
    if box.note:
        axes.text(x, middle + 0.13, shown(box.text), ha="center", va="center", fontsize=9, weight="bold")
        axes.text(x, middle - 0.14, box.note, ha="center", va="center", fontsize=7)
    else:
        axes.text(x, middle, shown(box.text), ha="center", va="center", fontsize=8.5)


def _rounded(x: float, top: float, box: _Box, **look: object) -> FancyBboxPatch:
    style = "round,pad=0,rounding_size=0.09"
    corner = (x - box.width / 2, top - box.height)
    return FancyBboxPatch(corner, box.width, box.height, boxstyle=style, **look)  # type: ignore[arg-type]  # a patch's own


def _frame_drawn(axes: Axes, box: _Box, x: float, top: float, tapped: TappedBoxes) -> None:
    """The frame of layers that hold others, its title in the upper left corner."""
    look = {"facecolor": "none", "edgecolor": FRAME, "linewidth": 1.0, "linestyle": (0, (4, 2))}
    axes.add_patch(_rounded(x, top, box, **look))
    axes.text(x - box.width / 2 + 0.12, top - 0.2, shown(box.text), ha="left", va="center", fontsize=8, color="#555555")
    start = top - HEAD - PAD
    if box.kind == "residual":
        _residual_drawn(axes, box, x, (top, start), tapped)
    elif box.kind == "parallel":
        _parallel_drawn(axes, box, x, (top, start), tapped)
    else:
        _arrow(axes, (x, top), (x, start))
        _draw(axes, box.inside[0], x, start, tapped)
        axes.plot([x, x], [start - box.inside[0].height, top - box.height], color=INK, linewidth=1.0)


def _residual_drawn(axes: Axes, box: _Box, x: float, edges: tuple[float, float], tapped: TappedBoxes) -> None:
    """The layers, what arrives going past them on the right, and the sum of both below."""
    top, start = edges
    inner = box.inside[0]
    _arrow(axes, (x, top), (x, start))
    _draw(axes, inner, x, start, tapped)
    joint = top - box.height + 0.32
    aside = x + inner.width / 2 + 0.32
    fork = top - 0.18
    axes.plot([x, aside, aside], [fork, fork, joint], color=PREDICTION, linewidth=1.3)
    _arrow(axes, (aside, joint), (x + 0.17, joint), colour=PREDICTION)
    if box.note:
        middle = start - inner.height / 2
        axes.text(aside + 0.14, middle, box.note, rotation=270, ha="left", va="center", fontsize=8, color=PREDICTION)
    _arrow(axes, (x, start - inner.height), (x, joint + 0.17))
    _joint(axes, x, joint, "+")
    axes.plot([x, x], [joint - 0.17, top - box.height], color=INK, linewidth=1.0)


def _parallel_drawn(axes: Axes, box: _Box, x: float, edges: tuple[float, float], tapped: TappedBoxes) -> None:
    """The branches beside one another, and below them how they are joined."""
    top, start = edges
    fork = start - 0.1
    begin = start - 0.4
    joint = top - box.height + 0.36
    axes.plot([x, x], [top, fork], color=INK, linewidth=1.0)
    left = x - box.width / 2 + PAD
    height = max(inner.height for inner in box.inside)
    for inner in box.inside:
        middle = left + inner.width / 2
        axes.plot([x, middle], [fork, fork], color=INK, linewidth=1.0)
        _arrow(axes, (middle, fork), (middle, begin))
        _draw(axes, inner, middle, begin, tapped)
        below = begin - height - 0.15
        axes.plot([middle, middle, x], [begin - inner.height, below, below], color=INK, linewidth=1.0)
        left += inner.width + SPACE
    _arrow(axes, (x, begin - height - 0.15), (x, joint + 0.17))
    _joint(axes, x, joint, {"add": "+", "mul": "×", "concat": "‖"}[box.note])
    axes.text(x + 0.28, joint, box.note, ha="left", va="center", fontsize=8, color="#555555")
    axes.plot([x, x], [joint - 0.17, top - box.height], color=INK, linewidth=1.0)


def _joint(axes: Axes, x: float, y: float, sign: str) -> None:
    axes.add_patch(Circle((x, y), 0.17, facecolor="white", edgecolor=TRAIN, linewidth=1.3, zorder=3))
    axes.text(x, y, sign, ha="center", va="center_baseline", fontsize=10, color=TRAIN, zorder=4)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
    arrow = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=8, color=colour, linewidth=1.0, shrinkA=0, shrinkB=0
    )
    axes.add_patch(arrow)


def _row(shape: Shape) -> str:
    return " × ".join(map(str, shape)) if shape else "1"
