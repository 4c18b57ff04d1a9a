"""The metrics of a script: in a line where the formula is one, else by a copy of the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annpipe.draft.component import Component
from annpipe.eject.layout import Expression, Group, call, flat, quoted, statement
from annpipe.eject.writer import Writer
from annpipe.plan.output_roles import PointColumn, plan_roles, points
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts

FORMULAS = {
    "MeanAbsoluteError": "({p} - {t}).abs().mean().item()",
    "MeanSquaredError": "({p} - {t}).square().mean().item()",
    "RootMeanSquaredError": "({p} - {t}).square().mean(0).sqrt().mean().item()",
    "R2Score": "(1 - ({t} - {p}).square().sum(0) / ({t} - {t}.mean(0)).square().sum(0)).mean().item()",
}
"""Metrics of numbers that are one line, by their classes."""
COMPUTED = '''def computed(metric, prediction, target):
    """The value of a metric over all rows."""
    for block in zip(prediction.split(8192), target.split(8192), strict=True):
        metric.update(*block)
    return float(metric.compute())'''
PACKAGE = "annpipe_std.metrics."


class Measuring:
    """Writes the function `measure(prediction, target)`, which gives every metric by its key."""

    def __init__(self, plan: Plan, parts: Parts, writer: Writer, *, exact: bool = False) -> None:
        """`exact` asks for the classes themselves, whose values decide something, to the last bit."""
        self._plan, self._parts, self._writer, self._exact = plan, parts, writer, exact

    def lines(self) -> list[str]:
        """The function; nothing where there are no metrics."""
        if not self._parts.metrics:
            return []
        body = ['"""The metrics of predictions, in the units of the data."""']
        if self._parts.transformed.targets is not None:
            body.append("prediction, target = target_scale.inverse(prediction), target_scale.inverse(target)")
        values = self._values()
        if any(".double()" not in flat(value) and "computed" not in flat(value) for value in values.values()):
            body.append("prediction, target = prediction.double(), target.double()")
        items = tuple((f"{quoted(key)}: ", value) for key, value in values.items())
        body += statement("return ", Group("", items, "{}", spread=len(items) > 1))
        return ["def measure(prediction, target):", *(f"    {line}" for line in body)]

    def _values(self) -> Mapping[str, Expression]:
        return {key: self._value(metric, head) for key, (metric, head) in self._parts.metrics.items()}

    def _value(self, metric: Component, head: str | None) -> Expression:
        prediction, target = self._seen(head)
        formula = FORMULAS.get(metric.name) if metric.entry.target.startswith(PACKAGE) else None
        is_plain = metric.options in ({}, {"squared": True}) and head is None and prediction == "prediction"
        if formula and is_plain and not self._exact:
            return formula.format(p=prediction, t=target)
        computed = self._writer.sources.add_text("computed", COMPUTED)
        return call(computed, self._writer.call(metric), prediction, target)

    def _seen(self, head: str | None) -> tuple[str, str]:
        """What a metric sees of predictions and targets: those of its head, and the points of distributions."""
        if head is None:
            prediction, target = "prediction", "target"
        else:
            prediction = f"loss_function.of_prediction({quoted(head)}, prediction)"
            target = f"loss_function.of_target({quoted(head)}, target)"
        columns = points(plan_roles(self._plan), has_heads=bool(self._plan.outputs)).columns.get(head)
        return (prediction if columns is None else _points(prediction, columns)), target


def _points(prediction: str, columns: Sequence[PointColumn]) -> str:
    picked = f"{prediction}[:, {[point.column for point in columns]}]"
    if not any(point.is_log for point in columns):
        return picked
    if all(point.is_log for point in columns):
        return f"{picked}.exp()"
    each = ", ".join(f"{prediction}[:, {p.column}]" + (".exp()" if p.is_log else "") for p in columns)
    return f"torch.stack([{each}], dim=1)"
