"""The text of `annpipe plan`: a draft, a plan, and where its values come from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from annpipe.cli.views.text import aligned
from annpipe.errors import one_line
from annpipe.spec.sections.models import ONE_COMPONENT

if TYPE_CHECKING:
    from annpipe.draft.component import Component
    from annpipe.draft.sections import Draft
    from annpipe.plan.plan import Layer, Plan


def show_draft(drafted: Draft) -> str:
    """What is known of a spec whose components are not all known: no shapes, no numbers of parameters."""
    layers = [f"  {number}  {component_text(layer)}" for number, layer in enumerate(drafted.model)]
    losses = [(head.name, head.loss) for head in drafted.outputs]
    known = [(path, component) for path, component in drafted.components() if path in ONE_COMPONENT]
    lines = [f"{name:<10} {component_text(component)}" for name, component in [*known[:1], *losses, *known[1:]]]
    head = f"{drafted.spec.head.name}  (unchecked: shapes and parameters are known with the plugins only)"
    return "\n".join(map(one_line, [head, "", *lines, "layers", *layers]))


def show_origins(plan: Plan, drafted: Draft) -> str:
    """A row a value: its path, the value, and what it comes from."""
    from annpipe.plan.origin import origins

    rows = [(o.path, _short(json.dumps(o.value, ensure_ascii=False)), str(o)) for o in origins(plan, drafted.spec)]
    return "\n".join(map(one_line, aligned(rows)))


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def origins_as_json(plan: Plan, drafted: Draft) -> str:
    """The origins for programs."""
    from annpipe.plan.origin import origins

    rows = [
        {"path": o.path, "value": o.value, "source": o.source, "where": str(o)} for o in origins(plan, drafted.spec)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def show_plan(plan: Plan) -> str:
    """The plan for a person to read."""
    lines = [
        f"{plan.head.name}  (plan {plan.digest}, seed {plan.head.seed}, device {plan.device.type})",
        "",
        f"data       {component_text(plan.data)}",
        f"           {_fields(plan)}",
        *_transforms(plan),
        *_split(plan),
        "",
        *_layers(plan),
        "",
        *_cost(plan),
        *(f"init       {name}: {component_text(component)}" for name, component in plan.init.items()),
        *_weights(plan),
        *_losses(plan),
        f"optimizer  {component_text(plan.optimizer)}",
        *(f"           {', '.join(group.patterns)}  {options_text(group.options)}" for group in plan.groups),
    ]
    others = [(path, component) for path, component in plan.components() if path in ONE_COMPONENT]
    lines += [
        f"{path:<10} {component_text(component)}"
        for path, component in others
        if path not in ("data", "loss", "optimizer")
    ]
    lines += [f"train      {_length(plan)}, a step is {_step(plan)}", f"record     {_recorded(plan)}"]
    return "\n".join(map(one_line, lines))


def _weights(plan: Plan) -> list[str]:
    """What the model begins with, where weights are taken, and what begins without them."""
    if (weights := plan.weights) is None:
        return []
    of = f"the run {weights.run}" if weights.run else weights.source
    lines = [f"from       {of} (digest {weights.digest}): {_names(weights.taken)}"]
    lines += [f"           as it would without: {_names(weights.left)}"] if weights.left else []
    lines += ["           what transforms learn is learnt from the data of this run"] if plan.transforms else []
    return lines


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _losses(plan: Plan) -> list[str]:
    """The loss, or that of each head with its metrics."""
    if not plan.outputs:
        return [f"loss       {component_text(plan.loss)}"]
    lines = [
        f"{head.name}: {component_text(head.loss)}"
        + (f" times {head.weight:g}" if head.weight != 1 else "")
        + (f", measured by {', '.join(metric.name for metric in head.metrics)}" if head.metrics else "")
        for head in plan.outputs
    ]
    return [f"{'' if number else 'loss':<10} {line}" for number, line in enumerate(lines)]


def _length(plan: Plan) -> str:
    """How long the run is: epochs or steps, and the seconds that end it."""
    train = plan.train
    length = f"{train.steps:,} steps" if train.epochs is None else f"{train.epochs:,} epochs"
    return length + (f" or {train.max_seconds:g} seconds" if train.max_seconds is not None else "")


def _cost(plan: Plan) -> list[str]:
    """The numbers of parameters and multiply-adds, and the memory of a step."""
    from annpipe.plan.cost import memory, multiply_adds

    needed = memory(plan)
    counts = [multiply_adds(layer) for layer in plan.model]
    lines = [
        f"parameters {plan.n_parameters:,} ({_bytes(needed.parameters)} in {plan.device.precision}){_frozen(plan)}",
        f"compute    {_total(counts)} a row forwards",
    ]
    parts = [f"parameters {_bytes(needed.parameters)}", f"gradients {_bytes(needed.gradients)}"]
    parts += [f"{plan.optimizer.name} {_bytes(needed.optimizer)}"] if needed.optimizer is not None else []
    if needed.activations is not None:
        parts.append(f"activations {_bytes(needed.activations)} for {needed.rows:,} rows")
    return [*lines, f"memory     {', '.join(parts)}"]


def _total(counts: Sequence[int | None]) -> str:
    """The sum of multiply-adds; a least where some layer's are not known."""
    known = sum(count for count in counts if count is not None)
    return f"{'at least ' if None in counts else ''}{known:,} multiply-adds"


def _frozen(plan: Plan) -> str:
    """How many of the parameters are trained, where some are not."""
    trained = plan.n_parameters - plan.n_frozen
    always = f", {trained:,} of them trained: {', '.join(plan.freeze)} frozen" if plan.freeze else ""
    return always + "".join(
        f", {', '.join(thaw.patterns)} frozen until epoch {thaw.until} has passed" for thaw in plan.thaw
    )


def _step(plan: Plan) -> str:
    """What a step is: its rows, in how many batches, and how its gradients are clipped."""
    train = plan.train
    rows = "the whole train split" if train.batch_size == "all" else f"{train.batch_size * train.accumulate} rows"
    batches = f" in {train.accumulate} batches" if train.accumulate > 1 else ""
    clips = [("values", train.clip_value), ("norm", train.clip_norm)]
    clipped = " and ".join(f"{what} to {most:g}" for what, most in clips if most is not None)
    return rows + batches + (f", gradients clipped by {clipped}" if clipped else "")


def component_text(component: Component, without: Collection[str] = ()) -> str:
    """A component on one line, as a spec writes it."""
    options = options_text(component, without)
    return f"{component.name} {options}" if options else component.name


def options_text(component: Component, without: Collection[str] = ()) -> str:
    """The options of a component on one line, in braces; empty where there are none."""
    shown = {key: value for key, value in component.options.items() if value is not None and key not in without}
    options = ", ".join(f"{key}: {_value(value)}" for key, value in shown.items())
    return f"{{{options}}}" if options else ""


def _value(value: Any) -> str:
    from annpipe.draft.component import Component, to_data

    return component_text(value) if isinstance(value, Component) else json.dumps(to_data(value), ensure_ascii=False)


def _fields(plan: Plan) -> str:
    return f"inputs {', '.join(plan.fields.inputs)}  ->  targets {', '.join(plan.fields.targets)}"


def _transforms(plan: Plan) -> list[str]:
    """What becomes of columns, a line for each key of `data.transforms`."""
    lines = [f"{part.columns}: {', '.join(component_text(step) for step in part.steps)}" for part in plan.transforms]
    return [f"           {line}" for line in lines]


def _split(plan: Plan) -> list[str]:
    split = plan.split
    if split.by:
        return [f"           train, val and test as the column '{split.by}' says"]
    if split.files:
        return [f"           {' and '.join(split.files)} as files say"]
    if split.folds:
        return [f"           val is fold {split.fold} of {split.folds}, test {split.test:.0%}{_chosen(plan)}"]
    held_out = {name: fraction for name, fraction in (("val", split.val), ("test", split.test)) if fraction}
    fractions = {"train": 1 - sum(held_out.values()), **held_out}
    listed = "  ".join(f"{name} {fraction:.0%}" for name, fraction in fractions.items())
    return [f"           {listed}{_chosen(plan)}"] if held_out else []


def _chosen(plan: Plan) -> str:
    """How the rows of a split are chosen, where not at random."""
    ways = {"stratify": "in proportion to", "groups": "in whole groups of", "order": "in the order of"}
    return "".join(f", {words} '{column}'" for name, words in ways.items() if (column := getattr(plan.split, name)))


def _layers(plan: Plan) -> list[str]:
    from annpipe.backend.instantiate import module_names

    rows: list[tuple[str, ...]] = [("", "layer", "input", "output", "parameters", "multiply-adds")]
    names = module_names([layer.component for layer in plan.model])
    numbers = iter(range(len(names)))
    for name, layer in zip(names, plan.model, strict=True):
        rows += _layer_rows(name if "." in layer.component.name else str(next(numbers)), layer)
    return aligned(rows)


SHOWN_AS_SHAPES = ("input_shape", "output_shape", "output_shapes", "tap_shapes")


def _layer_rows(number: str, layer: Layer, depth: int = 0) -> Iterator[tuple[str, ...]]:
    """A row for the layer, and one for each layer inside it, further to the right."""
    from annpipe.draft.inputs_outputs import end_names
    from annpipe.plan.cost import multiply_adds

    count = multiply_adds(layer)
    below = "  " * depth
    stacks = {path.partition(".")[0] for path in layer.stacks}
    without = {*stacks, *SHOWN_AS_SHAPES} if stacks or "tap_shapes" in layer.component.options else ()
    names = end_names(layer.component)
    yield (
        number,
        below + (str(layer.component.options.get("join", "")) if names else component_text(layer.component, without)),
        _shape(layer.input_shape),
        _shape(layer.output_shape),
        f"{layer.parameters:,}",
        ("?" if count is None else f"{count:,}"),
    )
    for path, inside in layer.stacks.items():
        branch = path.partition(".")[2]
        if names:
            yield "", f"  {names[int(branch)]}", "", "", "", ""
        elif branch:
            yield "", f"{below}  branch {branch}", "", "", "", ""
        for inner in inside:
            yield from _layer_rows("", inner, depth + 1 + bool(branch))


def _shape(shape: Sequence[int]) -> str:
    return f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)"


def _bytes(n: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def _recorded(plan: Plan) -> str:
    metrics = [*plan.metrics, *(metric for head in plan.outputs for metric in head.metrics)]
    names = [component.name for component in (*metrics, *plan.plots)]
    experiment = plan.tracking.experiment or plan.head.name
    return (
        f"experiment '{experiment}': the losses each epoch" + (f", {', '.join(names)}" if names else "") + ", the model"
    )
