"""What a loss takes the model's outputs for, and which of them are the predictions of the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from annpipe.contract import OutputRoles
from annpipe.datasets.request import DataRequest
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.losses import by_target
from annpipe.draft.option_faults import option_refused
from annpipe.errors import OptionError, Problem
from annpipe.plan.plan import Plan
from annpipe.registry.discovery import function_of

Roles = Mapping[str, OutputRoles | None]


def roles_of_leaf(loss: Component) -> OutputRoles | None:
    """What a single loss takes the outputs of a target for; None where that is the target's own value.

    Raises OptionError where its options are refused.
    """
    function = function_of(loss.entry, "outputs")
    roles: OutputRoles | None = function(**loss.options) if function is not None else None
    return roles


def roles_by_target(loss: Component, targets: Sequence[str]) -> dict[str, OutputRoles | None]:
    """The roles for each target by its name; losses in a sum have the same ones (`role_faults`)."""
    roles: dict[str, OutputRoles | None] = dict.fromkeys(targets)
    for leaf, target in by_target(loss):
        for name in targets if target is None else (target,):
            roles[name] = roles_of_leaf(leaf)
    return roles


def role_faults(loss: Component, targets: Sequence[str]) -> list[Problem]:
    """Losses that see the same outputs and take them for different things, and several outputs where there is one."""
    known: dict[str | None, tuple[Component, OutputRoles | None]] = {}
    for leaf, target in by_target(loss):
        try:
            roles = roles_of_leaf(leaf)
        except OptionError as error:
            return [option_refused(leaf, error)]
        if target is not None and roles and len(roles.names) > 1:
            message = f"{leaf.name} needs {outputs_in_words(roles)} for '{target}', and {loss.name} gives each loss one"
            return [Problem("loss-mismatch", message, leaf.place, "give each target a head: `model.outputs`")]
        first, others = known.setdefault(target, (leaf, roles))
        if roles != others:
            takes, other = (
                f"{part.name} for {_role_in_words(role)}" for part, role in ((leaf, roles), (first, others))
            )
            message = f"the losses of a sum must take an output for the same thing; found {other}, {takes}"
            related = ((first.place, "the other one"),) if first.place else ()
            return [Problem("loss-mismatch", message, leaf.place, "take losses of one kind", related)]
    return []


def transform_faults(loss: Component, transforms: Mapping[str, Sequence[Component]]) -> list[Problem]:
    """Targets whose transforms their loss cannot be led back through: counts, and variances of curved scales."""
    problems = []
    roles = roles_by_target(loss, list(transforms))
    for target, steps in transforms.items():
        role = roles.get(target)
        if role is None or not steps:
            continue
        if role.is_log:
            message = f"{_name_of(loss, target)} takes outputs for logarithms of '{target}', which is transformed"
            problems.append(Problem("loss-mismatch", message, steps[0].place, "leave the target as it is"))
        curved = [step for step in steps if not _is_affine(step)]
        if role.variance is not None and curved:
            message = (
                f"the variance that {_name_of(loss, target)} learns of '{target}' cannot be transformed back through "
            )
            message += curved[0].name
            help_ = "`standardize`, `min_max` and `robust` can be transformed back; or take QuantileLoss"
            problems.append(Problem("loss-mismatch", message, curved[0].place, help_))
    return problems


def _is_affine(step: Component) -> bool:
    return bool(getattr(step.load(), "is_affine", False))


def _name_of(loss: Component, target: str) -> str:
    return next(leaf.name for leaf, name in by_target(loss) if name in (None, target))


def outputs_in_words(roles: OutputRoles) -> str:
    """Its outputs in words: `2 outputs (mean, variance)`."""
    return f"{len(roles.names)} outputs ({', '.join(roles.names)})"


def _role_in_words(roles: OutputRoles | None) -> str:
    if roles is None:
        return "the target's value"
    return f"the logarithm of its {roles.names[0]}" if roles.is_log else f"its {', '.join(roles.names)}"


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
