"""How the losses of batches become the loss of an epoch: by rows, by what classes weigh, or as a sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annpipe.eject.refused import refused
from annpipe.plan.plan import Plan
from annpipe.train.divisors import compares_labels, is_sum, terms_by_divisor
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule


@dataclass(frozen=True)
class Weighing:
    """Lines before the batches of an epoch, and after each of them; `is_sum` where nothing divides the loss."""

    begin: Sequence[str]
    take: Sequence[str]
    total: str
    is_sum: bool = False

    def mean(self, schedule: Schedule) -> str:
        """The loss of the epoch: of one step its own."""
        return "loss.item()" if schedule.steps_per_epoch == 1 else self.total


BY_ROWS = Weighing(("total = seen = 0.0",), ("total += loss.item() * len(rows)", "seen += len(rows)"), "total / seen")
AS_SUM = Weighing(("total = 0.0",), ("total += loss.item()",), "total", is_sum=True)


def weighing(plan: Plan, parts: Parts, schedule: Schedule) -> Weighing:
    """What fits the loss of a plan and its targets; raises NotEjected for a sum of losses that weigh rows unlike."""
    if is_sum(plan, parts.loss):
        return AS_SUM
    terms = terms_by_divisor(plan, parts, schedule)
    if terms is None:
        return BY_ROWS
    if not (terms.is_alone and compares_labels(parts.loss)):
        raise refused(plan.loss, "in batches its parts weigh rows unlike; `batch_size: all` has no such")
    if plan.train.accumulated_size is not None:
        raise refused(plan.loss, "with `train.accumulate` its classes weigh unlike in each batch")
    return Weighing(
        ("total = seen = 0.0",),
        (f"weight = {_weight(plan, parts)}.item()", "total += loss.item() * weight", "seen += weight"),
        "total / seen",
    )


def _weight(plan: Plan, parts: Parts) -> str:
    """What the labels of a batch weigh together: those that are ignored nothing."""
    labels, ignored = "y_train[rows]", plan.loss.options["ignore_index"]
    counts = f"({labels} != {ignored})"
    if parts.loss.weight is None:
        return f"{counts}.sum()"
    if bool((parts.rows["train"].y == ignored).any()):
        return f"(loss_function.weight[{labels}.masked_fill({labels} == {ignored}, 0)] * {counts}).sum()"
    return f"loss_function.weight[{labels}].sum()"
