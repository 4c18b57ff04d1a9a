"""Spec + Registry → Draft: plugins, names, options and formulas, all checked without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.contract import Fields
from annpipe.draft.blocks import expanded, faults, with_blocks
from annpipe.draft.component import Component, components_in
from annpipe.draft.inputs_outputs import (
    input_faults,
    output_faults,
)
from annpipe.draft.metric_keys import follows_metric, unknown_metrics, watched_keys
from annpipe.draft.named_files import add_plugins, file_faults, not_imported, plugin_files
from annpipe.draft.option_faults import option_problem
from annpipe.draft.options import Resolving
from annpipe.draft.resolved import resolved
from annpipe.draft.sections import UNCHECKED, Draft
from annpipe.draft.taps import tap_faults
from annpipe.draft.transforms import Transforming, column_faults
from annpipe.errors import OptionError, Place, Problem, SpecError
from annpipe.files.limits import held_to
from annpipe.registry.discovery import PluginFault, imported
from annpipe.registry.registry import Registry
from annpipe.registry.traits import DataTraits, OptimizerTraits
from annpipe.spec.sections.models import Split
from annpipe.spec.sections.spec import Spec

if TYPE_CHECKING:
    from annpipe.draft.sections import Draft


def draft(spec: Spec, registry: Registry, *, project: Path | None = None, untrusted: bool = False) -> Draft:
    """Adds the spec's plugins to `registry` and resolves every component; imports no torch of its own.

    No plugin of an untrusted spec is imported. Raises SpecError with all problems at once.
    """
    files, problems = plugin_files(spec, project or Path.cwd())
    problems += [] if untrusted else add_plugins(files, registry)
    registry, taken = with_blocks(spec, registry)
    imported_files = [] if untrusted else [file for file, _, _ in files]
    resolving = Resolving(registry, spec.folder if untrusted else None, imported_files)
    problems += [*taken, *file_faults(spec, resolving.stance)]
    drafted = resolved(spec, resolving)
    if drafted.weights is not None:
        drafted = replace(drafted, weights=replace(drafted.weights, project=project or Path.cwd()))
    unknown = [p for p in resolving.problems if p.code == "unknown-component"]
    problems_of_options = [p for p in resolving.problems if p.code != "unknown-component"]
    if not (untrusted and files) and not problems:
        # an unknown name is no second fault when the plugin that may define it could not be read
        problems_of_options += unknown
    fields, of_data = _of_data(drafted, resolving)
    model, of_model = _of_model(drafted, resolving, all_known=not unknown)
    errors = [*spec.problems, *problems, *problems_of_options, *of_model, *of_data, *contradictions(drafted)]
    unchecked = _not_checked(files, unknown) if untrusted else []
    notices = [*spec.notices, *resolving.notices]
    if errors:
        raise SpecError([*_without_followers(errors, spec.unfilled), *unchecked, *notices])
    return replace(drafted, model=model, fields=fields, unchecked=tuple(unchecked), notices=tuple(notices))


def _of_data(drafted: Draft, resolving: Resolving) -> tuple[Fields | None, list[Problem]]:
    """The fields of the data where they are known without torch, and what does not fit them."""
    spec = drafted.spec
    fields, problems = (None, []) if resolving.failed(drafted.data) else _known_fields(drafted)
    if fields and spec.transforms is not None and not _any_failed(drafted.transforms, resolving):
        problems += column_faults(drafted.transforms, fields, drafted.data)
    if fields and not spec.problems:
        problems += [*input_faults(spec, fields), *output_faults(spec, fields)]
    return fields, [*problems, *_too_large_batch(spec, fields)]


def _of_model(drafted: Draft, resolving: Resolving, *, all_known: bool) -> tuple[tuple[Component, ...], list[Problem]]:
    """The model with its blocks filled; what is wrong with blocks, taps, and the metrics that are watched."""
    unfit = list(faults(drafted.blocks, drafted.model, drafted.spec)) if all_known else []
    model, of_taps = _expanded(drafted, resolving) if all_known and not unfit else (drafted.model, [])
    metrics = [component for _, component in drafted.components() if component.kind == "metric"]
    has_failed = any(map(resolving.failed, metrics))
    watched = [] if has_failed else watched_faults(drafted, has_val=drafted.split.has_val)
    return model, [*unfit, *of_taps, *watched]


def _expanded(drafted: Draft, resolving: Resolving) -> tuple[tuple[Component, ...], list[Problem]]:
    """The model with its blocks filled, and what is wrong with its taps where all layers are known."""
    model = tuple(expanded(layer, drafted.blocks) for layer in drafted.model)
    layers = [*drafted.model, *(layer for block in drafted.blocks.values() for layer in block)]
    return model, [] if any(map(resolving.failed, layers)) else tap_faults(model)


def _any_failed(transforms: Sequence[Transforming], resolving: Resolving) -> bool:
    return any(resolving.failed(step) for part in transforms for step in part.steps)


def watched_faults(drafted: Draft, *, has_val: bool) -> Iterator[Problem]:
    """Callbacks and a scheduler that watch a metric which has no value while the run trains."""
    has_scheduler, by = drafted.scheduler is not None, drafted.spec.split.by
    keys = watched_keys(drafted.metrics, drafted.outputs, has_val=has_val, has_scheduler=has_scheduler)
    yield from unknown_metrics(drafted.callbacks, keys, by)
    if drafted.scheduler is not None:  # it would follow what it sets
        yield from unknown_metrics([drafted.scheduler], [key for key in keys if key != "lr"], by)


def _not_checked(files: Sequence[tuple[Path, str, Place]], unknown: Sequence[Problem]) -> list[Problem]:
    """The plugin files of an untrusted spec, none of which is imported, and the names that they may define."""
    if not files:
        return []
    related = tuple((place, "may come from here") for _, _, place in files)
    return [
        *(not_imported(text, place) for _, text, place in files),
        *(
            replace(
                problem,
                code=UNCHECKED,
                message=f"{problem.message} among the installed ones",
                related=related,
                severity="warning",
            )
            for problem in unknown
        ),
    ]


def _without_followers(problems: Sequence[Problem], unfilled: frozenset[Place]) -> list[Problem]:
    """All but the faults of values whose variable is unknown: mending that may mend them."""
    return [p for p in problems if p.place not in unfilled or p.code == "unknown-variable"]


def _too_large_batch(spec: Spec, fields: Fields | None) -> Iterator[Problem]:
    """A batch of all rows, where the rows are not in memory."""
    if fields is not None and fields.in_blocks and spec.train.batch_size == "all":
        message = f"a batch of all {fields.rows} rows would hold them in memory, and the data say not to"
        help_ = "say how many rows a batch has: `train: {batch_size: 4096}`"
        yield Problem("wrong-value", message, spec.place("train", "batch_size"), help_)


def _known_fields(drafted: Draft) -> tuple[Fields | None, list[Problem]]:
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
        return None, [option_problem(drafted.data, each) for each in error.all]
    except MemoryError:
        message = f"the data component '{drafted.data.name}' needs more memory than there is"
        return None, [Problem("data", message, drafted.data.place, "ask for fewer rows or columns")]
    return fields, []


def supplied_aside(split: Split, data: Component) -> dict[str, Sequence[str]]:
    """The columns that the split needs, for a data component that can lay columns aside."""
    return {} if data.entry.parameter("aside") is None else {"aside": split.columns}


def contradictions(drafted: Draft) -> Iterator[Problem]:
    """Options of `train`, `device` and `scheduler` that do not go together."""
    train, spec = drafted.spec.train, drafted.spec
    if train.accumulate > 1 and train.batch_size == "all":
        message = "`train.accumulate` adds batches up, and `batch_size: all` has only one"
        yield Problem("wrong-value", message, spec.place("train", "accumulate"), "give `batch_size` in rows")
    optimizer = drafted.optimizer
    has_closure = optimizer.traits(OptimizerTraits).closure
    if spec.device.autocast == "float16" and has_closure:
        message = f"{optimizer.name} evaluates the model several times a step, and float16 scales one gradient a step"
        yield Problem("wrong-value", message, spec.place("device", "autocast"), "take bfloat16, or another optimizer")
    if train.non_finite != "stop" and (spec.device.autocast == "float16" or has_closure):
        yield _not_by_the_step(drafted)
    if drafted.thaw and optimizer.options.get("fused") and optimizer.options.get("momentum"):
        message = f"{optimizer.name} with momentum cannot be fused where `model.freeze` ends: torch fails at the thaw"
        yield Problem("wrong-value", message, drafted.thaw[0].place, "leave `fused` out")
    if train.scheduler_each == "step" and not spec.problems:
        yield from _each_step(drafted)
    if drafted.scheduler is not None:
        yield from _without_metric(drafted, drafted.scheduler)


def _not_by_the_step(drafted: Draft) -> Problem:
    """A step that cannot be left out, or is anyway."""
    place, wanted = drafted.spec.place("train", "non_finite"), drafted.spec.train.non_finite
    if drafted.spec.device.autocast == "float16":
        message = f"float16 leaves out steps whose gradients are not finite by itself, so there is nothing to {wanted}"
        return Problem("wrong-value", message, place, "leave it out, or take bfloat16")
    message = f"{drafted.optimizer.name} evaluates the model several times a step, of which none can be undone"
    return Problem("wrong-value", message, place, "leave it out, or take another optimizer")


def _each_step(drafted: Draft) -> Iterator[Problem]:
    place = drafted.spec.place("train", "scheduler_each")
    if drafted.scheduler is None:
        message = "there is no scheduler that could go on at each step"
        yield Problem("wrong-value", message, place, "add one, or leave this out")
        return
    if follows_metric(drafted.scheduler):
        message = f"{drafted.scheduler.name} follows a metric, and a metric is known once an epoch"
        yield Problem("wrong-value", message, place, "leave it out")


def _without_metric(drafted: Draft, outer: Component) -> Iterator[Problem]:
    """Schedulers that follow a metric inside another one, which steps them without it."""
    for inner in components_in(dict(outer.options)):
        if follows_metric(inner):
            message = f"{inner.name} follows a metric, and {outer.name} steps it without one"
            yield Problem("wrong-value", message, inner.place, f"let {inner.name} be the scheduler by itself")
        yield from _without_metric(drafted, inner)
