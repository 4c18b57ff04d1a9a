"""True labels, predicted labels and scores of the targets that are classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from annpipe import Dataset, OptionError, RunView
from annpipe_std.plots.rows import held_out, outputs, rows_label, sample, zeros_and_ones

MAX_COUNTED = 50_000
OF_TWO = ("BCEWithLogitsLoss", "BCELoss")
"""The losses that take a single output for that of a class of two."""


@dataclass(frozen=True)
class Classified:
    """A target that is a class, on the rows that have a label.

    **Shape:** `labels` and `predicted` are (rows,), int64 from 0; `score` is (rows, classes) or, of a target of 0 and 1
    with a single output, (rows, 1): the larger, the more a row is of the class (the 1); `probability` is that of each
    class, (rows, classes). Both are None where the output is a label itself.
    """

    target: str
    names: tuple[str, ...]
    labels: torch.Tensor
    predicted: torch.Tensor
    score: torch.Tensor | None = None
    probability: torch.Tensor | None = None

    @property
    def classes(self) -> int:
        return len(self.names)

    def one_against_rest(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """For each class its name, its scores and whether a row is of it, both (rows,); of two classes the second."""
        if self.score is None:
            return
        for label in range(self.classes) if self.classes > 2 else [1]:
            yield self.names[label], self.score[:, label if self.score.shape[1] > 1 else 0], self.labels == label


@dataclass(frozen=True)
class ClassTargets:
    """The targets that are classes, on the rows of one split: see `held_out`."""

    rows: str
    targets: tuple[Classified, ...]

    @property
    def scored(self) -> tuple[Classified, ...]:
        """Those for which the model gives scores, not labels."""
        return tuple(target for target in self.targets if target.score is not None)


def class_targets(view: RunView) -> ClassTargets | None:
    """The run's targets that are classes, up to MAX_COUNTED rows of them; None without rows."""
    chosen_split = held_out(view)
    if chosen_split is None:
        return None
    name, split = chosen_split
    chosen = sample(split.rows, MAX_COUNTED)
    output = outputs(view, split, chosen)
    targets = [
        classified
        for target, values in split.targets.items()
        for classified in _classified(target, values[chosen], output[target], split, logits=is_logit(view, target))
    ]
    return ClassTargets(rows_label(name, len(chosen), split.rows), tuple(targets))


def is_logit(view: RunView, target: str) -> bool:
    """Whether a single output means 1 above 0, as the run says of raw scores; all others do above 0.5."""
    return target in view.raw_scores


def is_one_of_two(view: RunView, target: str) -> bool:
    """Whether the loss takes a single output for that of a class of two: its probability, or the logit of it."""
    return is_logit(view, target) or view.loss_of(target) in OF_TWO


def class_probabilities(output: torch.Tensor, *, logits: bool) -> torch.Tensor:
    """The probability of each class, (rows, classes); a single output, (rows,) or (rows, 1), is that of class 1."""
    if output.ndim == 2 and output.shape[1] > 1:
        return output.double().softmax(1)
    positive = output.double().flatten()
    positive = positive.sigmoid() if logits else positive.clamp(0, 1)
    return torch.stack([1 - positive, positive], 1)


def refused(plot: str, loss: str) -> OptionError:
    """Why a figure of classes cannot be drawn of a run."""
    message = f"{loss or 'the loss'} is not trained on classes here: no target is a class label or 0 and 1"
    help_ = "draw `residuals` for numbers, or train with a loss of classes, as CrossEntropyLoss"
    return OptionError("", f"{plot} shows classes, and {message}", help=help_)


def refused_scores(plot: str, loss: str) -> OptionError:
    """Why a figure of scores cannot be drawn of a run."""
    message = f"{plot} needs a score for each class, and a model trained with {loss or 'this loss'} has none here"
    return OptionError("", message, help="train with a loss of classes, as CrossEntropyLoss")


def _classified(
    target: str, true: torch.Tensor, output: torch.Tensor, split: Dataset, *, logits: bool
) -> Iterator[Classified]:
    """The target as a class, each column of several, or nothing where it is none."""
    names = split.categories.get(target, ())
    if true.ndim == 2 and output.shape == true.shape and zeros_and_ones(true):
        for index, (column, mine) in enumerate(zip(true.unbind(1), output.unbind(1), strict=True)):
            yield _of_two(names[index] if index < len(names) else f"{target}_{index}", column, mine, (), logits=logits)
    elif output.ndim == true.ndim + 1 and output.shape[1] > 1:
        flat = output.movedim(1, -1).reshape(-1, output.shape[1])  # (rows, classes, …) -> (rows · …, classes)
        yield _of_scores(target, true.flatten().long(), flat, names)
    elif true.ndim != 1 or output.numel() != true.numel():
        return
    elif zeros_and_ones(true):
        yield _of_two(target, true, output.flatten(), names, logits=logits)
    elif not true.is_floating_point():
        top = max(int(true.max()), 0)
        predicted = output.flatten().nan_to_num().round().clamp(0, top).long()
        yield Classified(target, _names(names, top + 1), *_named(top + 1, true, predicted))


def _of_scores(target: str, true: torch.Tensor, output: torch.Tensor, names: Sequence[str]) -> Classified:
    labels, predicted, scores = _named(output.shape[1], true, output.argmax(1), output.double())
    probability = class_probabilities(scores, logits=False)
    return Classified(target, _names(names, output.shape[1]), labels, predicted, probability, probability)


def _of_two(target: str, true: torch.Tensor, output: torch.Tensor, names: Sequence[str], *, logits: bool) -> Classified:
    labels, scores = _named(2, true.long(), output.double())
    predicted = (scores > (0 if logits else 0.5)).long()
    probability = class_probabilities(scores, logits=logits)
    return Classified(target, _names(names, 2), labels, predicted, scores[:, None], probability)


def _named(classes: int, true: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """All of them without the rows whose label is of no class: the `ignore_index` of a loss, as -100."""
    kept = (true >= 0) & (true < classes)
    return (true[kept], *(other[kept] for other in others))


def _names(known: Sequence[str], classes: int) -> tuple[str, ...]:
    """The classes' own names as far as they are known, their numbers after that."""
    return (*known[:classes], *map(str, range(len(known[:classes]), classes)))
