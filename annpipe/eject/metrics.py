"""The metrics of a script: in a line where the formula is one, else by a copy of the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annpipe.draft.component import Component
from annpipe.eject.layout import Code, Group, call, number, quoted, statement
from annpipe.eject.writer import Writer
from annpipe.plan.output_roles import PointColumn, plan_roles, points
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts

FORMULAS = {
    "MeanAbsoluteError": "(prediction - target).abs().mean()",
    "MeanSquaredError": "(prediction - target).square().mean()",
    "RootMeanSquaredError": "(prediction - target).square().mean(0).sqrt().mean()",
    "R2Score": "(1 - (target - prediction).square().sum(0) / (target - target.mean(0)).square().sum(0)).mean()",
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
        if any(value in FORMULAS.values() for value in values.values()):
            body.append("prediction, target = prediction.double(), target.double()")
        items = tuple((f"{quoted(key)}: ", value) for key, value in values.items())
        body += statement("return ", Group("", items, "{}", spread=len(items) > 1))
        return ["def measure(prediction, target):", *(f"    {line}" for line in body)]

    def _values(self) -> Mapping[str, Code]:
        return {key: self._value(metric, head) for key, (metric, head) in self._parts.metrics.items()}

    def _value(self, metric: Component, head: str | None) -> Code:
        prediction, target = self._seen(head)
        is_whole = head is None and prediction == "prediction" and not self._exact
        if is_whole and metric.entry.target.startswith(PACKAGE) and (formula := self._formula(metric)):
            return formula
        computed = self._writer.sources.add_text("computed", COMPUTED)
        return call(computed, self._writer.call(metric), prediction, target)

    def _formula(self, metric: Component) -> str | None:
        """The metric in one line; None where it takes more."""
        if metric.name != "Accuracy":
            return FORMULAS.get(metric.name) if metric.options in ({}, {"squared": True}) else None
        y = [rows.y for rows in self._parts.rows.values()]
        if all(labels.is_floating_point() for labels in y):
            return f"((prediction > {number(metric.options['threshold'])}) == (target == 1)).double().mean()"
        is_plain = all(labels.ndim == 1 and bool((labels >= 0).all()) for labels in y)
        return "(prediction.argmax(1) == target).double().mean()" if is_plain else None

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
