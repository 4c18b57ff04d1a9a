"""Spec + Registry → Draft: plugins, names, options and formulas, all checked without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annpipe.contract import Fields
from annpipe.errors import LimitError, OptionError, Place, Problem, SpecError
from annpipe.expression import ExpressionFault
from annpipe.files.limits import Stance, held_to
from annpipe.plan.blocks import Blocks, expanded, faults, with_blocks
from annpipe.plan.columns import Transforming, column_faults
from annpipe.plan.component import Component, every
from annpipe.plan.contradictions import contradictions
from annpipe.plan.ends import Output, input_faults, inputs_layer, output_faults, outputs_layer, outputs_loss, with_ends
from annpipe.plan.formula_place import formula_problem
from annpipe.plan.groups import ParameterGroup
from annpipe.plan.metric_keys import unknown_metrics, watched_keys
from annpipe.plan.named import file_faults, plugin_files
from annpipe.plan.options import Resolving
from annpipe.plan.taps import tap_faults
from annpipe.registry import Entry, Registry
from annpipe.registry.discovery import PluginFault
from annpipe.registry.registry import imported
from annpipe.spec.component import Call
from annpipe.spec.nodes import MappingNode, Node, ScalarNode
from annpipe.spec.sections import Split
from annpipe.spec.spec import Spec


@dataclass(frozen=True)
class Draft:
    """A spec with every name and option resolved; shapes not run yet.

    `fields` are there when they could be told without torch. `unchecked` holds warnings about what depends on plugins
    that an untrusted spec lists; where it names components, there can be no plan. `stance` is how an untrusted one is
    read.
    """

    spec: Spec
    registry: Registry
    data: Component
    transforms: tuple[Transforming, ...]
    blocks: Blocks
    model: tuple[Component, ...]
    outputs: tuple[Output, ...]
    init: Mapping[str, Component]
    loss: Component
    optimizer: Component
    groups: tuple[ParameterGroup, ...]
    scheduler: Component | None
    average: Component | None
    metrics: tuple[Component, ...]
    plots: tuple[Component, ...]
    callbacks: tuple[Component, ...]
    fields: Fields | None = None
    unchecked: tuple[Problem, ...] = ()
    stance: Stance | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every component is known, so that the spec can become a plan."""
        return not any(problem.code == UNCHECKED and problem.related for problem in self.unchecked)


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
    registry = with_ends(spec, registry)
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
    unfit = [] if unknown else list(faults(drafted.blocks, drafted.model, spec, registry))
    measured = [*drafted.metrics, *(metric for head in outputs for metric in head.metrics)]
    watched = [] if any(map(resolving.failed, measured)) else list(watched_faults(drafted, has_val=spec.split.has_val))
    if fields and spec.transforms is not None and not _any_failed(drafted.transforms, resolving):
        of_data += column_faults(drafted.transforms, fields, drafted.data, registry)
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
    model = tuple(expanded(layer, drafted.blocks, drafted.registry) for layer in drafted.model)
    layers = [*drafted.model, *(layer for block in drafted.blocks.values() for layer in block)]
    return model, [] if any(map(resolving.failed, layers)) else tap_faults(model, drafted.registry)


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
    yield from unknown_metrics(drafted.callbacks, drafted.registry, keys, by)
    if drafted.scheduler is not None:  # it would follow what it sets
        yield from unknown_metrics([drafted.scheduler], drafted.registry, [key for key in keys if key != "lr"], by)


UNCHECKED = "unchecked"


def _not_imported(text: str, place: Place) -> Problem:
    message = f"the plugin '{text}' was not imported: the spec is untrusted"
    return Problem(UNCHECKED, message, place, "read the plugin, then check without --untrusted", severity="warning")


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
    entry = drafted.registry.find("data", drafted.data.name)
    target = entry.traits.get("fields") if entry else None
    if not isinstance(target, str):
        return None, []
    try:
        with held_to(drafted.stance):
            fields: Fields = imported(target)(**drafted.data.options, **supplied_aside(drafted.spec.split, entry))
    except PluginFault as fault:
        return None, [fault.problem]
    except OptionError as error:
        return None, [option_problem(drafted.data, error)]
    except MemoryError:
        message = f"the data component '{drafted.data.name}' needs more memory than there is"
        return None, [Problem("data", message, drafted.data.place, "ask for fewer rows or columns")]
    return fields, []


def supplied_aside(split: Split, entry: Entry | None) -> dict[str, Sequence[str]]:
    """The columns that the split needs, for a data component that can lay columns aside."""
    takes = entry is not None and entry.parameter("aside") is not None
    return {"aside": split.columns} if takes else {}


def add_plugins(files: Sequence[tuple[Path, str, Place]], registry: Registry) -> list[Problem]:
    """Imports plugin files into the registry, and gives what is wrong with them."""
    problems = []
    for path, _, place in files:
        try:
            registry.add_file(path)
        except PluginFault as fault:
            problems.append(replace(fault.problem, related=(*fault.problem.related, (place, "listed here"))))
    return problems


def _fused(drafted: Draft) -> Component:
    """The optimizer, with `fused: true` where torch has a fused kernel and the spec asks for no other implementation.

    Not where gradients are scaled: torch 2.13's fused SGD begins with a momentum of whatever lay in memory when its
    first step is skipped, as it is while the scale is still too large. Not for sparse gradients, which none takes.
    """
    optimizer, entry = drafted.optimizer, drafted.registry.find("optimizer", drafted.optimizer.name)
    other = any(optimizer.options.get(name) for name in ("foreach", "capturable", "differentiable"))
    if entry is None or "fused" not in entry.traits or other or optimizer.options.get("fused") is not None:
        return optimizer
    if drafted.spec.device.autocast == "float16" or sparse_layers(drafted):
        return optimizer
    return optimizer.with_options(fused=True) if optimizer.options else optimizer


def sparse_layers(drafted: Draft) -> list[Component]:
    """The layers whose weights get sparse gradients."""
    layers = every([*drafted.model, *(layer for block in drafted.blocks.values() for layer in block)])
    return [layer for layer in layers if layer.options.get("sparse") is True]


def option_problem(data: Component, error: OptionError) -> Problem:
    """The fault that a data component finds in its options: at a name below an option, else at the option's value."""
    name, _, below = error.option.partition(".")
    node = data.given.get(name)
    if node is None:
        return _refused(error, f"{data.name}: {error.message}", data.place)
    key, value = _below(node, below)
    if isinstance(error.__cause__, ExpressionFault) and isinstance(value, ScalarNode):
        return formula_problem(error.__cause__, value)
    return _refused(error, f"`{data.name}.{error.option}`: {error.message}", (key or value).place)


def _refused(error: OptionError, message: str, place: Place | None) -> Problem:
    return Problem("untrusted-limit" if isinstance(error, LimitError) else "wrong-value", message, place, error.help)


def _below(node: Node, path: str) -> tuple[ScalarNode | None, Node]:
    """The key that a dotted path leads to, and its value; a key may have dots of its own."""
    key = None
    while path and isinstance(node, MappingNode):
        fits = [pair for pair in node.pairs if f"{path}.".startswith(f"{pair[0].value}.")]
        if not fits:
            break
        key, node = max(fits, key=lambda pair: len(str(pair[0].value)))
        path = path[len(str(key.value)) + 1 :]
    return key, node
