"""Tells which runs can be trained as one, those whose plans differ in values only, and why another goes alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from annpipe.backend.device import computing, find_device
from annpipe.backend.streams import drawing
from annpipe.datasets.steps.tensors import Rows
from annpipe.draft.component import at_every_depth, to_data
from annpipe.draft.losses import ignored_label
from annpipe.plan.plan import Plan
from annpipe.plan.schedules import step_rows
from annpipe.plan.shapes.run import input_tensor
from annpipe.registry.traits import OptimizerTraits
from annpipe.spec.sections.axes import SPLITS
from annpipe.train.gears.stacked.layers import DRAWS, stacking_modes
from annpipe.train.gears.stacked.model import layers_of
from annpipe.train.gears.stacked.optimizers import StackedOptimizer, stacked_optimizer
from annpipe.train.parts import Parts, build_model

PROBE_ROWS = 3
ANY = "·"  # stands in a key for a value that members may differ in


class Reasons:
    """Why runs cannot be stacked. The layers of those that have one key are tried once."""

    def __init__(self) -> None:
        self._of_layers: dict[tuple[object, ...], str | None] = {}

    def __call__(self, plan: Plan, parts: Parts | None = None) -> str | None:
        """As `why_solo`."""
        of_parts = _in_parts(plan, parts) if parts else None
        return _way_of_training(plan) or _optimizer(plan) or of_parts or self._layers(plan)

    def _layers(self, plan: Plan) -> str | None:
        key = (stack_key(plan), *plan.head.plugins)
        if key not in self._of_layers:
            self._of_layers[key] = _layers(plan)
        return self._of_layers[key]


def why_solo(plan: Plan, parts: Parts | None = None) -> str | None:
    """Why the run cannot be stacked, in a few words; None where it can.

    Some reasons show only in the `parts`: rows in files, transforms that go with each batch, a loss that is trained.
    """
    return Reasons()(plan, parts)


def stack_key(plan: Plan, parts: Parts | None = None) -> str:
    """Runs with one key can be trained as one stack, where none has a reason to go alone.

    Without `parts` the data have to be the same up to the rows held out; with them only their shapes count.
    """
    data = plan.to_data()
    model = data["model"]
    if isinstance(model, dict):
        model = {name: part for name, part in model.items() if name not in ("init", "from")}
        model = model["layers"] if list(model) == ["layers"] else model
    split = {
        name: ANY if name in SPLITS and value is not None else value for name, value in data["data"]["split"].items()
    }
    split |= {"seed": ANY}
    shape = _shapes(parts) if parts else {**data["data"], "split": split}
    train = {name: data["train"][name] for name in ("accumulate", "batch_size", "drop_last")}
    parts_of_key = [data["device"], _any_p(model), _any_number(plan.loss.to_data()), _optimizer_key(plan), train, shape]
    return hashlib.sha256(json.dumps(parts_of_key, sort_keys=True).encode()).hexdigest()[:16]


def _shapes(parts: Parts) -> Any:
    rows = parts.rows["train"]
    assert isinstance(rows, Rows)  # others go alone
    return [[list(tensor.shape), str(tensor.dtype)] for tensor in (rows.x, rows.y)]


def _any_p(value: Any) -> Any:
    """The layers as data, with any p of dropout."""
    if isinstance(value, dict):
        return {key: ANY if key == "Dropout" else _any_p(item) for key, item in value.items()}
    return [ANY if item == "Dropout" else _any_p(item) for item in value] if isinstance(value, list) else value


def _any_number(value: Any) -> Any:
    """Plain data with any numbers: a loss's weights and margins."""
    if isinstance(value, dict):
        return {key: _any_number(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_any_number(item) for item in value]
    return ANY if isinstance(value, float | int) and not isinstance(value, bool) else value


def _optimizer_key(plan: Plan) -> Any:
    """What the optimizer and its groups share in a stack."""
    stacked = _stacked_optimizer(plan)
    flags = stacked.flags if stacked else ()
    components = [plan.optimizer, *(group.options for group in plan.groups)]
    patterns = [list(group.patterns) for group in plan.groups]
    options = [
        {name: bool(component.options[name]) for name in flags if name in component.options} for component in components
    ]
    return [plan.optimizer.name, bool(plan.optimizer.options.get("fused")), options, patterns]


def _way_of_training(plan: Plan) -> str | None:
    if plan.device.autocast != "off":
        return "device.autocast"
    if plan.train.non_finite != "stop":
        return f"train.non_finite: {plan.train.non_finite}"
    if plan.thaw:
        return "model.freeze for some epochs"
    if find_device(plan.device.type).type == "mps":
        return "a device without double precision"
    return None


def _stacked_optimizer(plan: Plan) -> StackedOptimizer | None:
    optimizer: Any = plan.optimizer.load()
    return stacked_optimizer(optimizer)


def _optimizer(plan: Plan) -> str | None:
    if plan.optimizer.traits(OptimizerTraits).closure:
        return f"the optimizer {plan.optimizer.name}, which evaluates the model several times a step"
    if _stacked_optimizer(plan) is None:
        return None
    options = [plan.optimizer.options, *(group.options.options for group in plan.groups)]
    wanted = next((name for name in ("capturable", "differentiable") for values in options if values.get(name)), None)
    if wanted:
        return f"the optimizer's option {wanted}"
    scheduler = plan.scheduler
    bounds = [
        bound for part in at_every_depth([scheduler] if scheduler else []) for bound in _momentum_bounds(part.options)
    ]
    return "a scheduler that takes momentum to 0" if 0 in bounds else None


def _momentum_bounds(options: Mapping[str, Any]) -> list[Any]:
    return [to_data(options[name]) for name in ("base_momentum", "max_momentum") if name in options]


def _in_parts(plan: Plan, parts: Parts) -> str | None:
    if not isinstance(parts.rows["train"], Rows):
        return "rows in files"
    if parts.fitted is not None and parts.fitted.inside:
        return "transforms that are applied to each batch"
    if next(parts.loss.parameters(), None) is not None:
        return "a loss with parameters"
    if _may_have_no_label(plan, parts.rows["train"].y):
        return "labels that the loss ignores: a step may have no others"
    return None


def _may_have_no_label(plan: Plan, y: torch.Tensor) -> bool:
    """Whether a step may see labels alone that do not count."""
    label = ignored_label(plan.loss)
    size = step_rows(plan.train, len(y))
    if label is None or len(y) <= size:
        return False
    is_ignored = (y == label).reshape(len(y), -1).all(1)
    if not plan.train.shuffle:
        steps = torch.split(is_ignored, size)
        return any(bool(step.all()) for step in (steps[: len(y) // size] if plan.train.drop_last else steps))
    least = size if plan.train.drop_last else len(y) % size or size
    return int(is_ignored.sum()) >= least


def _layers(plan: Plan) -> str | None:
    components = [
        *at_every_depth(layer.component for layer in plan.model),
        *at_every_depth([plan.loss, plan.optimizer]),
    ]
    for component in components:
        if getattr(component.load(), "stacks", True) is False:
            return f"the {component.kind} {component.name}, which says `stacks = False`"
        if component.options.get("sparse") is True:
            return f"the {component.kind} {component.name}, whose gradients are sparse"
    return None if find_device(plan.device.type).type == "cpu" else _draws(plan)


def _draws(plan: Plan) -> str | None:
    """The first layer that draws on the device: each member's stream is the processor's. Tried on rows of zeros."""
    with computing(plan.device.precision, deterministic=False) as dtype, drawing(plan.head.seed, "dropout"):
        model = build_model(replace(plan, init={}, weights=None))
        whole = not plan.transforms and not input_tensor(plan.fields).is_floating_point()
        x = torch.zeros((PROBE_ROWS, *plan.model[0].input_shape), dtype=torch.int64 if whole else dtype)
        for layer, mode in zip(plan.model, stacking_modes(layers_of(model), x), strict=True):
            if layer.component.name == "Dropout" or mode.reason == DRAWS:
                return f"the layer {layer.component.name}, which draws on the device"
    return None
