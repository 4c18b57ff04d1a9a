"""The optimizer of a script, its scheduler and the average of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from annpipe.backend.instantiate import fitted
from annpipe.draft.component import Component
from annpipe.draft.parameter_groups import assigned
from annpipe.eject.formulas import function_source
from annpipe.eject.layout import Argument, Code, Group, call, flat, listed, literal, statement
from annpipe.eject.model import parameter, script_names
from annpipe.eject.writer import Writer
from annpipe.expression import Expression as Formula
from annpipe.plan.plan import Plan
from annpipe.plan.schedules import run_length, with_length
from annpipe.registry.traits import OptimizerTraits
from annpipe.train.parts import Parts, named_parameters

PLATEAU = "annpipe_std.schedulers:ReduceLROnPlateau"
EMA, SWA = "annpipe_std.averages:EMA", "annpipe_std.averages:SWA"


def optimizer_lines(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """The lines that make `optimizer`, over all parameters that are trained or in groups."""
    component = plan.optimizer
    if component.options.get("fused") and "cpu" not in (component.traits(OptimizerTraits).fused or ()):
        component = component.with_options(fused=None)
    names = {name: parameter(script) for name, script in script_names(parts).items()}
    names |= {f"loss.{name}": f"loss_function.{name}" for name, _ in parts.loss.named_parameters()}
    trained = list(named_parameters(parts.model, parts.loss))
    lines: list[str] = []
    if plan.groups:
        params: Code = _groups(plan, trained, names)
    elif any(name.startswith("loss.") for name in trained):
        lines.append("parameters = [p for p in (*model.parameters(), *loss_function.parameters()) if p.requires_grad]")
        params = "parameters"
    elif plan.freeze:
        lines.append("parameters = [p for p in model.parameters() if p.requires_grad]")
        params = "parameters"
    else:
        params = "model.parameters()"
    named = component.entry.parameter("params")
    before: list[Argument] = [params] if named is None or named == component.entry.parameters[0] else []
    supplied = {} if before else {"params": params}
    return [*lines, *statement("optimizer = ", writer.call(component, before, supplied))]


def _groups(plan: Plan, trained: list[str], names: Mapping[str, str]) -> Code:
    """The groups as mappings, first that of the parameters which no group has."""
    options: list[dict[str, str]] = [{}]
    for group in plan.groups:
        values, known = group.options.options, group.options.entry.parameters
        options.append(
            {p.name: flat(literal(fitted(p.option_type, values[p.name]))) for p in known if p.name in values}
        )
    mappings = []
    for members, values in zip(assigned(trained, plan.groups), options, strict=True):
        items: list[Argument] = [('"params": ', listed([names[name] for name in members]))]
        items += [(f'"{name}": ', value) for name, value in values.items()]
        mappings.append(Group("", tuple(items), "{}"))
    return listed(mappings, spread=True)


def scheduler_lines(plan: Plan, parts: Parts, writer: Writer) -> list[str]:
    """The lines that make `scheduler`, as long as the run; formulas become functions before it."""
    length = run_length(plan.train, len(parts.rows["train"]))
    if plan.scheduler is None or length is None:
        return []
    scheduler = with_length(plan.scheduler, length.steps)
    lines: list[str] = []
    built = _scheduler(scheduler, writer, lines)
    return [*lines, *statement("scheduler = ", built)]


def _scheduler(scheduler: Component, writer: Writer, lines: list[str]) -> Code:
    """A scheduler; those inside drive the same optimizer."""

    def expression(value: object) -> Code | None:
        if isinstance(value, Component) and value.kind == "scheduler":
            return _scheduler(value, writer, lines)
        if isinstance(value, Formula):
            return _function(value, lines)
        if isinstance(value, list):
            inner = [expression(item) for item in value]
            if all(item is not None for item in inner) and inner:
                return listed([item for item in inner if item is not None], spread=False)
        return None

    supplied = {name: made for name, value in scheduler.options.items() if (made := expression(value)) is not None}
    if scheduler.entry.target == PLATEAU:
        return _plateau(scheduler, writer)
    is_first = scheduler.entry.parameters[0].name == "optimizer"
    return writer.call(scheduler, ["optimizer"] if is_first else [], supplied)


def _plateau(scheduler: Component, writer: Writer) -> Code:
    """Torch's own class: the loop gives it the metric to follow."""
    options = {name: value for name, value in scheduler.options.items() if name != "monitor"}
    parameters = [p for p in scheduler.entry.parameters if p.name in options]
    changed = [p for p in parameters if options[p.name] != p.default]
    arguments: list[Argument] = [(f"{p.name}=", writer.option(scheduler, p, options[p.name])) for p in changed]
    return call("torch.optim.lr_scheduler.ReduceLROnPlateau", "optimizer", *arguments)


def _function(formula: Formula, lines: list[str]) -> Code:
    """A formula as a function of one number, computed in double precision as the run does."""
    name = f"factor_{1 + sum(line.startswith('def ') for line in lines)}"
    variable = next(iter(formula.names), "step")
    lines += [
        f"def {name}({variable}):",
        f"    {variable} = torch.tensor(float({variable}), dtype=torch.float64)",
        f"    return {function_source(formula, variable)}",
        "",
        "",
    ]
    return name


def average_lines(plan: Plan, writer: Writer) -> list[str]:
    """The lines that make `averaged`, torch's AveragedModel or a plugin's own."""
    if plan.average is None:
        return []
    target, options = plan.average.entry.target, plan.average.options
    if target == EMA:
        average = writer.imports.member("torch.optim.swa_utils", "AveragedModel")
        ema = writer.imports.member("torch.optim.swa_utils", "get_ema_multi_avg_fn")
        return statement("averaged = ", call(average, "model", ("multi_avg_fn=", call(ema, str(options["decay"])))))
    if target == SWA:
        return [f"averaged = {writer.imports.member('torch.optim.swa_utils', 'AveragedModel')}(model)"]
    return statement("averaged = ", writer.call(plan.average, ["model"]))
