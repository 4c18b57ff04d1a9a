"""The divisor of the mean of a loss: its rows, the weights of their classes, the labels that count, or nothing.

A loss over rows is a numerator over a divisor, and both add up over batches; a mean of batch means is right only where
the divisor is the number of rows. A loss made of losses is a sum of such terms, each with a divisor of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from annpipe.backend.torch_classes import TORCH_CLASSES
from annpipe.contract import LossTerm
from annpipe.draft.losses import leaves
from annpipe.errors import RunError
from annpipe.plan.plan import Plan
from annpipe.portable.heads import HeadLosses
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule

TensorPart = Callable[[torch.Tensor], torch.Tensor]


def counted_weight(weight: torch.Tensor | None, ignore_index: int, target: torch.Tensor) -> torch.Tensor:
    """Labels, of any shape -> (): the sum of the weights, (classes,), of those that are not ignored; else their number.

    Nothing waits for the device.
    """
    return label_weights(weight, ignore_index, target).flatten().sum()


def label_weights(weight: torch.Tensor | None, ignore_index: int, target: torch.Tensor) -> torch.Tensor:
    """Labels, of any shape -> the same shape: the weight, (classes,), of each that is not ignored; else whether it is
    not."""
    is_ignored = target == ignore_index
    if weight is None:
        return ~is_ignored
    weights = weight.gather(0, target.masked_fill(is_ignored, 0).flatten()).reshape(target.shape)
    return weights.masked_fill(is_ignored, 0)


OF_CLASSES = tuple(known.forward for known, facts in TORCH_CLASSES.items() if facts.compares_labels)  # type: ignore[attr-defined]  # losses are modules
"""The losses of torch whose mean is over the weights of labels that are not ignored. Every other one of torch's, and
one of a plugin without a `divisor`, is a mean over rows, or over numbers of which each row has as many.

They are named by `forward`: a class that inherits it divides as they do, one with a `forward` of its own need not.
"""


def compares_labels(loss: nn.Module) -> bool:
    """Whether a loss divides by what its labels weigh."""
    return type(loss).forward in OF_CLASSES


def leaves_labels_out(loss: Any, y: torch.Tensor) -> bool:
    """Whether a loss of labels does not count some of these."""
    return compares_labels(loss) and bool((y == loss.ignore_index).any())


@dataclass(frozen=True)
class Term:
    """One of the losses that a loss adds up: its weight, and what it sees of prediction and target."""

    loss: Any
    weight: float
    of_prediction: TensorPart
    of_target: TensorPart

    @property
    def is_sum(self) -> bool:
        """Whether nothing divides it."""
        return getattr(self.loss, "reduction", None) == "sum"

    def value(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss times its weight, ()."""
        value: torch.Tensor = self.loss(self.of_prediction(prediction), self.of_target(y))
        return value if self.weight == 1.0 else value * self.weight

    def is_by_rows(self, y: torch.Tensor) -> bool:
        """Whether rows with these targets all count the same."""
        if self.is_sum or _plugin_divisor(self.loss) is not None:
            return False
        if not compares_labels(self.loss) or (target := self.of_target(y)).is_floating_point():
            return True  # of probabilities of classes torch's mean is over rows
        return self.loss.weight is None and not bool((target == self.loss.ignore_index).any())

    def divisor(self, y: torch.Tensor) -> torch.Tensor:
        """What the loss of rows with these targets is divided by, (); 1 for a sum."""
        if self.is_sum:
            return torch.ones((), device=y.device)
        target = self.of_target(y)
        if (divisor_of := _plugin_divisor(self.loss)) is not None:
            return _as_scalar(self.loss, divisor_of(self.loss, target), y.device)
        if compares_labels(self.loss) and not target.is_floating_point():
            return counted_weight(self.loss.weight, self.loss.ignore_index, target)
        return torch.full((), float(len(y)), device=y.device)

    def numerator(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss before it is divided, times its weight, (); 0 where no row counts."""
        if self.is_sum:
            return self.value(prediction, y)
        if compares_labels(self.loss) and not self.of_target(y).is_floating_point():
            return Term(undivided(self.loss), self.weight, self.of_prediction, self.of_target).value(prediction, y)
        divisor = self.divisor(y)
        if _plugin_divisor(self.loss) is not None and not bool(divisor):
            return self.of_prediction(prediction).sum() * 0
        return self.value(prediction, y) * divisor


def undivided(loss: nn.Module) -> nn.Module:
    """The same loss of torch, with its tensors, as a sum."""
    summed: Any = copy.copy(loss)
    summed.reduction = "sum"
    return summed  # type: ignore[no-any-return]  # a copy of a module is one


def _plugin_divisor(loss: nn.Module) -> Callable[..., object] | None:
    """A plugin's own `divisor`."""
    divisor = getattr(type(loss), "divisor", None)
    return divisor if callable(divisor) else None


def _as_scalar(loss: nn.Module, value: object, device: torch.device) -> torch.Tensor:
    try:
        number = torch.as_tensor(value, device=device).detach()
    except (TypeError, ValueError, RuntimeError):
        number = torch.empty(0)
    if number.ndim or number.is_complex():
        raise RunError(f"the loss {type(loss).__name__}: its `divisor` gave {type(value).__name__}, not one number")
    return number


class Terms:
    """A loss as the terms that it adds up, K of them, each with its own divisor."""

    def __init__(self, loss: Any, of_prediction: TensorPart | None = None, of_target: TensorPart | None = None) -> None:
        self._terms = list(_terms(loss, 1.0, of_prediction or _all, of_target or _all))
        self.sums = tuple(term.is_sum for term in self._terms)
        self.is_alone = len(self._terms) == 1 and self._terms[0].loss is loss and of_prediction is None

    def __len__(self) -> int:
        return len(self._terms)

    def __iter__(self) -> Iterator[Term]:
        return iter(self._terms)

    def are_by_rows(self, y: torch.Tensor) -> bool:
        """Whether every row of these targets, (rows, …), counts the same in each of them."""
        return all(term.is_by_rows(y) for term in self._terms)

    def values(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Each term's loss times its weight, (K,): together they are the loss."""
        return _together([term.value(prediction, y) for term in self._terms])

    def divisors(self, y: torch.Tensor) -> torch.Tensor:
        """(K,): of many rows they are the sums of those of some; 1 for a sum, which has none."""
        return _together([term.divisor(y) for term in self._terms])

    def numerators(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(K,): of many rows they are the sums of those of some; over the divisors, the values."""
        return _together([term.numerator(prediction, y) for term in self._terms])


def _all(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _together(numbers: Sequence[torch.Tensor]) -> torch.Tensor:
    """(K,) in single precision at least: a divisor may be a large number."""
    dtype = torch.float32
    for number in numbers:
        dtype = torch.promote_types(dtype, number.dtype if number.is_floating_point() else torch.get_default_dtype())
    return torch.stack([number.to(dtype) for number in numbers])


def _terms(loss: Any, weight: float, of_prediction: TensorPart, of_target: TensorPart) -> Iterator[Term]:
    terms_of = getattr(type(loss), "terms", None)
    if isinstance(loss, HeadLosses):
        inside = head_terms(loss)
    elif callable(terms_of):
        inside = list(terms_of(loss))
    else:
        yield Term(loss, weight, of_prediction, of_target)
        return
    for term in inside:
        parts = _after(of_prediction, term.prediction), _after(of_target, term.target)
        yield from _terms(term.loss, weight * term.weight, *parts)


def _after(first: TensorPart, second: TensorPart | None) -> TensorPart:
    if second is None:
        return first
    return second if first is _all else lambda tensor: second(first(tensor))


def head_terms(loss: HeadLosses) -> list[LossTerm]:
    """The losses of heads as terms, in their order."""

    def term(name: str, attribute: str) -> LossTerm:
        return LossTerm(
            getattr(loss, attribute),
            loss.weights[name],
            lambda prediction: loss.of_prediction(name, prediction),
            lambda target: loss.of_target(name, target),
        )

    return [term(*pair) for pair in zip(loss.names, loss.keys, strict=True)]


def is_sum(plan: Plan, loss: nn.Module) -> bool:
    """Whether the loss of a run is a sum over rows, which nothing divides."""
    return all(leaf.options.get("reduction") == "sum" for leaf in leaves(plan.loss)) or all(Terms(loss).sums)


def terms_by_divisor(plan: Plan, parts: Parts, schedule: Schedule) -> Terms | None:
    """The terms of the loss, where batches cannot be put together by their rows.

    None where they can, where there is but one, or where the loss is a sum.
    """
    is_whole = schedule.steps_per_epoch == 1 and plan.train.accumulated_size is None
    if is_whole or is_sum(plan, parts.loss):
        return None
    terms = Terms(parts.loss)
    return None if terms.are_by_rows(parts.rows["train"].y) else terms


def sums_of(plan: Plan, loss: nn.Module) -> tuple[bool, ...]:
    """For each term of a run's loss whether it is a sum; of a loss that is one altogether, once."""
    return (True,) if is_sum(plan, loss) else Terms(loss).sums
