"""Draft → Plan: the checks that need torch, once every name and option is right.

Shapes on the meta device, the output against the targets, the loss, and what components refuse when they are built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from annpipe.contract import Fields, Outline
from annpipe.draft.component import Component
from annpipe.draft.data_only import faults_of_data
from annpipe.draft.draft import watched_faults
from annpipe.draft.inputs_outputs import arriving, in_order, input_faults, is_inputs, output_faults
from annpipe.draft.taps import tap_faults
from annpipe.draft.transforms import grouped
from annpipe.draft.types import Draft
from annpipe.errors import Problem, SpecError
from annpipe.files.limits import held_to
from annpipe.registry.traits import LossTraits

if TYPE_CHECKING:
    from torch.nn import Parameter

    from annpipe.datasets.observe import Observed
    from annpipe.datasets.on_disk.passes import PassCache
    from annpipe.plan.plan import Layer, Plan


class Shaped:
    """The layers and parameters of models that were run on the meta device: the same one is not run again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Layer, ...], Mapping[str, Parameter]]] = {}

    def model(self, drafted: Draft, fields: Fields) -> tuple[tuple[Layer, ...], Mapping[str, Parameter]]:
        """The filled layers of a draft's model, with their shapes, and its parameters by name; raises SpecError."""
        from annpipe.plan.checks.construct import parameters_of
        from annpipe.plan.shapes.run import run_shapes

        # Also the places count: what is wrong elsewhere with one of the layers is told at its own.
        key = repr((drafted.model, drafted.blocks, drafted.spec.head.plugins, fields))
        if key not in self._known:
            layers = run_shapes(drafted.model, drafted.data, fields)
            self._known[key] = layers, parameters_of(layers)
        return self._known[key]


def resolve(drafted: Draft, shaped: Shaped | None = None, passes: PassCache | None = None) -> Plan:
    """Runs the checks that need torch and returns the Plan; raises SpecError.

    Makes the data where its fields are not declared, where transforms are fitted, or where a plot asks for them.
    `shaped` and `passes` keep models and what was read of chunked data for the next plan, where many are made of one
    spec.
    """
    with held_to(drafted.stance):
        return _resolved(drafted, shaped, passes)


def _resolved(drafted: Draft, shaped: Shaped | None, passes: PassCache | None) -> Plan:
    from annpipe.backend.initialize import check_parameters
    from annpipe.datasets.steps.splits import held_out
    from annpipe.plan.checks.construct import refusals
    from annpipe.plan.checks.heads import filled, for_each, placed
    from annpipe.plan.checks.memory import beyond_memory
    from annpipe.plan.checks.outputs import check_output
    from annpipe.plan.checks.plots_callbacks import misfits
    from annpipe.plan.checks.rows import lone_row, too_few
    from annpipe.plan.plan import Plan
    from annpipe.plan.predictions import with_output_roles
    from annpipe.plan.schedules import as_long_as, misfits_of, run_length
    from annpipe.plan.warnings.model import (
        clipped_within_a_step,
        labels_as_numbers,
        linear_collapse,
        steps_for_channels,
    )
    from annpipe.plan.warnings.outputs import activation_and_loss, goal_of_scheduler, thresholds_of_logits

    spec, registry = drafted.spec, drafted.registry
    try:
        observed = _observed(drafted, passes)
        fields = observed.fields
        held = None if fields.rows is None else observed.held or held_out(fields.rows, spec.split)
        has_val = spec.split.has_val if observed.held is None else bool(observed.held[0])
        length = run_length(spec.train, None if fields.rows is None or held is None else fields.rows - sum(held))
        drafted = as_long_as(length, _arranged(drafted, fields))
        if drafted.outputs and (faults := tap_faults(drafted.model)):  # heads may have changed places
            raise SpecError(faults)
        layers, parameters = (shaped or Shaped()).model(drafted, fields)
    except SpecError as error:
        raise SpecError([*error.problems, *refusals(drafted)]) from error
    parts = list(for_each(layers, drafted.loss, drafted.metrics, drafted.outputs, fields))
    problems = [p for own, loss, _, part in parts for p in check_output(own, loss, part, drafted)]
    if problems and drafted.outputs:
        raise SpecError(problems)
    drafted = replace(drafted, loss=placed(drafted.loss, layers, drafted.outputs))
    problems += refusals(drafted, parameters, list(fields.targets))
    problems = problems or _scales(drafted, fields)
    of_parameters, n_frozen = check_parameters(drafted, parameters)
    problems += of_parameters
    scheduled: list[Problem] = []
    if drafted.scheduler and length and not problems:
        found = misfits_of(drafted.scheduler, drafted, parameters, length)
        scheduled = [problem for problem in found if problem.severity == "warning"]
        problems += [problem for problem in found if problem.severity != "warning"]
    if fields.rows is not None and held is not None:
        problems += list(too_few(fields.rows, held, spec)) or lone_row(fields.rows - sum(held), spec, layers)
    if spec.split.has_val and not has_val:  # a column says it, and none of its rows is of val
        problems += watched_faults(drafted, has_val=False)
    problems += misfits(drafted, _outline(drafted, fields, may_make=not problems, has_val=has_val))
    if problems:
        raise SpecError(problems)
    plan = Plan(
        file=spec.file,
        head=spec.head,
        device=spec.device,
        data=drafted.data,
        split=spec.split,
        transforms=drafted.transforms,
        fields=fields,
        blocks=drafted.blocks,
        model=layers,
        outputs=filled(drafted.outputs, layers),
        init=drafted.init,
        freeze=tuple(str(node.value) for node in spec.freeze),
        n_frozen=n_frozen,
        loss=drafted.loss,
        optimizer=drafted.optimizer,
        groups=drafted.groups,
        scheduler=drafted.scheduler,
        average=drafted.average,
        train=spec.train,
        metrics=drafted.metrics,
        plots=drafted.plots,
        callbacks=drafted.callbacks,
        tracking=spec.tracking,
        registry=registry,
        request=with_output_roles(observed.request, drafted.loss, drafted.outputs),
        held=observed.held,
        warnings=(
            *observed.warnings,
            *linear_collapse(layers),
            *steps_for_channels(layers),
            *clipped_within_a_step(drafted),
            *(w for _, loss, _, part in parts for w in labels_as_numbers(loss, part, drafted)),
            *(w for own, loss, _, _ in parts for w in activation_and_loss(own, loss)),
            *(w for own, loss, metrics, _ in parts for w in thresholds_of_logits(own, loss, metrics)),
            *scheduled,
            *goal_of_scheduler(drafted.scheduler, drafted.metrics, drafted.outputs, has_val=has_val),
        ),
    )
    return replace(plan, warnings=(*plan.warnings, *beyond_memory(plan)))


def _scales(drafted: Draft, fields: Fields) -> list[Problem]:
    """Targets whose transforms their losses cannot be led back through."""
    from annpipe.plan.output_roles import transform_faults

    targets = grouped(drafted.transforms, fields).targets
    steps = {name: targets[name].steps if name in targets else () for name in fields.targets}
    losses = [(head.loss, {head.name: steps[head.name]}) for head in drafted.outputs] or [(drafted.loss, steps)]
    return [problem for loss, own in losses for problem in transform_faults(loss, own)]


def _arranged(drafted: Draft, fields: Fields) -> Draft:
    """The draft with its inputs told where their columns stand, and its heads in the order of their targets."""
    outputs = in_order(drafted.outputs, fields)
    names = [head.name for head in drafted.outputs]
    model = [arriving(layer, fields) if is_inputs(layer) else layer for layer in drafted.model]
    if outputs:
        order = [names.index(head.name) for head in outputs]
        last = model[-1]
        options = {name: [last.options[name][number] for number in order] for name in ("names", "branches")}
        model[-1] = last.with_options(**options)
        losses = {head.name: head.loss for head in outputs}
        weights = {head.name: head.weight for head in outputs}
        drafted = replace(drafted, loss=drafted.loss.with_options(losses=losses, weights=weights))
    return replace(drafted, model=tuple(model), outputs=outputs)


def _outline(drafted: Draft, fields: Fields, *, may_make: bool, has_val: bool) -> Outline:
    from annpipe.datasets.steps.make import make_dataset

    takes_classes = _is_of_classes(drafted.loss)
    made = cache(lambda: make_dataset(drafted.data, drafted.spec.head.seed)) if may_make else None
    heads = {head.name: (head.loss.name, _is_of_classes(head.loss)) for head in drafted.outputs}
    return Outline(fields, drafted.loss.name, takes_classes, has_val, made, heads=heads)


def _is_of_classes(loss: Component) -> bool:
    return loss.traits(LossTraits).target == "classes"


def _observed(drafted: Draft, passes: PassCache | None) -> Observed:
    from annpipe.datasets.observe import observe_fields

    with faults_of_data(drafted.spec, drafted.data):
        observed = observe_fields(drafted, passes)
    inputs = observed.fields.inputs
    shaped = [name for name, field in inputs.items() if field.shape]
    if faults := [*input_faults(drafted.spec, observed.fields), *output_faults(drafted.spec, observed.fields)]:
        raise SpecError(faults)
    if shaped and len(inputs) > 1 and not drafted.spec.inputs:
        message = f"the inputs {', '.join(inputs)} cannot be joined: '{shaped[0]}' is not one number a row"
        help_ = "give each a stack of its own, with `model.inputs`; or take one input, or numbers only"
        raise SpecError([Problem("data", message, drafted.data.place, help_)])
    return observed
