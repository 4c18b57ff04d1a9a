"""Warnings where the last layer, the loss and the metrics contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annpipe.draft.component import Component
from annpipe.draft.losses import leaves
from annpipe.draft.metric_keys import followed_metric, large_is_good, run_metrics
from annpipe.draft.types import Draft
from annpipe.errors import Place, Problem
from annpipe.plan.plan import Layer
from annpipe.plan.warnings.model import PASSING
from annpipe.registry.traits import LayerTraits, LossTraits

PROBABILITIES, LOGARITHMS = "probabilities", "log-probabilities"  # what a layer may say that it gives
TAKES_SCORES = ("scores", "logits")


def activation_and_loss(layers: Sequence[Layer], loss: Component) -> Iterator[Problem]:
    """A last layer that does what the loss does itself, or leaves out what the loss relies on."""
    last = _last(layers)
    if last is None:
        return
    for leaf in leaves(loss):
        contradiction = _contradiction(last, leaf.name, leaf.traits(LossTraits).expects)
        if contradiction:
            message, help_ = contradiction
            related = ((leaf.place, "compared here"),) if leaf.place else ()
            yield Problem("activation-and-loss", message, last.place, help_, related, severity="warning")


def _last(layers: Sequence[Layer]) -> Component | None:
    changing = [layer.component for layer in layers if layer.component.name not in PASSING]
    return changing[-1] if changing else None


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


def thresholds_of_logits(layers: Sequence[Layer], loss: Component, metrics: Sequence[Component]) -> Iterator[Problem]:
    """Metrics that cut raw scores at the threshold for probabilities: a score of 0 is a probability of one half."""
    last = _last(layers)
    takes_logits = any(leaf.traits(LossTraits).expects == "logits" for leaf in leaves(loss))
    if not takes_logits or (last and last.traits(LayerTraits).gives):
        return
    for metric in metrics:
        if "threshold" in metric.options and "threshold" not in metric.nodes and metric.options["threshold"] != 0:
            message = (
                f"{metric.name} takes outputs above {metric.options['threshold']:g} for a 1, "
                f"and {loss.name} makes raw scores of them, where 0 is the middle"
            )
            related = ((loss.place, "raw scores"),) if loss.place else ()
            help_ = f"write `{metric.name}: {{threshold: 0}}`"
            yield Problem("threshold-of-logits", message, metric.place, help_, related, severity="warning")


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
