"""The cost of a model: multiply-adds of a row, and the memory of a training step.

Layers and optimizer are run on the meta device, so nothing is computed and nothing is allocated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from annpipe.backend.initialize import freeze
from annpipe.backend.instantiate import Building, instantiate, named_modules
from annpipe.backend.torch_shortcuts import step_first
from annpipe.datasets.steps.splits import held_out
from annpipe.plan.plan import Layer, Plan
from annpipe.portable.stack import passed
from annpipe.registry.traits import LayerTraits

BYTES = {"float32": 4, "float64": 8}
ROWS = 7  # on the meta device; counts are divided by it
MOST_NUMBERS = 2**20  # up to so many an optimizer takes its step on real ones: faster than on the meta device


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a training step holds, each estimated; None where it cannot be told.

    `activations` are the outputs of all layers for one batch of `rows` rows, which the backward pass needs.
    """

    parameters: int
    gradients: int
    optimizer: int | None
    activations: int | None
    rows: int | None


def multiply_adds(layer: Layer) -> int | None:
    """The multiply-adds of a row that passes the layer forwards; None where its kernels do not run on the meta device.

    They are those of matrix products, convolutions and attention: additions and functions of single numbers, which take
    a fraction of the time, are not counted.
    """
    for dtype in (torch.get_default_dtype(), torch.int64):
        try:
            with torch.device("meta"), torch.no_grad():
                module = instantiate(layer.component, _with_taps(layer)).eval()
                with FlopCounterMode(display=False) as counter:
                    passed(module, torch.empty((ROWS, *layer.input_shape), dtype=dtype))
        except Exception:  # a layer may fail in any way on values that are not there
            continue
        return int(counter.get_total_flops()) // 2 // ROWS
    return None


def _with_taps(layer: Layer) -> Building:
    """A building in which the values that the layer may read are there."""
    building = Building()
    for name, field in layer.taps.items():
        dtype = torch.int64 if field.dtype == "int" else None
        building.taps.values[name] = torch.empty((ROWS, *field.shape), dtype=dtype)
    return building


def memory(plan: Plan) -> StepMemory:
    """What a step of the plan holds, in the run's precision."""
    size = BYTES[plan.device.precision]
    rows = batch_rows(plan)
    numbers = sum(math.prod(layer.output_shape) for layer in plan.layers if not _passes_on(layer))
    numbers += math.prod(plan.model[0].input_shape)
    return StepMemory(
        parameters=plan.n_parameters * size,
        gradients=(plan.n_parameters - plan.n_frozen) * size,
        optimizer=_optimizer_bytes(plan),
        activations=None if rows is None else rows * numbers * size,
        rows=rows,
    )


def batch_rows(plan: Plan) -> int | None:
    """The rows of a batch; None for the full batch of data whose rows are not known beforehand."""
    if plan.fields.rows is None:
        return None if plan.train.batch_size == "all" else plan.train.batch_size
    train = plan.fields.rows - sum(held_out(plan.fields.rows, plan.split))
    return train if plan.train.batch_size == "all" else min(plan.train.batch_size, train)


def _passes_on(layer: Layer) -> bool:
    """Whether what leaves the layer is there already: what arrives, a tapped value, what the last layer in it gives."""
    traits = layer.component.traits(LayerTraits)
    takes_one = traits.reads is not None and layer.component.entry.parameter("tap_shapes") is None
    return takes_one or traits.sets is not None or traits.stands_for_others


def _optimizer_bytes(plan: Plan) -> int | None:
    """The tensors that the optimizer keeps after a step, by taking one."""
    with torch.device("meta"):
        model = torch.nn.Sequential(named_modules([layer.component for layer in plan.model]))
        freeze(model, plan.freeze)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if sum(parameter.numel() for parameter in trained) <= MOST_NUMBERS:
        trained = [torch.nn.Parameter(torch.zeros(parameter.shape)) for parameter in trained]
    for parameter in trained:
        parameter.grad = parameter.new_zeros(parameter.shape)
    component = plan.optimizer
    component = component.with_options(fused=None) if "fused" in component.options else component
    try:
        optimizer = instantiate(component, params=trained)
        step_first(optimizer)
    except Exception:  # one that looks at values, as LBFGS does with its closure
        return None
    numbers = [int(value.numel()) for state in optimizer.state.values() for value in state.values() if _is_large(value)]
    return sum(numbers) * BYTES[plan.device.precision]


def _is_large(value: Any) -> bool:
    """A tensor that grows with the parameters: no count of steps."""
    return isinstance(value, torch.Tensor) and value.ndim > 0
