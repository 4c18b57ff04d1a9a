"""Finds gradients that are not finite before a step is taken with them, and does what `train.non_finite` says.

`skip` leaves such a step out. `rollback` goes back to the parameters with the lowest loss that were seen at regular
steps, with the optimizer's state of then, and halves the learning rate; steps are counted on.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from annpipe.draft.losses import ignored_label
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule

MOST_IN_A_ROW = 100  # skipped steps, after which nothing will change any more
MOST_ROLLBACKS = 5
LOWERED = 0.5  # what a learning rate is multiplied by at each
KEPT_STEPS = 100  # at least, between two looks at whether these parameters are the best so far
NOT_FINITE = "the gradients are not finite"
LARGE = 1024  # numbers: from so many on a dot product is faster
_check: Any = torch._amp_foreach_non_finite_check_and_unscale_
RATES = ("lr", "initial_lr", "max_lr", "min_lr")  # of a group of torch's optimizers, with those that schedulers add


class Guard:
    """Watches the steps of one run. `broken` says why no step can follow, once that is so.

    Where gradients are scaled, as in half precision, the scaler leaves such steps out by itself; on an accelerator it
    would wait at each step, and looks only where the run goes on after it.
    """

    def __init__(self, plan: Plan, parts: Parts, schedule: Schedule, *, is_scaled: bool) -> None:
        self._how, self._parts = plan.train.non_finite, parts
        device = parts.rows["train"].device
        self.watch(parts.parameters)
        self._n_bad, self._unscaled = torch.zeros(1, device=device), torch.ones(1, device=device)
        ignored = None if plan.outputs else ignored_label(plan.loss)
        self._ignored = ignored if ignored is not None and bool((parts.rows["train"].y == ignored).any()) else None
        must_look = device.type == "cpu" or self._how != "stop" or self._ignored is not None
        self._watches = not is_scaled and must_look
        self._stride = schedule.steps_per_epoch * math.ceil(KEPT_STEPS / schedule.steps_per_epoch)
        self.broken: str | None = None
        self.is_tripped = False
        self.n_skipped = self.n_rollbacks = self._in_a_row = 0
        self._skipped: list[tuple[int, str]] = []
        self._kept: dict[str, Any] | None = None

    def watch(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Looks at the gradients of these parameters."""
        self._parameters = parameters
        self._large = [parameter for parameter in parameters if parameter.numel() >= LARGE]
        self._small = [parameter for parameter in parameters if parameter.numel() < LARGE]

    def lets(self, loss: torch.Tensor, step: int) -> bool:
        """Whether the gradients of the step, the number of those done, are finite, and so is its loss."""
        if not self._watches:
            return True
        try:  # what these say costs a few microseconds; they may be wrong about large numbers, and know no sparse ones
            _check([parameter.grad for parameter in self._small], self._n_bad, self._unscaled)  # multiplies them by 1
            sums = [_square(parameter.grad) for parameter in self._large] if self._large else ()
            is_finite = not self._n_bad.item() and math.isfinite(sum(sums))
        except (RuntimeError, NotImplementedError, TypeError, AttributeError):
            is_finite = False
        if not math.isfinite(loss.item()) or not (is_finite or self._are_finite()):
            self.is_tripped = True
            return False
        self._in_a_row = 0
        if self._how == "rollback" and step % self._stride == 0:
            self._keep(loss.item())
        return True

    def _are_finite(self) -> bool:
        """Whether all gradients are finite, looked at one by one."""
        self._n_bad.zero_()
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        values = [gradient.coalesce().values() if gradient.is_sparse else gradient for gradient in gradients]
        return all(bool(value.isfinite().all()) for value in values)

    def recovers(self, step: int, y: torch.Tensor) -> bool:
        """Whether the run goes on after the step (from 1) that was not taken; `y` are the targets it saw."""
        self.is_tripped = False
        if self._ignored is not None and bool((y == self._ignored).all()):
            self._skip(step, f"all its labels are {self._ignored}, which `ignore_index` leaves out")
            return True
        self._in_a_row += 1
        if self._how == "stop":
            self.broken = NOT_FINITE
        elif self._how == "skip" and self._in_a_row > MOST_IN_A_ROW:
            self.broken = f"the gradients of {self._in_a_row} steps in a row are not finite"
        elif self._how == "rollback" and self.n_rollbacks == MOST_ROLLBACKS:
            self.broken = f"the gradients are not finite, after {MOST_ROLLBACKS} rollbacks"
        elif self._how == "rollback" and self._kept is None:
            self.broken = "the gradients are not finite, and no step before it had finite ones"
        else:
            why = "its gradients are not finite"
            self._skip(step, why if self._how == "skip" else f"{why}; {self._roll_back()}")
        return self.broken is None

    def _skip(self, step: int, why: str) -> None:
        self.n_skipped += 1
        self._skipped.append((step, why))

    def left_out(self, step: int, observer: Observer) -> frozenset[int]:
        """The steps that were left out since the last call, from 1, with the one that ended the run where it went on so
        far; `step` are those done. `observer` is told of the first, and of each rollback."""
        skipped, self._skipped = self._skipped, []
        for number, (skipped_step, why) in enumerate(skipped, start=self.n_skipped - len(skipped) + 1):
            if number == 1 or self._how == "rollback":
                observer.event(f"warning: step {skipped_step} is left out: {why}")
        last = {step + 1} if self.broken and self._how != "stop" else set()
        return frozenset({skipped_step for skipped_step, _ in skipped} | last)

    @property
    def counts(self) -> dict[str, float]:
        """How many steps were left out, by the key of the record; empty where none was."""
        return {"train/skipped": float(self.n_skipped)} if self.n_skipped else {}

    def _keep(self, loss: float) -> None:
        """Keeps the parameters that gave this loss, and the optimizer's state, unless those kept are better."""
        if self._kept is None or loss <= self._kept["loss_value"]:
            parts = self._parts
            states = {"model": parts.model.state_dict(), "loss": parts.loss.state_dict()}
            optimizer_state = parts.optimizer.state_dict()["state"]
            self._kept = copy.deepcopy({**states, "memories": optimizer_state})  # the key that checkpoints have
            self._kept["loss_value"] = loss

    def _roll_back(self) -> str:
        """Goes back to what is kept, with a lower rate; what was done, in words."""
        assert self._kept is not None
        parts, kept = self._parts, copy.deepcopy(self._kept)
        parts.model.load_state_dict(kept["model"])
        parts.loss.load_state_dict(kept["loss"])
        groups = parts.optimizer.state_dict()["param_groups"]
        parts.optimizer.load_state_dict({"state": kept["memories"], "param_groups": groups})
        lower_rates(parts.optimizer, parts.scheduler)
        self.n_rollbacks += 1
        lr = parts.optimizer.param_groups[0].get("lr")
        return f"back to the parameters of loss {kept['loss_value']:.4g}, with the learning rate {float(lr or 0):.3g}"

    def state(self) -> dict[str, Any] | None:
        """What a resumed run has to know; None where it is what a new one knows."""
        if self._how == "stop":
            return {"n_skipped": self.n_skipped} if self.n_skipped else None
        counts = {"n_skipped": self.n_skipped, "n_rollbacks": self.n_rollbacks, "in_a_row": self._in_a_row}
        return {**counts, "kept": self._kept}

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        known = state or {}
        self.n_skipped, self.n_rollbacks = known.get("n_skipped", 0), known.get("n_rollbacks", 0)
        self._in_a_row, self._kept = known.get("in_a_row", 0), known.get("kept")


def not_finite(losses: torch.Tensor, gradients: Sequence[torch.Tensor]) -> list[int]:
    """The members of a stack that have losses, (members,) or (members, terms), or gradients, (members, numbers) each,
    that are not finite."""
    flat = [gradient.view(-1) for gradient in gradients]
    if math.isfinite(losses.sum()) and all(math.isfinite(torch.dot(g, g)) for g in flat):
        return []
    parts = [losses.reshape(len(losses), -1), *gradients]
    rows = torch.stack([part.isfinite().all(1) for part in parts]).all(0)
    return [member for member, is_finite in enumerate(rows.tolist()) if not is_finite]


def _square(gradient: Any) -> float:
    flat = gradient.view(-1)
    return float(torch.dot(flat, flat))


def lower_rates(optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
    """Halves the learning rates, also those that a scheduler starts from."""
    for group in optimizer.param_groups:
        for name in RATES:
            if name in group:
                group[name] *= LOWERED
    for inner in _schedulers(scheduler):
        for name in ("base_lrs", "max_lrs"):
            if (kept_rates := getattr(inner, name, None)) is not None:
                setattr(inner, name, [rate * LOWERED for rate in kept_rates])


def _schedulers(scheduler: Any) -> Iterator[Any]:
    """A scheduler and those inside it."""
    if scheduler is not None:
        yield scheduler
        for inner in getattr(scheduler, "_schedulers", ()):
            yield from _schedulers(inner)
