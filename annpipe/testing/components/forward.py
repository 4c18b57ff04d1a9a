"""Checks of a component called by itself: numbers of rows, inputs left as they were, dtypes, devices, derivatives."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd.gradcheck import GradcheckError

from annpipe.backend.device import computing
from annpipe.backend.streams import drawing
from annpipe.testing.components.blame import line_of_method, line_that_changes, line_with
from annpipe.testing.components.subject import ROWS, Subject
from annpipe.testing.components.training import train_plan
from annpipe.testing.components.verdicts import ComponentFault, NotApplicable

SIZES = (1, 2, ROWS)
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-9}
CALLED = {"transform": ("forward",), "metric": ("update",), "distribution": ("sample", "rsample")}
"""The methods of a kind that take or give rows; `forward` of all others."""


def method_line(subject: Subject) -> int:
    """The line of the method that takes rows."""
    return line_of_method(subject.entry, *CALLED.get(subject.kind, ("forward",)))


@contextmanager
def live(subject: Subject, precision: str = "float32") -> Iterator[tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    """The component's module in evaluation mode, and what it is called with.

    Random numbers inside are those of one stream, and the generators outside feel nothing of it.
    """
    plan = subject.in_precision(precision)
    with subject.built(plan) as parts, drawing(plan.head.seed, "dropout"):
        module, inputs = subject.module(plan, parts)
        yield module.eval(), inputs


def check_batches(subject: Subject) -> str:
    """Any number of rows is taken, and what is given for a row does not depend on how many come with it."""
    check = {"metric": _metric_batches, "distribution": _distribution_batches}.get(subject.kind)
    if check is not None:
        return check(subject)
    with live(subject) as (module, inputs):
        if subject.kind == "loss":
            return _loss_batches(subject, module, inputs)
        if subject.kind == "layer":
            _training_batches(module, inputs)
        return _row_batches(subject, module.eval(), inputs)


def _row_batches(subject: Subject, module: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> str:
    (x,) = inputs
    with torch.no_grad():
        whole = first_tensor(module(x))
        for n in (*SIZES, *_empty(subject)):
            part = first_tensor(module(x[:n]))
            if part.ndim == 0 or len(part) != n or part.shape[1:] != whole.shape[1:]:
                shown = f"{tuple(x[:n].shape)} becomes {tuple(part.shape)}, of {tuple(x.shape)} {tuple(whole.shape)}"
                help_ = "keep the first dimension, rows, whatever their number (no `squeeze()` without a dimension)"
                raise ComponentFault(f"{shown}: a row must give a row", help_, method_line(subject))
            if not _close(part, whole[:n]):
                message = f"the first {n} of {len(x)} rows give other numbers alone than among the others"
                help_ = "in evaluation, let each row count by itself: keep what is learned of the batch in buffers"
                raise ComponentFault(message, help_, method_line(subject))
    return f"rows of {', '.join(map(str, SIZES))}" + (" and none" if _empty(subject) else "")


def _training_batches(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """The last batch of an epoch may have any number of rows: none of them raises an error."""
    for n in SIZES:
        module.train()(inputs[0][:n])


def _empty(subject: Subject) -> tuple[int, ...]:
    """A table to predict may have no rows: what stands before the model meets them, the model itself does not."""
    return (0,) if subject.kind == "transform" else ()


def _loss_batches(subject: Subject, module: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> str:
    prediction, target = inputs
    for n in SIZES:
        value = module(prediction[:n], target[:n])
        if value.ndim or not bool(torch.isfinite(value)):
            message = f"for {n} rows it gives {_shown(value)}, and not one finite number"
            raise ComponentFault(message, "end it with a mean or a sum over all rows", method_line(subject))
    return f"one finite number for {', '.join(map(str, SIZES))} rows"


def _metric_batches(subject: Subject) -> str:
    """The same value however the rows are divided; without rows it is a number or nan, and no error."""
    plan = subject.in_precision("float64")
    with subject.built(plan) as parts, torch.no_grad():
        rows: Any = parts.rows["train"]
        prediction, target = parts.model.eval()(rows.x)[:10], rows.y[:10]
        values = []
        for sizes in ((10,), (1, 2, 7), (7, 2, 1)):
            metric = subject.instance(plan)
            for p, y in zip(prediction.split(sizes), target.split(sizes), strict=True):
                metric.update(p, y)
            values.append(float(metric.compute()))
        float(subject.instance(plan).compute())
    if not all(_same(value, values[0]) for value in values):
        message = f"it depends on how rows are divided into batches: {', '.join(f'{value:.6g}' for value in values)}"
        help_ = "keep sums and counts, and divide in `compute`: the last batch may be smaller"
        raise ComponentFault(message, help_, line_of_method(subject.entry, "update"))
    return "the same value of 10 rows at once, as 1, 2 and 7, and as 7, 2 and 1; none is no error"


def _distribution_batches(subject: Subject) -> str:
    plan = subject.plan
    with computing("float64", deterministic=False), drawing(0, "data"):
        distribution = subject.instance(plan)
        for n in SIZES:
            drawn = distribution.sample((n,))
            expected = (n, *distribution.batch_shape, *distribution.event_shape)
            if tuple(drawn.shape) != expected:
                message = f"`sample(({n},))` gives the shape {tuple(drawn.shape)}, and not {expected}"
                raise ComponentFault(
                    message, "let the shape begin with the one that is asked for", method_line(subject)
                )
            if not bool(torch.isfinite(drawn).all()):
                raise ComponentFault(
                    "it draws numbers that are not finite", "draw finite numbers", method_line(subject)
                )
    return f"draws of {', '.join(map(str, SIZES))} rows"


def check_inputs(subject: Subject) -> str:
    """What arrives is left as it was: others read the same tensors."""
    if subject.kind == "metric":
        plan = subject.plan
        with subject.built(plan) as parts, torch.no_grad():
            rows: Any = parts.rows["train"]
            _unchanged(subject, subject.instance(plan).update, [parts.model.eval()(rows.x), rows.y.clone()])
        return "prediction and target are left as they were"
    with live(subject) as (module, inputs), torch.no_grad():
        _unchanged(subject, module, inputs)
        if subject.kind == "transform" and (fit := getattr(copy.deepcopy(module), "fit", None)):
            _unchanged(subject, fit, inputs)
        if isinstance(module, torch.nn.Module) and subject.kind == "layer":
            _unchanged(subject, module.train(), inputs)
    return "what it takes is left as it was"


def _unchanged(subject: Subject, call: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> None:
    tensors = [tensor.clone() for tensor in inputs]
    call(*tensors)
    for number, (before, after) in enumerate(zip(inputs, tensors, strict=True)):
        if before.equal(after) or bool((before.isnan() & after.isnan() | (before == after)).all()):
            continue
        line = _changing_line(subject, call, inputs)
        name = "what arrives" if len(inputs) == 1 else ("its prediction", "its target")[number]
        message = f"it changes {name} in place"
        help_ = "compute a new tensor, as `x * 2` and not `x.mul_(2)` or `x *= 2`"
        raise ComponentFault(message, help_, line or method_line(subject))


def _changing_line(subject: Subject, call: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> int:
    tensors = [tensor.clone() for tensor in inputs]
    return line_that_changes(subject.entry.file, lambda: [t._version for t in tensors], lambda: call(*tensors))


def check_dtypes(subject: Subject) -> str:
    """It trains in float32 and float64, on each device at hand, and gives what it was given."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for precision in ("float32", "float64"):
        plan = subject.in_precision(precision)
        if subject.kind in ("layer", "loss"):
            _same_dtype(subject, precision)
        for device in devices:
            train_plan(plan, subject.new_folder(f"{precision}-{device}"), device=device)
    if subject.kind == "data":
        _double_data(subject)
    return f"float32 and float64 on {' and '.join(devices)}"


def _same_dtype(subject: Subject, precision: str) -> None:
    with live(subject, precision) as (module, inputs), torch.no_grad():
        out = first_tensor(module(*inputs))
    if out.is_floating_point() and str(out.dtype) != f"torch.{precision}":
        message = f"in a run in {precision} it gives {str(out.dtype).removeprefix('torch.')}"
        help_ = "take the dtype from what arrives, as `x.new_zeros(…)`, and do not name one"
        raise ComponentFault(message, help_, dtype_line(subject))


def dtype_line(subject: Subject) -> int:
    """The line that names a dtype, else the method's."""
    return line_with(subject.entry, r"float32|float64|float16|\.(float|double|half)\(\)") or method_line(subject)


def _double_data(subject: Subject) -> None:
    from annpipe.datasets.steps.make import make_dataset

    plan = subject.plan
    data = make_dataset(plan.data, plan.head.seed)
    for name, tensor in {**data.inputs, **data.targets}.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float64:
            message = f"the column '{name}' is {str(tensor.dtype).removeprefix('torch.')}, and not float64"
            raise ComponentFault(message, "make floats in double precision: the run casts them", dtype_line(subject))


def check_gradients(subject: Subject) -> str:
    """The derivatives of autograd are those that differences give, in double precision."""
    if subject.kind == "transform":
        raise NotApplicable("a transform is applied without gradients, or at the entrance of the model")
    with live(subject, "float64") as (module, inputs):
        assert isinstance(module, torch.nn.Module)
        parameters = {name: p.detach().requires_grad_() for name, p in module.named_parameters() if p.requires_grad}
        first = inputs[0]
        floating = first.is_floating_point()
        leaves = [first.detach().clone().requires_grad_()] if floating else []
        if not leaves and not parameters:
            raise NotApplicable("neither what it takes nor what it has can have a gradient")

        def of_leaves(*tensors: torch.Tensor) -> torch.Tensor:
            x, weights = (tensors[0], tensors[1:]) if floating else (first, tensors)
            weights_by_name = dict(zip(parameters, weights, strict=True))
            with drawing(0, "dropout"):
                return first_tensor(torch.func.functional_call(module, weights_by_name, (x, *inputs[1:])))

        tensors = (*leaves, *parameters.values())
        if not of_leaves(*tensors).requires_grad:
            raise NotApplicable("what it gives has no gradient")
        try:
            torch.autograd.gradcheck(of_leaves, tensors, fast_mode=True)
        except GradcheckError as error:
            text = " ".join(str(error).split())[:160]
            help_ = "correct its backward pass, or say in `unchecked` why it has no derivative"
            raise ComponentFault(
                f"its gradients are not its derivatives: {text}", help_, method_line(subject)
            ) from None
    return f"gradients of {'what it takes' if floating else 'its parameters'} agree with differences"


def first_tensor(weights_by_name: Any) -> torch.Tensor:
    """The tensor that a module gives; of a tuple the first."""
    while isinstance(weights_by_name, tuple | list):
        weights_by_name = weights_by_name[0]
    assert isinstance(weights_by_name, torch.Tensor)
    return weights_by_name


def _close(left: torch.Tensor, right: torch.Tensor) -> bool:
    tolerance = CLOSE.get(left.dtype, 0.0)
    return torch.allclose(left.double(), right.double(), rtol=tolerance, atol=tolerance, equal_nan=True)


def _same(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(left) and math.isnan(right))


def _shown(value: torch.Tensor) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if value.ndim else f"{float(value):g}"
