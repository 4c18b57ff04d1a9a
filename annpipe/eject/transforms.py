"""The transforms of a script: fitted on the rows that are trained on, before the model or as its beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annpipe.backend.streams import stream_seed
from annpipe.datasets.steps.transforms import FLATTEN, UNFLATTEN, ColumnGroup, Fitted, Step
from annpipe.eject.layout import Group, call, flat, listed, statement
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.portable.columns import Columns, Targets, Whole
from annpipe.train.parts import Parts

FIT = '''def fit(steps, rows):
    """Fits each step to the rows that the steps before it leave."""
    for step in steps:
        step.fit(rows)
        with torch.no_grad():
            rows = step.eval()(rows)
    return rows'''
SHAPING = "isinstance(step, nn.Flatten | nn.Unflatten)"
FIT_SHAPED = FIT.replace("        step.fit(rows)", f"        if not {SHAPING}:\n            step.fit(rows)")


def transform_lines(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """The lines that make the transforms, fit them and apply them; x and y of each split are doubles before.

    `columns` is left as what begins the model, where something in it is trained or random; `target_scale` as what
    brings predictions back.
    """
    fitted = parts.fitted
    if fitted is None:
        return []
    lines = [f"torch.manual_seed({stream_seed(plan.head.seed, 'columns')})"] if _draws(fitted) else []
    shaped = any(step.component.entry in (FLATTEN, UNFLATTEN) for step in _all_steps(fitted))
    writer.sources.add_text("fit", FIT_SHAPED if shaped else FIT)
    if any(fitted.targets):
        lines += _targets(fitted, parts, writer)
    lines += _whole(fitted, parts, writer) if fitted.is_whole else _groups(fitted, parts, writer)
    return lines


def _draws(fitted: Fitted) -> bool:
    """Whether a transform has weights of its own, which begin at random."""
    return any(True for step in _all_steps(fitted) for _ in step.module.parameters())


def _all_steps(fitted: Fitted) -> Iterator[Step]:
    for group in (*fitted.before, *fitted.inside):
        yield from group.steps


def _targets(fitted: Fitted, parts: Parts, writer: Writer) -> list[str]:
    cls = writer.sources.of(Targets)
    groups = listed([_steps(steps, writer) for steps in fitted.targets])
    more = [str(list(fitted.widths))] if fitted.widths else []
    more += [str(list(fitted.variances))] if fitted.variances else []
    lines = statement("target_scale = ", call(cls, groups, *more))
    for number, steps in enumerate(fitted.targets):
        if steps:
            lines.append(f"fit(target_scale.steps[{number}], y_train[:, {number}, None])")
    return [*lines, *(f"y_{name} = target_scale(y_{name})" for name in parts.splits.by_name)]


def _steps(steps: Sequence[Step], writer: Writer) -> Group:
    return listed([writer.call(step.component) for step in steps])


def _whole(fitted: Fitted, parts: Parts, writer: Writer) -> list[str]:
    """Steps for one input of a shape of its own."""
    lines: list[str] = []
    if fitted.before:
        steps = [writer.call(step.component) for step in fitted.before[0].steps]
        lines += statement("before = ", call("nn.Sequential", *steps))
        lines.append("fit(before, x_train)")
        lines += [f"x_{name} = before(x_{name})" for name in parts.splits.by_name]
    if fitted.inside:
        steps = [writer.call(step.component) for step in fitted.inside[0].steps]
        lines += statement("columns = ", call(writer.sources.of(Whole), *steps))
        lines.append("fit(columns, x_train)")
    return lines


def _groups(fitted: Fitted, parts: Parts, writer: Writer) -> list[str]:
    """Steps for groups of columns, which come out side by side."""
    lines: list[str] = []
    cls = writer.sources.of(Columns)
    before = fitted.before
    made = _columns(before, cls, writer) if before else None
    inside = _columns(fitted.inside, cls, writer) if fitted.inside else None
    for name, group in (("before", made), ("columns", inside)):
        if group is None:
            continue
        lines += statement(f"{name} = ", group)
        lines += [
            f"for steps, positions in zip({name}.steps, {name}.positions, strict=True):",
            "    fit(steps, x_train[:, positions])",
        ]
        if name == "before":
            lines += [f"x_{split} = before(x_{split})" for split in parts.splits.by_name]
    return lines


def _columns(groups: Sequence[ColumnGroup], cls: str, writer: Writer) -> Group:
    pairs = [Group("", (_positions(group), _steps(group.steps, writer))) for group in groups]
    return call(cls, listed(pairs, spread=len(pairs) > 1))


def _positions(group: ColumnGroup) -> str:
    """The columns of a group; many that follow one another are a range."""
    first, count = group.positions[0], len(group.positions)
    is_range = count > 8 and group.positions == tuple(range(first, first + count))
    return f"range({first}, {first + count})" if is_range else flat(listed(map(str, group.positions)))
