"""Draft → Plan: shapes on the meta device, the output against the targets, and what components refuse when built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from torch.nn import Parameter

from annpipe.backend.initialize import check_parameters
from annpipe.contract import Fields, RunPreview
from annpipe.datasets.observe import Observed, check_declared, observe_fields
from annpipe.datasets.request import PassCache
from annpipe.datasets.steps.make import make_dataset
from annpipe.datasets.steps.splits import held_out
from annpipe.draft.draft import watched_faults
from annpipe.draft.inputs_outputs import in_order, input_faults, is_inputs, output_faults, with_column_spans
from annpipe.draft.losses import compares_classes
from annpipe.draft.option_faults import faults_of_data
from annpipe.draft.sections import Draft
from annpipe.draft.taps import tap_faults
from annpipe.draft.transforms import grouped
from annpipe.errors import Problem, SpecError
from annpipe.files.limits import held_to
from annpipe.plan.checks.outputs import HeadRun, check_output, filled, for_each, placed
from annpipe.plan.checks.refusals import misfits, refusals
from annpipe.plan.checks.sizes import beyond_memory, lone_row, too_few
from annpipe.plan.checks.thresholds import metrics_without_classes, with_thresholds
from annpipe.plan.checks.weights import with_weights
from annpipe.plan.output_roles import transform_faults, with_output_roles
from annpipe.plan.plan import Layer, Plan
from annpipe.plan.resolve.shape_cache import ShapeCache
from annpipe.plan.schedules import Length, as_long_as, misfits_of, run_length
from annpipe.plan.warnings import (
    activation_and_loss,
    clipped_within_a_step,
    goal_of_scheduler,
    labels_as_numbers,
    linear_collapse,
    never_thawed,
    steps_for_channels,
)


def resolve(drafted: Draft, shape_cache: ShapeCache | None = None, passes: PassCache | None = None) -> Plan:
    """Runs the checks that need torch and returns the Plan; raises SpecError.

    Makes the data where its fields are not declared, where transforms are fitted, or where a plot asks for them; and at
    last where a plugin declares them, to see whether they are so.
    `shape_cache` and `passes` keep models and what was read of chunked data for the next plan, where many are made of
    one spec.
    """
    with held_to(drafted.stance):
        return _resolved(drafted, shape_cache or ShapeCache(), passes)


@dataclass(frozen=True)
class _Rows:
    """How many rows are for training, and held out; None where that is not known before the data are made."""

    n_train: int | None
    held: tuple[int, int] | None
    has_val: bool
    length: Length | None

    @classmethod
    def of(cls, observed: Observed, drafted: Draft) -> _Rows:
        n_rows, split = observed.fields.rows, drafted.split
        held = None if n_rows is None else observed.held or held_out(n_rows, split)
        n_train = None if n_rows is None or held is None else n_rows - sum(held)
        has_val = split.has_val if observed.held is None else bool(observed.held[0])
        return cls(n_train, held, has_val, run_length(drafted.train, n_train))


def _resolved(drafted: Draft, shape_cache: ShapeCache, passes: PassCache | None) -> Plan:
    try:
        observed = _observed_inputs(drafted, passes)
        fields, rows = observed.fields, _Rows.of(observed, drafted)
        drafted = as_long_as(rows.length, _arranged(drafted, fields))
        if drafted.outputs and (faults := tap_faults(drafted.model)):  # heads may have changed places
            raise SpecError(faults)
        layers, parameters = shape_cache.model(drafted, fields)
    except SpecError as error:
        raise SpecError([*error.problems, *refusals(drafted)]) from error
    heads = list(for_each(layers, drafted.loss, drafted.metrics, drafted.outputs, fields))
    problems = [p for head in heads for p in check_output(head.layers, head.loss, head.fields, drafted)]
    if problems and drafted.outputs:
        raise SpecError(problems)
    metrics, outputs = with_thresholds(drafted.metrics, drafted.outputs, heads)
    drafted = replace(drafted, loss=placed(drafted.loss, layers, drafted.outputs), metrics=metrics, outputs=outputs)
    problems += refusals(drafted, parameters, list(fields.targets))
    problems = problems or _scale_faults(drafted, fields)
    of_parameters, n_frozen = check_parameters(drafted, parameters)
    drafted, of_weights = with_weights(drafted, layers)
    of_parameters = [*of_parameters, *of_weights]
    of_length = _of_length(drafted, parameters, rows.length) if not problems and not of_parameters else []
    problems += [*of_parameters, *(p for p in of_length if p.severity != "warning")]
    problems += _of_rows(drafted, layers, fields, rows)
    preview = _preview(drafted, fields, may_make=not problems, has_val=rows.has_val)
    problems += misfits(drafted, preview)
    if problems:
        raise SpecError(problems)
    with faults_of_data(drafted.spec, drafted.data):
        check_declared(drafted, observed)
    warnings = [*drafted.notices, *observed.warnings, *_warnings(drafted, layers, heads)]
    warnings += metrics_without_classes(heads, preview)
    warnings += [*of_length, *goal_of_scheduler(drafted, has_val=rows.has_val)]
    drafted = replace(drafted, outputs=filled(drafted.outputs, layers))
    plan = Plan.of(
        drafted,
        layers,
        fields,
        n_frozen=n_frozen,
        request=with_output_roles(observed.request, drafted.loss, drafted.outputs),
        held=observed.held,
        warnings=tuple(warnings),
    )
    return replace(plan, warnings=(*plan.warnings, *beyond_memory(plan)))


def _observed_inputs(drafted: Draft, passes: PassCache | None) -> Observed:
    """What is known of the data; raises SpecError where the model's inputs and outputs do not fit its fields."""
    with faults_of_data(drafted.spec, drafted.data):
        observed = observe_fields(drafted, passes)
    inputs = observed.fields.inputs
    shaped = [name for name, field in inputs.items() if field.stands_alone]
    if faults := [*input_faults(drafted.spec, observed.fields), *output_faults(drafted.spec, observed.fields)]:
        raise SpecError(faults)
    if shaped and len(inputs) > 1 and not drafted.spec.inputs:
        message = f"the inputs {', '.join(inputs)} cannot be joined: '{shaped[0]}' is not one number a row"
        help_ = "give each a stack of its own, with `model.inputs`; or take one input, or numbers only"
        raise SpecError([Problem("data", message, drafted.data.place, help_)])
    return observed


def _arranged(drafted: Draft, fields: Fields) -> Draft:
    """The draft whose inputs know the columns of each stack, and whose heads are in the order of their targets."""
    outputs = in_order(drafted.outputs, fields)
    names = [head.name for head in drafted.outputs]
    model = [with_column_spans(layer, fields) if is_inputs(layer) else layer for layer in drafted.model]
    if outputs:
        order = [names.index(head.name) for head in outputs]
        last = model[-1]
        options = {name: [last.options[name][number] for number in order] for name in ("names", "branches")}
        model[-1] = last.with_options(**options)
        losses = {head.name: head.loss for head in outputs}
        weights = {head.name: head.weight for head in outputs}
        drafted = replace(drafted, loss=drafted.loss.with_options(losses=losses, weights=weights))
    return replace(drafted, model=tuple(model), outputs=outputs)


def _scale_faults(drafted: Draft, fields: Fields) -> list[Problem]:
    """Targets whose transforms their losses cannot be led back through."""
    targets = grouped(drafted.transforms, fields).targets
    steps = {name: targets[name].steps if name in targets else () for name in fields.targets}
    losses = [(head.loss, {head.name: steps[head.name]}) for head in drafted.outputs] or [(drafted.loss, steps)]
    return [problem for loss, of_targets in losses for problem in transform_faults(loss, of_targets)]


def _of_length(drafted: Draft, parameters: Mapping[str, Parameter], length: Length | None) -> list[Problem]:
    """Where the scheduler and the run do not fit: errors and warnings."""
    if drafted.scheduler is None or not length:
        return []
    return misfits_of(drafted.scheduler, drafted, parameters, length)


def _of_rows(drafted: Draft, layers: Sequence[Layer], fields: Fields, rows: _Rows) -> Iterator[Problem]:
    """Too few rows for a split or a layer, and metrics of a val split that a column leaves empty."""
    if fields.rows is not None and rows.held is not None and rows.n_train is not None:
        few = list(too_few(fields.rows, rows.held, drafted.spec))
        yield from few or lone_row(rows.n_train, drafted.spec, layers)
    if drafted.split.has_val and not rows.has_val:
        yield from watched_faults(drafted, has_val=False)


def _warnings(drafted: Draft, layers: Sequence[Layer], heads: Sequence[HeadRun]) -> Iterator[Problem]:
    """What is allowed and rarely meant."""
    yield from linear_collapse(layers)
    yield from steps_for_channels(layers)
    yield from clipped_within_a_step(drafted)
    yield from never_thawed(drafted)
    for head in heads:
        yield from labels_as_numbers(head.loss, head.fields, drafted)
    for head in heads:
        yield from activation_and_loss(head.layers, head.loss)


def _preview(drafted: Draft, fields: Fields, *, may_make: bool, has_val: bool) -> RunPreview:
    """What plots and callbacks are told of the run before it begins."""
    made = cache(lambda: make_dataset(drafted.data, drafted.head.seed)) if may_make else None
    heads = {head.name: (head.loss.name, compares_classes(head.loss)) for head in drafted.outputs}
    return RunPreview(fields, drafted.loss.name, compares_classes(drafted.loss), has_val, made, heads=heads)
