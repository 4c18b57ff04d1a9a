"""Spec + Registry → Draft: plugins, names, options and formulas, all checked without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.contract import Fields
from annpipe.draft.blocks import expanded, faults, with_blocks
from annpipe.draft.component import Component, every
from annpipe.draft.contradictions import contradictions
from annpipe.draft.inputs_outputs import (
    Output,
    input_faults,
    inputs_layer,
    output_faults,
    outputs_layer,
    outputs_loss,
)
from annpipe.draft.metric_keys import unknown_metrics, watched_keys
from annpipe.draft.named_files import file_faults, plugin_files
from annpipe.draft.option_faults import option_problem
from annpipe.draft.options import Resolving
from annpipe.draft.parameter_groups import ParameterGroup
from annpipe.draft.plugins import _not_imported, add_plugins
from annpipe.draft.taps import tap_faults
from annpipe.draft.transforms import Transforming, column_faults
from annpipe.draft.types import UNCHECKED, Draft
from annpipe.errors import OptionError, Place, Problem, SpecError
from annpipe.files.limits import held_to
from annpipe.registry import Registry
from annpipe.registry.discovery import PluginFault
from annpipe.registry.loading import imported
from annpipe.registry.traits import DataTraits, OptimizerTraits
from annpipe.spec.sections.component import Call
from annpipe.spec.sections.models import Split
from annpipe.spec.sections.spec import Spec


def draft(spec: Spec, registry: Registry, *, project: Path | None = None, untrusted: bool = False) -> Draft:
    """Adds the spec's plugins to `registry` and resolves every component; imports no torch of its own.

    No plugin of an untrusted spec is imported. Raises SpecError with all problems at once.
    """
    files, problems = plugin_files(spec, project or Path.cwd())
    unchecked = [_not_imported(text, place) for _, text, place in files] if untrusted else []
    if not untrusted:
        problems += add_plugins(files, registry)
    registry, taken = with_blocks(spec, registry)
    problems += taken
    resolving = Resolving(registry, within=spec.folder if untrusted else None)
    problems += file_faults(spec, resolving.stance)

    def one(call: Call, kind: str) -> Component:
        found = resolving.component(call, kind) if call.name else None
        return found or Component(kind, call.name, {}, call.place)

    def many(calls: Sequence[Call], kind: str) -> tuple[Component, ...]:
        return tuple(one(call, kind) for call in calls)

    outputs = tuple(
        Output(str(h.name.value), many(h.layers, "layer"), one(h.loss, "loss"), h.weight, many(h.metrics, "metric"))
        for h in spec.outputs
    )
    ends = spec.place("model", "outputs")
    drafted = Draft(
        spec,
        registry,
        data=one(spec.data, "data"),
        transforms=tuple(Transforming(s.columns, many(s.calls, "transform"), s.place) for s in spec.transforms or ()),
        blocks={str(key.value): many(calls, "layer") for key, calls in spec.blocks},
        model=(
            *inputs_layer(spec, lambda calls: many(calls, "layer")),
            *many(spec.model, "layer"),
            *outputs_layer(outputs, ends),
        ),
        outputs=outputs,
        init={str(key.value): one(call, "initializer") for key, call in spec.init},
        loss=outputs_loss(outputs, ends) if outputs else one(spec.loss, "loss"),
        optimizer=one(spec.optimizer, "optimizer"),
        groups=tuple(_groups(spec, resolving)),
        scheduler=one(spec.scheduler, "scheduler") if spec.scheduler else None,
        average=one(spec.average, "average") if spec.average else None,
        metrics=many(spec.metrics, "metric"),
        plots=many(spec.plots, "plot"),
        callbacks=many(spec.callbacks, "callback"),
        stance=resolving.stance,
    )
    drafted = replace(drafted, optimizer=_fused(drafted))
    unknown = [p for p in resolving.problems if p.code == "unknown-component"]
    known = [p for p in resolving.problems if p.code != "unknown-component"]
    if unchecked:
        unchecked += [_unchecked(problem, [place for _, _, place in files]) for problem in unknown]
    elif not problems:  # an unknown name is no second fault when the plugin that may define it could not be read
        known += unknown
    fields, of_data = (None, []) if resolving.failed(drafted.data) else _told_fields(drafted)
    unfit = [] if unknown else list(faults(drafted.blocks, drafted.model, spec))
    measured = [*drafted.metrics, *(metric for head in outputs for metric in head.metrics)]
    watched = [] if any(map(resolving.failed, measured)) else list(watched_faults(drafted, has_val=spec.split.has_val))
    if fields and spec.transforms is not None and not _any_failed(drafted.transforms, resolving):
        of_data += column_faults(drafted.transforms, fields, drafted.data)
    if fields and not spec.problems:
        of_data += [*input_faults(spec, fields), *output_faults(spec, fields)]
    of_data += _too_large_batch(spec, fields)
    model, of_taps = (drafted.model, []) if unfit or unknown else _expanded(drafted, resolving)
    errors = [*spec.problems, *problems, *known, *unfit, *of_taps, *of_data, *watched, *contradictions(drafted)]
    if errors:
        raise SpecError([*_without_followers(errors, spec.unfilled), *unchecked])
    return replace(drafted, model=model, fields=fields, unchecked=tuple(unchecked))


def _expanded(drafted: Draft, resolving: Resolving) -> tuple[tuple[Component, ...], list[Problem]]:
    """The model with its blocks filled, and what is wrong with its taps where all layers are known."""
    model = tuple(expanded(layer, drafted.blocks) for layer in drafted.model)
    layers = [*drafted.model, *(layer for block in drafted.blocks.values() for layer in block)]
    return model, [] if any(map(resolving.failed, layers)) else tap_faults(model)


def _any_failed(transforms: Sequence[Transforming], resolving: Resolving) -> bool:
    return any(resolving.failed(step) for part in transforms for step in part.steps)


def _groups(spec: Spec, resolving: Resolving) -> Iterator[ParameterGroup]:
    """The optimizer's groups; their options are those of the optimizer."""
    if resolving.registry.find("optimizer", spec.optimizer.name) is None:
        return
    for group in spec.groups:
        call = Call(spec.optimizer.name, group.options, group.options.place)
        options = resolving.component(call, "optimizer", in_part=True)
        if options is not None:
            patterns, places = zip(*group.patterns, strict=True)
            yield ParameterGroup(patterns, options, places)


def watched_faults(drafted: Draft, *, has_val: bool) -> Iterator[Problem]:
    """Callbacks and a scheduler that watch a metric which has no value while the run trains."""
    has_scheduler, by = drafted.scheduler is not None, drafted.spec.split.by
    keys = watched_keys(drafted.metrics, drafted.outputs, has_val=has_val, has_scheduler=has_scheduler)
    yield from unknown_metrics(drafted.callbacks, keys, by)
    if drafted.scheduler is not None:  # it would follow what it sets
        yield from unknown_metrics([drafted.scheduler], [key for key in keys if key != "lr"], by)


def _unchecked(unknown: Problem, plugins: Sequence[Place]) -> Problem:
    """An unknown name that a plugin of the spec may define."""
    related = tuple((place, "may come from here") for place in plugins)
    message = f"{unknown.message} among the installed ones"
    return replace(unknown, code=UNCHECKED, message=message, related=related, severity="warning")


def _without_followers(problems: Sequence[Problem], unfilled: frozenset[Place]) -> list[Problem]:
    """All but the faults of values whose variable is unknown: mending that may mend them."""
    return [p for p in problems if p.place not in unfilled or p.code == "unknown-variable"]


def _too_large_batch(spec: Spec, fields: Fields | None) -> Iterator[Problem]:
    """A batch of all rows, where the rows are not in memory."""
    if fields is not None and fields.in_blocks and spec.train.batch_size == "all":
        message = f"a batch of all {fields.rows} rows would hold them in memory, and the data say not to"
        help_ = "say how many rows a batch has: `train: {batch_size: 4096}`"
        yield Problem("wrong-value", message, spec.place("train", "batch_size"), help_)


def _told_fields(drafted: Draft) -> tuple[Fields | None, list[Problem]]:
    """The fields of the data, where their function stands apart from torch."""
    target = drafted.data.traits(DataTraits).fields
    if not isinstance(target, str):
        return None, []
    try:
        with held_to(drafted.stance):
            fields: Fields = imported(target)(
                **drafted.data.options, **supplied_aside(drafted.spec.split, drafted.data)
            )
    except PluginFault as fault:
        return None, [fault.problem]
    except OptionError as error:
        return None, [option_problem(drafted.data, error)]
    except MemoryError:
        message = f"the data component '{drafted.data.name}' needs more memory than there is"
        return None, [Problem("data", message, drafted.data.place, "ask for fewer rows or columns")]
    return fields, []


def supplied_aside(split: Split, data: Component) -> dict[str, Sequence[str]]:
    """The columns that the split needs, for a data component that can lay columns aside."""
    return {} if data.entry.parameter("aside") is None else {"aside": split.columns}


def _fused(drafted: Draft) -> Component:
    """The optimizer, with `fused: true` where torch has a fused kernel and the spec asks for no other implementation.

    Not where gradients are scaled: torch 2.13's fused SGD begins with a momentum of whatever lay in memory when its
    first step is skipped, as it is while the scale is still too large. Not for sparse gradients, which none takes.
    """
    optimizer = drafted.optimizer
    other = any(optimizer.options.get(name) for name in ("foreach", "capturable", "differentiable"))
    has_kernel = optimizer.traits(OptimizerTraits).fused is not None
    if not has_kernel or other or optimizer.options.get("fused") is not None:
        return optimizer
    if drafted.spec.device.autocast == "float16" or sparse_layers(drafted):
        return optimizer
    return optimizer.with_options(fused=True) if optimizer.options else optimizer


def sparse_layers(drafted: Draft) -> list[Component]:
    """The layers whose weights get sparse gradients."""
    layers = every([*drafted.model, *(layer for block in drafted.blocks.values() for layer in block)])
    return [layer for layer in layers if layer.options.get("sparse") is True]
