"""The transforms of a model as Python source: what `network.py` says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from annpipe.datasets.steps.transforms import ColumnGroup, Fitted, Step
from annpipe.draft.component import Component

IMPORT = "from columns_model import Columns, Model, Targets, Whole, begun_with"


def model_lines(fitted: Fitted, call: Callable[[Component], str], precision: str) -> list[str]:
    """The lines that put a `network` between its transforms; `call` says a transform as an expression."""
    lines = []
    if fitted.inside:
        double = ".double()" if precision == "float64" else ""
        lines += [f"    network = begun_with({_columns(fitted.inside, fitted, call)}{double}, network)"]
    before = _columns(fitted.before, fitted, call) if fitted.before else "None"
    targets = "None"
    if any(fitted.targets):
        widths = f", {list(fitted.widths)}" if fitted.widths else ""
        widths += f", {list(fitted.variances)}" if fitted.variances else ""
        targets = f"Targets([{', '.join(_steps(steps, call) for steps in fitted.targets)}]{widths})"
    return [*lines, f"    columns = {before}", f"    return Model(columns, network, {targets}, torch.{precision})"]


def _columns(groups: Sequence[ColumnGroup], fitted: Fitted, call: Callable[[Component], str]) -> str:
    if fitted.is_whole:
        return f"Whole({', '.join(call(step.component) for step in groups[0].steps)})"
    inner = "".join(f"        ({_positions(group)}, {_steps(group.steps, call)}),\n" for group in groups)
    return f"Columns([\n{inner}    ])"


def _positions(group: ColumnGroup) -> str:
    """The columns of a group; many that follow one another, as pixels do, are a range."""
    first, n = group.positions[0], len(group.positions)
    is_range = n > 8 and group.positions == tuple(range(first, first + n))
    return f"range({first}, {first + n})" if is_range else str(list(group.positions))


def _steps(steps: Sequence[Step], call: Callable[[Component], str]) -> str:
    return f"[{', '.join(call(step.component) for step in steps)}]"
