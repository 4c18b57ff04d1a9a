"""Which outputs of a network are its predictions of the targets, as metrics, figures and files show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from annpipe.contract import OutputRoles
from annpipe.datasets.request import DataRequest
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.plan.output_roles import roles_by_target
from annpipe.plan.plan import Plan

Roles = Mapping[str, OutputRoles | None]


@dataclass(frozen=True)
class PointColumn:
    """The column that predicts a target, and whether the prediction is its exponential."""

    column: int
    is_log: bool = False

    def of(self, output: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, outputs) -> (rows,)."""
        value = output[:, self.column]
        return value.exp() if self.is_log else value


@dataclass(frozen=True)
class Points:
    """The predictions of the targets among the outputs of a model, or of each of its heads by their names.

    Where a model or head is not in `columns`, its outputs are the predictions.
    """

    columns: Mapping[str | None, tuple[PointColumn, ...]] = field(default_factory=dict)

    def of(self, head: str | None, output: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, outputs) -> (rows, targets)."""
        points = self.columns.get(head)
        return output if points is None else torch.stack([point.of(output) for point in points], 1)


def plan_roles(plan: Plan) -> Roles:
    """By target of a plan, what its loss takes outputs for; None where that is the target's own value."""
    return roles(plan.loss, {head.name: head.loss for head in plan.outputs}, list(plan.fields.targets))


def roles(loss: Component, heads: Mapping[str, Component], targets: Sequence[str]) -> Roles:
    """The same of a loss, or of the losses of heads by their targets where there are some."""
    if heads:
        return {name: roles_by_target(head_loss, [name])[name] for name, head_loss in heads.items()}
    return roles_by_target(loss, targets)


def with_output_roles(request: DataRequest, loss: Component, outputs: Sequence[OutputHead]) -> DataRequest:
    """The request with the number of outputs for each target and the positions of variances, where outputs have roles.

    Transforms of targets need them to bring predictions back to the units of the data.
    """
    by_target = roles(loss, {head.name: head.loss for head in outputs}, list(request.fields.targets))
    variances = tuple(known.variance if known else None for known in by_target.values())
    if outputs:
        widths = [stop - start for start, stop in loss.options["spans"].values()]
    else:
        widths = [n_outputs(known) for known in by_target.values()] if any(by_target.values()) else []
    has_variance = any(position is not None for position in variances)
    return replace(request, widths=tuple(widths), variances=variances if has_variance else ())


def points(roles: Roles, *, has_heads: bool) -> Points:
    """The predictions among the outputs of a model whose targets have these roles."""
    if not any(roles.values()):
        return Points()
    if has_heads:
        return Points({name: (point_of(role),) for name, role in roles.items() if role})
    points_of, start = [], 0
    for role in roles.values():
        points_of.append(point_of(role, start))
        start += n_outputs(role)
    return Points({None: tuple(points_of)})


def point_of(roles: OutputRoles | None, start: int = 0) -> PointColumn:
    """The prediction of a target whose outputs begin at the column `start`."""
    return PointColumn(start + roles.point, roles.is_log) if roles else PointColumn(start)


def n_outputs(roles: OutputRoles | None) -> int:
    """How many outputs a target has."""
    return len(roles.names) if roles else 1
