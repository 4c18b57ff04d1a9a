"""What a loss takes the model's outputs for: how many there are for each target, and which is its prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annpipe.contract import OutputRoles
from annpipe.draft.component import Component
from annpipe.draft.losses import by_target
from annpipe.draft.option_faults import option_refused
from annpipe.errors import OptionError, Problem
from annpipe.registry.loading import function_of


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
