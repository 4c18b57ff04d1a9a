"""Warnings about what is allowed and rarely meant, in a model and in what follows its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from annpipe.contract import Fields
from annpipe.draft.component import Component
from annpipe.draft.losses import by_target, leaves, takes_classes
from annpipe.draft.metric_keys import followed_metric, large_is_good, run_metrics
from annpipe.draft.sections import Draft
from annpipe.errors import Place, Problem
from annpipe.plan.plan import Layer, Plan
from annpipe.plan.raw_scores import PASSING, last_layer
from annpipe.registry.traits import LayerTraits, LossTraits, OptimizerTraits

TWO = ("logits", "probabilities")  # what losses of 0 and 1 take the output for
TAKES_SCORES = ("scores", "logits")


def linear_collapse(layers: Sequence[Layer]) -> Iterator[Problem]:
    """Two linear layers with no nonlinearity between them: W₂(W₁x + b₁) + b₂ is again Wx + b.

    What stands inside other layers is looked through too; each pair of lines is told once, however often it is built.
    """
    reported: dict[tuple[Any, ...], Problem] = {}
    for problem in _collapses(layers):
        reported.setdefault((problem.place, problem.related), problem)
    yield from reported.values()


def _in_sequence(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers with those in place of a repetition or a block that it stands for: they follow the ones around it."""
    for layer in layers:
        if layer.component.traits(LayerTraits).stands_for_others:
            yield from _in_sequence(layer.inside)
        else:
            yield layer


def _collapses(layers: Sequence[Layer]) -> Iterator[Problem]:
    before: Layer | None = None
    for layer in _in_sequence(layers):
        component = layer.component
        if component.name in PASSING:
            continue
        for stack in layer.stacks.values():
            yield from _collapses(stack)
        is_linear = component.traits(LayerTraits).linear
        if is_linear and before is not None:
            first = before.component
            related = ((first.place, "after this one"),) if first.place else ()
            yield Problem(
                "linear-collapse",
                f"{first.name} and {component.name} meet with no nonlinearity between them: "
                "together they are equal to one linear layer",
                component.place,
                "put an activation such as ReLU between them, unless this is what you want to see",
                related,
                severity="warning",
            )
        before = layer if is_linear else None


STEPS_FIRST = ("(rows, length, features)", "whole numbers (tokens) of any shape")  # what layers of sequences take
KEEPING = frozenset({"Identity", "Dropout", "AlphaDropout", "LayerNorm", "RMSNorm"})  # shape and meaning of dimensions


def steps_for_channels(layers: Sequence[Layer]) -> Iterator[Problem]:
    """Layers that take the first dimension of a row for channels, where the layers around them have steps there.

    BatchNorm1d on (rows, steps, features) normalises each step over rows and features, and not each feature.
    """
    for layer in layers:
        for stack in layer.stacks.values():
            yield from steps_for_channels(stack)
    row = list(_in_sequence(layers))
    for position, layer in enumerate(row):
        entry, takes = layer.component.entry, layer.component.traits(LayerTraits).needs or ""
        if len(layer.input_shape) != 2 or not _takes_channels(takes):
            continue
        other = _of_sequences(row[:position][::-1], before=True)
        other = other or _of_sequences(row[position + 1 :], before=False)
        if other is None:
            continue
        steps, features = layer.input_shape
        name = layer.component.name
        message = f"{name} takes {takes.rpartition(' or ')[2]}, and {other.name} has (rows, length, features)"
        related = ((other.place, "steps come first here"),) if other.place else ()
        message += f": its channels are the {steps} steps, not the {features} features"
        normalises = entry.parameter("num_features") or entry.parameter("num_channels")
        help_ = "take a layer for (rows, length, features)"
        help_ = "LayerNorm normalises the features of each step" if normalises else help_
        yield Problem("steps-for-channels", message, layer.component.place, help_, related, severity="warning")


def clipped_within_a_step(drafted: Draft) -> Iterator[Problem]:
    """Clipped gradients of an optimizer that evaluates the model several times a step, and compares them."""
    spec, optimizer = drafted.spec, drafted.optimizer
    if not optimizer.traits(OptimizerTraits).closure:
        return
    for name in ("clip_norm", "clip_value"):
        if getattr(spec.train, name) is not None:
            message = f"{optimizer.name} reads the curvature off the gradients of a step, and `{name}` changes these"
            help_ = "leave it out, and take a lower `lr` or `line_search_fn: strong_wolfe`"
            place = spec.place("train", name)
            related = ((optimizer.place, "evaluates the model several times a step"),) if optimizer.place else ()
            yield Problem("clipped-curvature", message, place, help_, related, severity="warning")


def _takes_channels(needs: str) -> bool:
    return needs.startswith("(rows, channels") or needs.endswith("(rows, features, length)")


def _of_sequences(layers: Sequence[Layer], *, before: bool) -> Component | None:
    """The nearest layer that has steps first, with none between that may change what the dimensions mean."""
    for layer in layers:
        traits = layer.component.traits(LayerTraits)
        needs = traits.needs
        is_dense = before and traits.linear and needs is None  # works on the last dimension
        if needs in STEPS_FIRST or is_dense:
            return layer.component
        if _takes_channels(needs or "") and layer.input_shape == layer.output_shape:
            continue  # told of itself, or as it should be
        if needs is not None or not (traits.nonlinear or layer.component.name in KEEPING):
            return None
    return None


def labels_as_numbers(loss: Component, fields: Fields, drafted: Draft) -> Iterator[Problem]:
    """Classes that a loss compares as the numbers 0, 1, 2: the third is then twice as wrong as the second."""
    data, registry = drafted.data, drafted.registry
    if takes_classes(loss):
        return
    for name, field in fields.targets.items():
        if field.classes and field.classes > 2:
            if leaf := _of_two(loss, name):
                message = f"{leaf.name} compares with 0 and 1; '{name}' has {field.classes} classes"
                help_ = f"for one class of several take CrossEntropyLoss and {field.classes} outputs"
                related = ((data.place, "the classes come from here"),) if data.place else ()
                yield Problem("loss-mismatch", message, leaf.place, help_, related, severity="warning")
                continue
            others = [
                other.name for other in registry.entries("loss") if other.traits_as(LossTraits).target == "classes"
            ]
            message = (
                f"{loss.name} compares the {field.classes} classes of '{name}' as the numbers 0 to {field.classes - 1}"
            )
            help_ = f"losses for classes are {', '.join(others)}"
            related = ((data.place, "the classes come from here"),) if data.place else ()
            yield Problem("loss-mismatch", message, loss.place, help_, related, severity="warning")


def _of_two(loss: Component, target: str) -> Component | None:
    """The loss, or one inside it, that compares a target and knows two classes only: 0 and 1."""
    compared = [leaf for leaf, name in by_target(loss) if name in (None, target)]
    return next((leaf for leaf in compared if leaf.traits(LossTraits).expects in TWO), None)


PROBABILITIES, LOGARITHMS = "probabilities", "log-probabilities"  # what a layer may say that it gives


def activation_and_loss(layers: Sequence[Layer], loss: Component) -> Iterator[Problem]:
    """A last layer that does what the loss does itself, or leaves out what the loss relies on."""
    last = last_layer(layers)
    if last is None:
        return
    for leaf in leaves(loss):
        contradiction = _contradiction(last, leaf.name, leaf.traits(LossTraits).expects)
        if contradiction:
            message, help_ = contradiction
            related = ((leaf.place, "compared here"),) if leaf.place else ()
            yield Problem("activation-and-loss", message, last.place, help_, related, severity="warning")


def _contradiction(last: Component, loss: str, expects: str | None) -> tuple[str, str] | None:
    """The message and the remedy, or None where layer and loss go together or one of them says nothing."""
    layer, traits = last.name, last.traits(LayerTraits)
    gives = traits.gives
    if expects in TAKES_SCORES and gives:
        does = "the softmax" if expects == "scores" else "the sigmoid"
        message = f"{loss} takes raw scores and applies {does} itself; {layer} gives {gives}"
        return message, f"leave {layer} out: the scores have the same order"
    if expects == LOGARITHMS and (gives == PROBABILITIES or traits.linear):
        message = f"{loss} takes the logarithms of probabilities; {layer} gives {gives or 'raw scores'}"
        instead = "LogSoftmax in its place" if gives else "LogSoftmax after it"
        return message, f"write {instead}, or take CrossEntropyLoss on raw scores"
    if expects == PROBABILITIES and gives != PROBABILITIES and (gives or traits.linear or traits.nonlinear):
        message = (
            f"{loss} takes probabilities and refuses numbers outside 0 and 1; {layer} gives {gives or 'other ones'}"
        )
        return message, "end with Sigmoid, or take BCEWithLogitsLoss on raw scores"
    return None


def goal_of_scheduler(drafted: Draft, *, has_val: bool) -> Iterator[Problem]:
    """A scheduler that waits for a metric to fall of which large values are good, or the other way round."""
    scheduler = drafted.scheduler
    key = followed_metric(scheduler, has_val=has_val)
    if scheduler is None or key is None or scheduler.options.get("mode") not in ("min", "max"):
        return
    metric, _ = run_metrics(drafted.metrics, drafted.outputs).get(key.partition("/")[2], (None, None))
    rises = metric is not None and large_is_good(metric)
    wanted = "max" if rises else "min"
    if scheduler.options["mode"] != wanted:
        node = scheduler.nodes.get("mode")
        place: Place | None = node.place if node else scheduler.place
        good, waits = ("large", "fall") if rises else ("small", "rise")
        message = f"{scheduler.name} waits for '{key}' to {waits}, and of it {good} values are good"
        yield Problem("goal-of-scheduler", message, place, f"write `mode: {wanted}`", severity="warning")


def never_thawed(drafted: Draft) -> Iterator[Problem]:
    """Parameters that are frozen for as many epochs as there are."""
    epochs = drafted.train.epochs
    for thaw in drafted.thaw:
        if epochs is not None and thaw.until >= epochs:
            message = f"{', '.join(thaw.patterns)} is frozen for {thaw.until} epochs, and the run has {epochs}"
            help_ = "let it be thawed earlier, or freeze it without `until`"
            yield Problem("schedule", message, thaw.place, help_, severity="warning")


def unreachable_targets(plan: Plan, y: torch.Tensor) -> Iterator[str]:
    """What the last layer can never give of the train targets `y`, (rows, targets), in words, for each such target."""
    changing = [layer.component for layer in plan.model if layer.component.name not in PASSING]
    limits = changing[-1].traits(LayerTraits).range if changing else None
    if limits is None or takes_classes(plan.loss) or _is_other(plan):
        return
    low, high = limits
    for position, name in enumerate(
        plan.fields.targets if y.ndim == 2 and y.shape[1] == len(plan.fields.targets) else ()
    ):
        least, most = float(y[:, position].min()), float(y[:, position].max())
        where = f"{changing[-1].name}, the last layer, gives "
        if low is not None and least < low:
            yield f"{where}no number below {low:g}, and '{name}' goes down to {least:g}"
        if high is not None and most > high:
            yield f"{where}no number above {high:g}, and '{name}' goes up to {most:g}"


def _is_other(plan: Plan) -> bool:
    """Whether the loss takes the output for something else than the target's value."""
    return any(leaf.traits(LossTraits).expects for leaf in leaves(plan.loss))
