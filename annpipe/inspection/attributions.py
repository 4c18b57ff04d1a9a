"""Attributions by captum: how much each column adds to the answer for each row, and the rule that their sum keeps.

What is attributed is, for each target, the answer before it becomes a class: the score of the class that is predicted,
or the number in the units of the data. A method compares a row with a *baseline*, here the mean of the rows. Where it
is *complete*, the attributions of a row add up to its answer less that of the baseline (Sundararajan, Taly and Yan,
2017).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.errors import DataError, NotFound
from annpipe.inspection.calls import watchable
from annpipe.inspection.subject import ModelSubject
from annpipe.portable.description import ModelTarget

STEPS = 200  # of the path that integrated gradients goes
SAMPLES = 25  # orders of the columns that Shapley values are the mean of
ROWS_AT_ONCE = 2048  # points of paths
EMBEDDINGS = (torch.nn.Embedding, torch.nn.EmbeddingBag)
CONSTANT = "(constant)"  # the features that are the same in all rows: they add nothing
MOST_ABLATED = 1024  # columns or positions that are taken away one by one


@dataclass(frozen=True)
class CaptumMethod:
    """A class of captum, and what its `attribute` takes: a baseline, columns that are taken away together."""

    cls: str
    has_baseline: bool = True
    by_column: bool = False
    is_complete: bool = False
    options: tuple[tuple[str, Any], ...] = ()


METHODS = {
    "integrated_gradients": CaptumMethod(
        "IntegratedGradients", is_complete=True, options=(("n_steps", STEPS), ("internal_batch_size", ROWS_AT_ONCE))
    ),
    "deep_lift": CaptumMethod("DeepLift", is_complete=True),
    "shapley_values": CaptumMethod(
        "ShapleyValueSampling", by_column=True, is_complete=True, options=(("n_samples", SAMPLES),)
    ),
    "feature_ablation": CaptumMethod("FeatureAblation", by_column=True),
    "input_x_gradient": CaptumMethod("InputXGradient", has_baseline=False),
    "saliency": CaptumMethod("Saliency", has_baseline=False),
}


@dataclass(frozen=True)
class Attributions:
    """The attributions of one target: `values` is (rows, columns), or (rows, …) for an input with a shape of its own.

    `columns` names the raw columns; "a + b" are those that a transform has mixed. `answers` and `baseline` are what is
    attributed, for each row and for the baseline. `gaps` has for each row what its sum lacks, None for methods that
    promise no sum.
    """

    target: str
    method: str
    columns: tuple[str, ...]
    values: torch.Tensor
    answers: torch.Tensor
    baseline: torch.Tensor
    gaps: torch.Tensor | None

    @property
    def largest_gap(self) -> float:
        """The largest of the gaps, without their signs; NaN where there is no rule."""
        return math.nan if self.gaps is None else float(self.gaps.abs().max())

    @property
    def largest_difference(self) -> float:
        """The largest difference between the answer for a row and that for the baseline."""
        return float((self.answers - self.baseline).abs().max())

    @property
    def strength(self) -> torch.Tensor:
        """The mean over the rows of the attributions without their signs, (columns,) or (…)."""
        return self.values.abs().mean(0)


def attribute(subject: ModelSubject, method: str, seed: int = 0) -> list[Attributions]:
    """The attributions of each target, for the rows of the subject.

    Raises NotFound where captum is not installed, DataError where the method does not fit the model.
    """
    captum = _captum()
    how = METHODS[method]
    columns, network = _split(subject.network)
    x = _features(subject, columns, subject.inputs)
    if not x.is_floating_point():
        raise DataError(
            "the model takes whole numbers, as tokens are", "attributions need numbers that can change a little"
        )
    names, owners = _owners(subject, columns, x)
    n_parts = len(names) or x[0].numel()
    if how.by_column and n_parts > MOST_ABLATED:
        message = f"{method} takes away {n_parts:,} positions one by one"
        raise DataError(message, f"it does so for {MOST_ABLATED:,} at most; integrated_gradients has no such limit")
    baseline = x.mean(0, keepdim=True)
    results = []
    for target in subject.targets:
        answer = _Answer(watchable(network).double(), subject, target)
        chosen = answer.chosen(x)
        with warnings.catch_warnings(action="ignore"), torch.random.fork_rng(devices=()):  # captum's remarks on hooks
            torch.manual_seed(seed)
            values = _attributed(getattr(captum, how.cls)(answer), how, x, baseline, chosen, owners)
        with torch.no_grad():
            at_rows = answer(x).gather(1, chosen[:, None])[:, 0]
            at_baseline = answer(baseline)[0][chosen]
        values = _by_column(values, owners, len(names), is_repeated=how.by_column) if names else values
        gaps = values.flatten(1).sum(1) - (at_rows - at_baseline) if how.is_complete else None
        kept = [at for at, name in enumerate(names) if name != CONSTANT]
        values = values[:, kept] if names else values
        columns_kept = tuple(names[at] for at in kept)
        results.append(Attributions(target.name, method, columns_kept, values, at_rows, at_baseline, gaps))
    return results


def _captum() -> Any:
    try:
        import captum.attr
    except ImportError as error:
        message = "captum, which computes attributions, is not installed"
        raise NotFound(f"{message}; `pip install 'annpipe[explain]'` installs it") from error
    return captum.attr


def _attributed(
    algorithm: Any,
    how: CaptumMethod,
    x: torch.Tensor,
    baseline: torch.Tensor,
    chosen: torch.Tensor,
    owners: torch.Tensor,
) -> torch.Tensor:
    options = dict(how.options)
    if how.has_baseline:
        options["baselines"] = baseline
    if how.by_column and len(owners):
        options["feature_mask"] = owners[None]
    try:
        values: torch.Tensor = algorithm.attribute(x.clone().requires_grad_(), target=chosen, **options)
    except (RuntimeError, AssertionError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(f"captum's {how.cls} does not fit this model: {text}", "try integrated_gradients") from error
    return values.detach().double()


class _Answer(torch.nn.Module):
    """The network with its answers for one target: numbers in the units of the data, or the scores of classes."""

    def __init__(self, network: torch.nn.Module, subject: ModelSubject, target: ModelTarget) -> None:
        super().__init__()
        self.network, self.target = network, target
        self._inverse: Callable[[torch.Tensor], torch.Tensor] | None = None
        if subject.transformed.targets is not None:
            self._inverse = subject.transformed.targets.inverse

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, …) -> (rows, outputs of the target)."""
        output = self.network(x)
        output = output if self._inverse is None else self._inverse(output)
        part = output if self.target.span is None else output[:, slice(*self.target.span)]
        if part.ndim != 2:
            message = f"the model answers '{self.target.name}' with an array for each row"
            raise DataError(message, "only answers of one number or class are attributed")
        roles = self.target.roles
        if roles is None:
            return part
        point = part[:, roles.point : roles.point + 1]
        return point.exp() if roles.is_log else point

    def chosen(self, x: torch.Tensor) -> torch.Tensor:
        """For each row the output that is attributed: of classes the predicted one, else the first, (rows,)."""
        with torch.no_grad():
            output: torch.Tensor = self(x)
        return output.argmax(1) if self.target.labels else torch.zeros(len(x), dtype=torch.int64)


def _split(network: torch.nn.Module) -> tuple[torch.nn.Module | None, torch.nn.Module]:
    """The transforms that begin a network, and its layers: words and their numbers have no gradient."""
    first = next(iter(network.named_children()), None)
    if first is not None and first[0] == "columns" and isinstance(network, torch.nn.Sequential):
        return first[1], network[1:]
    return None, network


def _features(subject: ModelSubject, columns: torch.nn.Module | None, inputs: Any) -> torch.Tensor:
    """What the layers take, in double precision."""
    x = subject.features(inputs)
    if columns is not None:
        with torch.no_grad():
            x = columns(x)
    return x.double() if x.is_floating_point() else x


def _owners(
    subject: ModelSubject, columns: torch.nn.Module | None, x: torch.Tensor
) -> tuple[tuple[str, ...], torch.Tensor]:
    """The raw columns, and for each feature the position of that which it is made of, (features,).

    A feature belongs to the columns whose shuffling changes it. There are none for an input with a shape of its own.
    """
    if x.ndim != 2 or len(subject.inputs) == 1:
        single = tuple(subject.inputs) if x.ndim == 2 and next(iter(subject.inputs.values())).ndim == 1 else ()
        return single, torch.zeros(x.shape[1] if single else 0, dtype=torch.int64)
    order = torch.arange(len(x)).roll(1)
    depends = []
    for name, tensor in subject.inputs.items():
        shifted = _features(subject, columns, {**subject.inputs, name: tensor[order]})
        depends.append((shifted != x).any(0).tolist())
    named = [
        [name for name, does in zip(subject.inputs, feature, strict=True) if does]
        for feature in zip(*depends, strict=True)
    ]
    labels = [" + ".join(columns) or CONSTANT for columns in named]
    names = tuple(dict.fromkeys(labels))
    return names, torch.tensor([names.index(label) for label in labels])


def _by_column(values: torch.Tensor, owners: torch.Tensor, n_columns: int, *, is_repeated: bool) -> torch.Tensor:
    """(rows, features) -> (rows, columns): the sum over the features of a column, or the one value that all have."""
    sums = values.new_zeros(len(values), n_columns).index_add_(1, owners, values)
    return sums / torch.bincount(owners, minlength=n_columns) if is_repeated else sums
