"""Whether a step of a plan fits into the memory of its device."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from annpipe.errors import Problem
from annpipe.files.memory import machine_memory
from annpipe.plan.cost import StepMemory, memory
from annpipe.plan.plan import Layer, Plan

OF_OPTIMIZER = 4  # times the parameters that one remembers, at most: then its memory is worth asking for


def device_memory(word: str) -> tuple[int | None, str]:
    """The bytes of the device that a plan asks for, and what to call it."""
    if word != "cpu" and torch.cuda.is_available() and word.partition(":")[0] in ("auto", "cuda"):
        number = int(word.partition(":")[2] or 0)
        if number < torch.cuda.device_count():
            return torch.cuda.get_device_properties(number).total_memory, "the GPU"
    return machine_memory(), "the machine"


def beyond_memory(plan: Plan) -> Iterator[Problem]:
    """A warning where a step of the plan holds more than the device has."""
    has, what = device_memory(plan.device.type)
    least = plan.n_parameters * (4 if plan.device.precision == "float32" else 8)
    if has is None or not plan.layers:
        return
    rows_are_few = least * (2 + OF_OPTIMIZER) < has / 2
    needed = memory(plan) if not rows_are_few or _is_wide(plan, has) else None
    if needed is None or total(needed) <= has:
        return
    widest = max(plan.layers, key=lambda layer: (layer.parameters, _numbers(layer)))
    message = f"a step holds about {in_words(total(needed))}, and {what} has {in_words(has)}: {parts_of(needed)}"
    help_ = "take fewer outputs here, a smaller `batch_size` (with `accumulate`), or an optimizer that remembers less"
    yield Problem("memory", message, widest.component.place, help_, severity="warning")


def _numbers(layer: Layer) -> int:
    return torch.Size(layer.output_shape).numel()


def _is_wide(plan: Plan, has: int) -> bool:
    """Whether what layers give for all rows, the most that a batch can have, may come near the memory."""
    rows = plan.fields.rows if plan.train.batch_size == "all" else plan.train.batch_size
    return (rows or 0) * sum(map(_numbers, plan.layers)) * 8 > has / 2


def total(needed: StepMemory) -> int:
    """The bytes of a step, as far as they are known."""
    return needed.parameters + needed.gradients + (needed.optimizer or 0) + (needed.activations or 0)


def parts_of(needed: StepMemory) -> str:
    """What holds how much, in words."""
    parts = [("parameters", needed.parameters), ("gradients", needed.gradients)]
    parts += [("the optimizer", needed.optimizer or 0), ("activations", needed.activations or 0)]
    return ", ".join(f"{name} {in_words(size)}" for name, size in parts if size)


def in_words(n: float) -> str:
    """Bytes as a person says them: `37.3 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"
