"""Checks that the model's output fits the targets and that the loss takes both, for each head by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.protocols import fault_of, in_words
from annpipe.contract import Fields, OutputRoles
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.losses import by_target, compares_classes, leaves, takes_classes, unweighted
from annpipe.draft.option_faults import option_refused
from annpipe.draft.sections import Draft
from annpipe.errors import OptionError, Place, Problem
from annpipe.errors.wording import article, first_line
from annpipe.plan.output_roles import outputs_in_words, role_faults, roles_by_target
from annpipe.plan.plan import Layer
from annpipe.plan.shapes.run import BATCH, show
from annpipe.registry.discovery import PluginFault
from annpipe.registry.traits import LayerTraits

MOST_NUMBERS = 2**16  # up to so many a loss is tried on real ones: on the meta device torch loads its compiler for it


@dataclass(frozen=True)
class HeadRun:
    """What of a run is checked together: the last layers, the loss and the metrics that see them, and the fields."""

    layers: Sequence[Layer]
    loss: Component
    metrics: Sequence[Component]
    fields: Fields


def for_each(
    layers: Sequence[Layer],
    loss: Component,
    metrics: Sequence[Component],
    outputs: Sequence[OutputHead],
    fields: Fields,
) -> Iterator[HeadRun]:
    """The whole run; with heads, each head as a run of its own, whose layers are the last."""
    if not outputs:
        yield HeadRun(layers, loss, metrics, fields)
    for head, stack in zip(outputs, layers[-1].stacks.values(), strict=False):
        of_head = replace(fields, targets={head.name: fields.targets[head.name]})
        yield HeadRun(stack, head.loss, head.metrics, of_head)


def filled(outputs: Sequence[OutputHead], layers: Sequence[Layer]) -> tuple[OutputHead, ...]:
    """The heads with their layers as they were run through."""
    stacks = layers[-1].component.options["branches"] if outputs else ()
    return tuple(replace(head, layers=tuple(stack)) for head, stack in zip(outputs, stacks, strict=True))


def placed(loss: Component, layers: Sequence[Layer], outputs: Sequence[OutputHead]) -> Component:
    """The loss, with heads told where their outputs stand and which of their targets are labels."""
    if not outputs:
        return loss
    spans, labels, start = {}, {}, 0
    for head, stack in zip(outputs, layers[-1].stacks.values(), strict=True):
        width = stack[-1].output_shape[0]
        spans[head.name] = [start, start + width]
        labels[head.name] = takes_classes(head.loss)
        start += width
    return loss.with_options(spans=spans, labels=labels)


def target_tensor(fields: Fields, *, classes: bool) -> torch.Tensor:
    """A meta tensor like the targets of a batch: class labels (rows,), or values (rows, targets)."""
    if classes:
        first = next(iter(fields.targets.values()))
        return torch.empty((BATCH, *first.shape), dtype=torch.int64, device="meta")
    if all(field.shape == () for field in fields.targets.values()):
        return torch.empty((BATCH, len(fields.targets)), device="meta")
    return torch.empty((BATCH, *next(iter(fields.targets.values())).shape), device="meta")


def check_output(layers: Sequence[Layer], loss: Component, fields: Fields, drafted: Draft) -> list[Problem]:
    """Whether what the last layer gives fits the targets, and the loss takes both."""
    if differing := _differing(loss):
        return [differing]
    if faults := role_faults(loss, list(fields.targets)):
        return faults
    classes = takes_classes(loss)
    last = layers[-1]
    prediction = torch.empty((BATCH, *last.output_shape), device="meta")
    names = list(fields.targets)
    place = last.component.place
    if classes and len(fields.targets) > 1:
        message = f"{loss.name} compares with the labels of one target; the data has {len(names)}: {', '.join(names)}"
        return [
            Problem(
                "loss-mismatch",
                message,
                loss.place,
                "keep one target, or give each a head: `model.outputs`",
                _notes(drafted.data),
            )
        ]
    target = target_tensor(fields, classes=classes)
    if classes:
        n_classes = next(iter(fields.targets.values())).classes
        if prediction.ndim < 2 or prediction.shape[1] < (n_classes or 2):
            width = f"{n_classes} outputs, one for each class" if n_classes else "one output for each class"
            message = f"the model gives {show(prediction.shape)}; {loss.name} on '{names[0]}' needs {width}"
            help_ = "change the width of the last layer"
            return [Problem("output-shape", message, place, help_, _notes(drafted.data, loss))]
    elif (roles := next(iter(roles_by_target(loss, names).values()))) and len(roles.names) > 1:
        if problem := _of_several(layers, loss, roles, fields, drafted):
            return [problem]
    elif prediction.shape != target.shape:
        message = (
            f"the model gives {show(prediction.shape)}; the targets ({', '.join(names)}) need {show(target.shape)}"
        )
        return [Problem("output-shape", message, place, _width_hint(last, target), _notes(drafted.data, loss))]
    return _check_loss(loss, prediction, target, names)


def _of_several(
    layers: Sequence[Layer], loss: Component, roles: OutputRoles, fields: Fields, drafted: Draft
) -> Problem | None:
    """Whether the model gives several outputs for each target, and ones that are what the loss takes them for."""
    shaped = [name for name, field in fields.targets.items() if field.shape]
    if shaped:
        message = f"{loss.name} takes {outputs_in_words(roles)} for each target; '{shaped[0]}' is not one number a row"
        return Problem("loss-mismatch", message, loss.place, "take a loss that compares arrays, such as MSELoss")
    last, width = layers[-1].component, len(roles.names) * len(fields.targets)
    makes = f"`- {roles.layer}: {len(roles.names)}`" if _takes_count(roles, drafted) else f"`- {roles.layer}`"
    if layers[-1].output_shape != (width,):
        message = (
            f"the model gives {show((BATCH, *layers[-1].output_shape))}; {loss.name} takes {outputs_in_words(roles)} "
        )
        message += f"for each target ({', '.join(fields.targets)}): {show((BATCH, width))}"
        help_ = f"end with `- Linear: {width}`" + (f" and {makes}" if roles.layer else "")
        return Problem("output-shape", message, last.place, help_, _notes_of(loss))
    if roles.layer and last.traits(LayerTraits).linear:
        message = f"{loss.name} takes {' and '.join(roles.names)}; {last.name} gives any numbers"
        return Problem("loss-mismatch", message, last.place, f"add {makes} after it", _notes_of(loss))
    if last.name == roles.layer and last.options.get("n", len(roles.names)) != len(roles.names):
        message = f"{last.name} orders {last.options['n']} outputs, and {loss.name} takes {outputs_in_words(roles)}"
        return Problem("loss-mismatch", message, last.place, f"write {makes}", _notes_of(loss))
    return None


def _takes_count(roles: OutputRoles, drafted: Draft) -> bool:
    """Whether the layer that makes such outputs is told how many there are for each target, by its option `n`."""
    registry = drafted.registry
    if roles.layer is None or "layer" not in registry.kinds_of(roles.layer):
        return False
    return any(option.name == "n" for option in registry.entry("layer", roles.layer).options)


def _notes_of(loss: Component) -> tuple[tuple[Place, str], ...]:
    return ((loss.place, "compared here"),) if loss.place else ()


def _differing(loss: Component) -> Problem | None:
    """Losses in one that compare with labels and with values: the targets of a run are one or the other."""
    for part, name in by_target(loss):
        if name is not None and compares_classes(part):
            message = f"{part.name} compares with class labels, and '{name}' is one column of numbers here"
            help_ = "give a target of 0 and 1 BCEWithLogitsLoss; for classes give each target a head: `model.outputs`"
            return Problem("loss-mismatch", message, part.place, help_)
    parts = list(leaves(loss))
    classes = [part for part in parts if compares_classes(part)]
    values = [part for part in parts if part not in classes]
    if not classes or not values:
        return None
    message = f"{classes[0].name} compares with class labels, and {values[0].name} with values"
    related = ((values[0].place, "with values"),) if values[0].place else ()
    return Problem("loss-mismatch", message, classes[0].place, f"{loss.name} needs losses of one kind", related)


def _width_hint(last: Layer, target: torch.Tensor) -> str:
    if target.ndim == 2 and len(last.output_shape) == 1:
        return f"make the last layer {target.shape[1]} wide"
    if target.ndim == 2 and "in_features" in last.component.options:
        return "add `- Flatten` before it"
    return f"end with layers that give {show(target.shape)}" + (", as `- Flatten` and a Linear do" * (target.ndim == 2))


def _notes(data: Component, loss: Component | None = None) -> tuple[tuple[Place, str], ...]:
    """What there is disagreement with: the data's targets, by way of the loss."""
    noted = ((data, "the targets come from here"), *([(loss, "compared here")] if loss else []))
    return tuple((component.place, note) for component, note in noted if component.place)


def _check_loss(loss: Component, prediction: torch.Tensor, target: torch.Tensor, names: Sequence[str]) -> list[Problem]:
    if prediction.numel() + target.numel() <= MOST_NUMBERS:
        prediction, target = (torch.zeros(tensor.shape, dtype=tensor.dtype) for tensor in (prediction, target))
    try:
        with prediction.device, torch.no_grad():
            value = instantiate(unweighted(loss), target_names=names)(prediction, target)
    except PluginFault as fault:
        return [fault.problem]
    except OptionError as error:
        return [option_refused(loss, error)]
    except NotImplementedError:
        return []  # a kernel without a meta implementation: the run itself will tell
    except Exception as error:  # a loss may raise anything: it becomes a fault of the spec
        message = f"{loss.name} cannot compare {show(prediction.shape)} with {show(target.shape)}: {first_line(error)}"
        return [Problem("loss-mismatch", message, loss.place)]
    return [] if isinstance(value, torch.Tensor) and not value.ndim else [_no_number(loss, value)]


def _no_number(loss: Component, value: object) -> Problem:
    """A loss that gives a number for each row, or no tensor: where it has a `reduction`, by the spec's own choice."""
    gives = show(value.shape) if isinstance(value, torch.Tensor) else article(type(value).__name__)
    if loss.entry.parameter("reduction"):
        message = f"{loss.name} gives {gives}, not one number"
        return Problem("loss-mismatch", message, loss.place, "use `reduction: mean` or `sum`")
    forward = getattr(loss.load(), "forward", None)
    message = f"`forward` of {in_words(loss)} gives {gives}, not a tensor of one number"
    return fault_of(loss, message, "end it with `.mean()`, which gives one number for all rows", forward)
