"""Spec + Registry → Plan.

First without torch: plugins, names, options. Only when all of that is right come the checks that need torch: shapes
on the meta device, the output against the targets, the loss, the optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.contract import Fields
from annpipe.errors import OptionError, Place, Problem, SpecError
from annpipe.expression import ExpressionFault
from annpipe.plan.component import Component
from annpipe.plan.options import Resolving, expression_problem
from annpipe.registry import Registry
from annpipe.registry.discovery import PluginFault
from annpipe.registry.suggest import did_you_mean
from annpipe.spec.component import Call
from annpipe.spec.nodes import ScalarNode, descend
from annpipe.spec.spec import Spec

if TYPE_CHECKING:
    from annpipe.plan.plan import Plan


@dataclass(frozen=True)
class Draft:
    """A spec with every name and option resolved; shapes not run yet."""

    spec: Spec
    registry: Registry
    data: Component
    model: tuple[Component, ...]
    loss: Component
    optimizer: Component
    scheduler: Component | None
    metrics: tuple[Component, ...]
    plots: tuple[Component, ...]
    callbacks: tuple[Component, ...]


def draft(spec: Spec, registry: Registry, *, project: Path | None = None) -> Draft:
    """Adds the spec's plugins to `registry` and resolves every component; imports no torch of its own.

    Raises SpecError with all problems at once.
    """
    problems = _add_plugins(spec, registry, project or Path.cwd())
    resolving = Resolving(registry)

    def one(call: Call, kind: str) -> Component:
        found = resolving.component(call, kind) if call.name else None
        return found or Component(kind, call.name, {}, call.place)

    def many(calls: Sequence[Call], kind: str) -> tuple[Component, ...]:
        return tuple(one(call, kind) for call in calls)

    drafted = Draft(
        spec,
        registry,
        data=one(spec.data, "data"),
        model=many(spec.model, "layer"),
        loss=one(spec.loss, "loss"),
        optimizer=_fused(one(spec.optimizer, "optimizer"), registry),
        scheduler=one(spec.scheduler, "scheduler") if spec.scheduler else None,
        metrics=many(spec.metrics, "metric"),
        plots=many(spec.plots, "plot"),
        callbacks=many(spec.callbacks, "callback"),
    )
    # an unknown name is no second fault when the plugin that may define it could not be read
    unresolved = [p for p in resolving.problems if not (problems and p.code == "unknown-component")]
    if spec.problems or problems or unresolved:
        raise SpecError([*spec.problems, *problems, *unresolved])
    return drafted


def _add_plugins(spec: Spec, registry: Registry, project: Path) -> list[Problem]:
    problems = []
    for text, place, folder in spec.plugin_places:
        try:
            registry.add_file(_allowed(text, place, folder, project))
        except PluginFault as fault:
            problems.append(replace(fault.problem, related=(*fault.problem.related, (place, "listed here"))))
        except SpecError as error:
            problems += error.problems
    return problems


def _allowed(text: str, place: Place, folder: Path, project: Path) -> Path:
    """The plugin's real path: at or below the folder of the spec that lists it or the project's `plugins/`."""
    real = (folder / text).resolve()
    roots = (folder.resolve(), (project / "plugins").resolve())
    if not any(real.is_relative_to(root) for root in roots):
        message = f"the plugin '{text}' lies outside the spec's folder and the project's plugins/"
        raise SpecError([Problem("plugin-outside", message, place, f"move it below {roots[0]} or {roots[1]}")])
    if not real.is_file():
        names = [str(p.relative_to(folder)) for p in folder.glob("*.py")] if folder.is_dir() else []
        hint = did_you_mean(text.removeprefix("./"), names) or "paths are relative to the spec"
        raise SpecError([Problem("plugin-not-found", f"there is no plugin file '{text}'", place, hint)])
    return real


def _fused(optimizer: Component, registry: Registry) -> Component:
    """`fused: true` where torch has a fused kernel and the spec asks for no other implementation."""
    entry = registry.find("optimizer", optimizer.name)
    other = any(optimizer.options.get(name) for name in ("foreach", "capturable", "differentiable"))
    if entry is None or "fused" not in entry.traits or other or optimizer.options.get("fused") is not None:
        return optimizer
    return optimizer.with_options(fused=True) if optimizer.options else optimizer


def resolve(drafted: Draft, observe: Callable[[Component, Registry, int], Fields]) -> Plan:
    """Runs the checks that need torch and returns the Plan; raises SpecError.

    `observe` makes the data of a component that does not tell its fields beforehand, to see them.
    """
    from annpipe.plan.plan import Plan
    from annpipe.plan.shapes import check_output, run_shapes
    from annpipe.plan.warn import linear_collapse

    spec, registry = drafted.spec, drafted.registry
    fields = _fields(drafted, observe)
    layers = run_shapes(drafted.model, fields, registry)
    problems = check_output(layers, drafted.loss, fields, registry)
    problems += _check_optimizer(drafted)
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
        scheduler=drafted.scheduler,
        train=spec.train,
        metrics=drafted.metrics,
        plots=drafted.plots,
        callbacks=drafted.callbacks,
        tracking=spec.tracking,
        registry=registry,
        warnings=tuple(linear_collapse(layers, registry)),
    )


def _fields(drafted: Draft, observe: Callable[[Component, Registry, int], Fields]) -> Fields:
    from annpipe.plan.shapes import first_line

    try:
        fields = observe(drafted.data, drafted.registry, drafted.spec.head.seed)
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault
    except OptionError as error:
        raise SpecError([_option_problem(drafted, error)]) from error
    except Exception as error:  # a data component may raise anything: reported at its line
        message = f"the data component '{drafted.data.name}' raised {type(error).__name__}: {first_line(error)}"
        raise SpecError([Problem("data", message, drafted.data.place)]) from error
    shaped = [name for name, field in fields.inputs.items() if field.shape]
    if shaped and len(fields.inputs) > 1:
        message = f"the inputs {', '.join(fields.inputs)} cannot be joined: '{shaped[0]}' is not one number a row"
        raise SpecError([Problem("data", message, drafted.data.place, "give one input, or numbers only")])
    return fields


def _option_problem(drafted: Draft, error: OptionError) -> Problem:
    options = drafted.spec.data.options
    if options is None:
        return Problem("wrong-value", f"{drafted.data.name}: {error.message}", drafted.data.place, error.help)
    node = descend(options, error.option.split("."))[0]
    if isinstance(error.__cause__, ExpressionFault) and isinstance(node, ScalarNode):
        return expression_problem(error.__cause__, node)
    return Problem("wrong-value", f"`{drafted.data.name}.{error.option}`: {error.message}", node.place, error.help)


def _check_optimizer(drafted: Draft) -> list[Problem]:
    """Builds optimizer and scheduler over meta parameters, to hear what they refuse."""
    import torch

    from annpipe.plan.build import instantiate
    from annpipe.plan.shapes import refused

    with torch.device("meta"):
        parameters = [torch.nn.Parameter(torch.empty(2, 2))]
    try:
        optimizer = instantiate(_unfused(drafted.optimizer), drafted.registry, params=parameters)
    except PluginFault as fault:
        return [fault.problem]
    except Exception as error:  # an optimizer may refuse its options with anything
        return [refused(drafted.optimizer, error)]
    if drafted.scheduler is None:
        return []
    try:
        instantiate(drafted.scheduler, drafted.registry, optimizer=optimizer)
    except PluginFault as fault:
        return [fault.problem]
    except Exception as error:  # a scheduler likewise
        return [refused(drafted.scheduler, error)]
    return []


def _unfused(optimizer: Component) -> Component:
    """Meta tensors have no fused kernels."""
    return optimizer.with_options(fused=None) if "fused" in optimizer.options else optimizer
