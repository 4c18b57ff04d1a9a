"""The text of `annpipe inspect`: tables by section, fitted to the terminal, and the same as data for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from annpipe.cli.views.text import USUAL_WIDTH, fitted, paragraph, terminal_width
from annpipe.errors import one_line

if TYPE_CHECKING:
    import torch

    from annpipe.inspection.attributions import Attributions
    from annpipe.inspection.dependence import Dependence
    from annpipe.inspection.gradients import GradientNorms
    from annpipe.inspection.units import Units
    from annpipe.runs.inspect import Importance, Inspected

MOST_LINES = 20  # of a table of columns
MOST_VALUES = 11  # of a grid
MOST_EPOCHS = 5
MOST_ANSWERS = 4
BAR = 12  # letters of the longest bar


def as_text(inspected: Inspected) -> str:
    """Every section that was looked at, and why others were left out."""
    from annpipe.cli.views.inspect_row import row_lines

    width = terminal_width()
    lines = [f"{one_line(inspected.run)}  on {_rows(inspected.rows)} of {one_line(inspected.rows_name)}"]
    if inspected.importance is not None:
        lines += ["", *_importance(inspected.importance, width)]
    for dependence in inspected.dependence:
        lines += ["", *_dependence(dependence, width)]
    if inspected.units is not None:
        lines += ["", *_units(inspected.units, inspected.units_rows, width)]
    if inspected.gradients is not None:
        lines += ["", *_gradients(inspected.gradients, width)]
    if inspected.row is not None:
        lines += ["", *row_lines(inspected.row, inspected.row_number, inspected.row_values, width or USUAL_WIDTH)]
    for attributions in inspected.attributions:
        lines += ["", *_attributions(attributions, width)]
    for section, reason in inspected.left_out.items():
        lines += ["", *paragraph(f"{section}: left out, since {reason}", width)]
    return "\n".join(lines)


def _rows(n: int) -> str:
    return f"{n:,} row{'s' * (n != 1)}"


def _table(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """An indented table; the first column is kept whole as long as it can be."""
    yield from (f"  {line}".rstrip() for line in fitted(rows, None if width is None else width - 2, whole=[0]))


def number(value: float) -> str:
    """A number in four digits."""
    return "nan" if math.isnan(value) else f"{value:.4g}"


def _importance(importance: Importance, width: int | None) -> Iterator[str]:
    better = "falls" if importance.higher_is_better else "grows"
    head = f"importance: how much {importance.metric} {better} when the values of a column are shuffled"
    times = f"{importance.repeats} shuffles of {_rows(importance.rows)}; as they are, it is {number(importance.value)}"
    yield from paragraph(f"{one_line(head)} ({times})", width)
    largest = max((spread.mean for column in importance.columns if (spread := column.spread).mean > 0), default=0.0)
    rows = [["column", "mean", "95 % interval", ""]]
    for column in importance.columns[:MOST_LINES]:
        spread = column.spread
        low, high = spread.mean - spread.half_width, spread.mean + spread.half_width
        interval = "" if math.isnan(low) else f"{number(low)} … {number(high)}"
        rows.append([one_line(column.column), number(spread.mean), interval, _bar(spread.mean, largest)])
    yield from _table(rows, width)
    yield from _more(len(importance.columns), width)


def _bar(value: float, largest: float) -> str:
    return "█" * round(BAR * value / largest) if largest and value > 0 else ""


def _more(n: int, width: int | None) -> list[str]:
    return (
        paragraph(f"and {n - MOST_LINES:,} more; `--json` and `-o` have them all", width, "  ")
        if n > MOST_LINES
        else []
    )


def some(n: int, most: int) -> list[int]:
    """At most so many of n positions, at equal distances, the first and the last among them."""
    if n <= most:
        return list(range(n))
    return [round(step * (n - 1) / (most - 1)) for step in range(most)]


def _dependence(dependence: Dependence, width: int | None) -> Iterator[str]:
    n_rows = len(next(iter(dependence.curves.values())))
    head = f"dependence on {dependence.column}: the mean answer when all {_rows(n_rows)} have its value"
    yield from paragraph(one_line(head), width)
    names = list(dependence.curves)[:MOST_ANSWERS]
    labels, mean = dependence.labels, dependence.mean
    rows = [[one_line(dependence.column), *map(one_line, names)]]
    shown = some(len(labels), MOST_LINES if dependence.words else MOST_VALUES)
    rows += [[one_line(labels[at]), *(number(mean[name][at].item()) for name in names)] for at in shown]
    yield from _table(rows, width)
    if len(dependence.curves) > len(names):
        yield from paragraph(
            f"and {len(dependence.curves) - len(names)} more answers; `--json` and `-o` have all", width, "  "
        )


def _units(units: Units, n_rows: int, width: int | None) -> Iterator[str]:
    yield from paragraph(f"units: where the activations are flat, at {_rows(n_rows)}", width)
    if not units.layers:
        yield from paragraph("no layer of the model is an activation by itself", width, "  ")
    else:
        rows = [["layer", "units", "dead", "flat", "mostly flat"]]
        for layer in units.layers:
            fraction = f"{100 * float(layer.saturated.mean()):.1f} %"
            always = _numbered(layer.always_saturated)
            rows.append([f"{layer.name} {layer.layer}", f"{layer.units:,}", _numbered(layer.dead), fraction, always])
        yield from _table(rows, width)
        yield from paragraph("dead: units that pass no gradient at any of the rows", width, "  ")
        meaning = "flat: the share of rows and units whose slope is below 5 % of the steepest, as of a saturated tanh"
        yield from paragraph(f"{meaning}; mostly: units at 95 % of the rows or more", width, "  ")
    if units.closed:
        yield from paragraph(f"not looked at: the inner activations of {', '.join(units.closed)}", width, "  ")


def _numbered(units: Sequence[int]) -> str:
    """How many units, and which, from 0."""
    if not units:
        return "0"
    return f"{len(units)} ({', '.join(map(str, units[:6]))}{', …' if len(units) > 6 else ''})"


def _gradients(gradients: GradientNorms, width: int | None) -> Iterator[str]:
    if gradients.source == "recorded":
        how = "as the callback `gradient_norms` recorded them: of the last step before each look"
    else:
        how = f"computed now for the kept checkpoints: of the loss over {_rows(gradients.rows)} of train"
    yield from paragraph(f"gradients: the norm for each layer by epoch, {how}", width)
    epochs = sorted({epoch for values, _ in gradients.layers.values() for epoch in values})
    shown = [epochs[at] for at in some(len(epochs), MOST_EPOCHS)]
    rows = [["layer", *(f"epoch {epoch:g}" for epoch in shown)]]
    for layer, (at, norms) in gradients.layers.items():
        by_epoch = dict(zip(at, norms, strict=True))
        rows.append([one_line(layer), *(number(by_epoch[epoch]) if epoch in by_epoch else "" for epoch in shown)])
    yield from _table(rows, width)


def _attributions(attributions: Attributions, width: int | None) -> Iterator[str]:
    values = attributions.values
    of = f"attributions of {attributions.target} by {attributions.method}, over {_rows(len(values))}"
    yield from paragraph(one_line(f"{of}: the mean, and the mean without signs"), width)
    strength, mean = attributions.strength.flatten(), values.mean(0).flatten()
    names = attributions.columns or [_position(at, values.shape[1:]) for at in range(len(strength))]
    order = strength.argsort(descending=True).tolist()
    largest = float(strength.max())
    rows = [["column" if attributions.columns else "position", "mean", "without signs", ""]]
    for at in order[:MOST_LINES]:
        bar = _bar(strength[at].item(), largest)
        rows.append([one_line(names[at]), number(mean[at].item()), number(strength[at].item()), bar])
    yield from _table(rows, width)
    yield from _more(len(order), width)
    if attributions.gaps is None:
        yield from paragraph("this method promises no sum", width, "  ")
    else:
        span = attributions.largest_difference
        rule = "sum rule: the sum for a row misses its answer less that of the mean row"
        most = f"by {attributions.largest_gap:.2g} at most, of differences up to {number(span)}"
        yield from paragraph(f"{rule} {most}", width, "  ")


def _position(at: int, shape: torch.Size) -> str:
    """A position of an input with a shape of its own, as its indices."""
    indices = []
    for size in reversed(shape):
        at, index = divmod(at, size)
        indices.append(index)
    return f"[{', '.join(map(str, reversed(indices)))}]"
