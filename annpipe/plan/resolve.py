"""Draft → Plan: the checks that need torch, once every name and option is right.

Shapes on the meta device, the output against the targets, the loss, and what components refuse when they are built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from annpipe.contract import Fields
from annpipe.errors import OptionError, Problem, SpecError
from annpipe.plan.component import Component
from annpipe.plan.draft import Draft, option_problem
from annpipe.registry import Registry
from annpipe.registry.discovery import PluginFault

if TYPE_CHECKING:
    from annpipe.plan.plan import Plan


def resolve(drafted: Draft, observe: Callable[[Component, Registry, int], Fields]) -> Plan:
    """Runs the checks that need torch and returns the Plan; raises SpecError.

    `observe` makes the data of a component that does not tell its fields beforehand, to see them.
    """
    from annpipe.plan.plan import Plan
    from annpipe.plan.rows import lone_row, too_few
    from annpipe.plan.shapes import run_shapes
    from annpipe.plan.targets import check_output
    from annpipe.plan.trial import refusals
    from annpipe.plan.warn import labels_as_numbers, linear_collapse
    from annpipe.plan.warn_outputs import activation_and_loss, goal_of_scheduler, thresholds_of_logits

    spec, registry = drafted.spec, drafted.registry
    try:
        fields = drafted.fields or _fields(drafted, observe)
        layers = run_shapes(drafted.model, drafted.data, fields, registry)
    except SpecError as error:
        raise SpecError([*error.problems, *refusals(drafted, ())]) from error
    problems = check_output(layers, drafted.data, drafted.loss, fields, registry) + refusals(
        drafted, layers, list(fields.targets)
    )
    if fields.rows is not None:
        problems += list(too_few(fields.rows, spec)) or lone_row(fields.rows, spec, layers, registry)
    if problems:
        raise SpecError(problems)
    return Plan(
        file=spec.file,
        head=spec.head,
        device=spec.device,
        data=drafted.data,
        split=spec.split,
        fields=fields,
        model=layers,
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
        warnings=(
            *linear_collapse(layers, registry),
            *labels_as_numbers(drafted.data, drafted.loss, fields, registry),
            *activation_and_loss(layers, drafted.loss, registry),
            *thresholds_of_logits(layers, drafted.loss, drafted.metrics, registry),
            *goal_of_scheduler(drafted.scheduler, drafted.metrics, registry, has_val=spec.split.val > 0),
        ),
    )


def _fields(drafted: Draft, observe: Callable[[Component, Registry, int], Fields]) -> Fields:
    from annpipe.plan.shapes import first_line

    try:
        fields = observe(drafted.data, drafted.registry, drafted.spec.head.seed)
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except OptionError as error:
        raise SpecError([option_problem(drafted, error)]) from error
    except Exception as error:  # a data component may raise anything: reported at its line
        message = f"the data component '{drafted.data.name}' raised {type(error).__name__}: {first_line(error)}"
        raise SpecError([Problem("data", message, drafted.data.place)]) from error
    shaped = [name for name, field in fields.inputs.items() if field.shape]
    if shaped and len(fields.inputs) > 1:
        message = f"the inputs {', '.join(fields.inputs)} cannot be joined: '{shaped[0]}' is not one number a row"
        raise SpecError([Problem("data", message, drafted.data.place, "give one input, or numbers only")])
    return fields
