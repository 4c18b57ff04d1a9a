"""Checks of sizes: each split has rows, no batch is too small for a layer, and a step fits into the device's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.errors import Problem
from annpipe.errors.wording import first_line
from annpipe.files.memory import machine_memory
from annpipe.plan.cost import StepMemory, memory
from annpipe.plan.plan import Layer, Plan
from annpipe.spec.sections.spec import Spec

OF_OPTIMIZER = 4  # times the parameters that one remembers, at most: then its memory is worth asking for


def too_few(rows: int, counts: tuple[int, int], spec: Spec) -> Iterator[Problem]:
    """A split that is asked for and takes no row, or one that leaves none to train on."""
    folds, left = spec.split.folds, rows - counts[1]
    if folds and not spec.split.groups and left < folds:
        message = f"{folds} folds of {left} rows leave some empty"
        yield Problem("wrong-value", message, spec.place("data", "split", "folds"), f"take at most {left}")
        return
    if rows - sum(counts) < 1:
        message = f"the split leaves none of the {rows} rows to train on"
        yield Problem("wrong-value", message, spec.place("data", "split"), "lower the fractions")
    for name, count, fraction in zip(("val", "test"), counts, (spec.split.val, spec.split.test), strict=True):
        if fraction and not count:
            message = f"the {name} split of {fraction:g} takes none of the {rows} rows"
            yield Problem("wrong-value", message, spec.place("data", "split", name), "raise the fraction")


def lone_row(n_train: int, spec: Spec, layers: Sequence[Layer]) -> Iterator[Problem]:
    """A layer that cannot learn from a batch of one row (batch normalization), where the last batch has one."""
    size = n_train if spec.train.batch_size == "all" else min(spec.train.batch_size, n_train)
    last = n_train % size or size
    if last != 1 or (spec.train.drop_last and size > 1 and n_train > size):
        return
    reported = set()
    for layer, reason in _refusals(layers):
        if layer.component.place not in reported:
            reported.add(layer.component.place)
            of = "every batch" if size == 1 else f"the last batch of {n_train} rows by {size}"
            message = f"{of} has one row, and {layer.component.name} cannot learn from one: {reason}"
            help_ = "take another `batch_size`" + ("" if size == 1 else ", or `drop_last: true`")
            place = layer.component.place
            related = ((spec.place("train", "batch_size"), "the size of a batch"),)
            yield Problem("wrong-value", message, place, help_, related)


def _refusals(layers: Sequence[Layer]) -> Iterator[tuple[Layer, str]]:
    """The layers that refuse one row, the innermost where they stand inside others."""
    for layer in layers:
        inside = list(_refusals(layer.inside))
        yield from inside
        if not inside and (reason := _refusal(layer)):
            yield layer, reason


def _refusal(layer: Layer) -> str | None:
    """What the layer says of one row while training, where it takes two."""
    with torch.device("meta"):
        module = instantiate(layer.component).train()
    try:
        with torch.no_grad():
            module(_input(layer, 1))
    except Exception as error:  # a layer may refuse with anything; what it refuses of two rows too is no matter of rows
        reason = first_line(error)
    else:
        return None
    try:
        with torch.no_grad():
            module(_input(layer, 2))
    except Exception:
        return None
    return reason


def _input(layer: Layer, rows: int) -> torch.Tensor:
    return torch.empty((rows, *layer.input_shape), device="meta")


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
