"""The eager gear: plain PyTorch, one step after another."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch

from annpipe.backend.streams import GlobalStream
from annpipe.plan.plan import Plan
from annpipe.registry.traits import OptimizerTraits
from annpipe.train.batches.in_memory import batches_of
from annpipe.train.divisors import terms_by_divisor
from annpipe.train.gears.eager.average import Average
from annpipe.train.gears.eager.gradients import grad_scaler, gradients
from annpipe.train.gears.eager.guard import Guard
from annpipe.train.gears.eager.optimizer_step import QuickStep
from annpipe.train.gears.eager.thawing import Thawing
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule
from annpipe.train.tally import step_losses


class _NotTaken(Exception):
    """A step whose first gradients are not finite."""


class Eager:
    """The reference gear: plain PyTorch, one step after another."""

    def __init__(self, plan: Plan, parts: Parts, schedule: Schedule) -> None:
        self.step = 0
        self._plan = plan
        self.parts, self._model, self.optimizer = parts, parts.model, parts.optimizer
        self._scheduler = None if plan.followed_metric else parts.scheduler
        self._on_metric = parts.scheduler if self._scheduler is None else None
        rows = parts.rows["train"]
        self.batches = batches_of(rows, schedule, plan.head.seed, shuffle=plan.train.shuffle)
        self._steps_per_epoch = schedule.steps_per_epoch
        self._scheduler_stride = 1 if plan.train.scheduler_each == "step" else self._steps_per_epoch
        device = rows.device
        self.stream = GlobalStream(plan.head.seed, "dropout", device)
        self._scaler = grad_scaler(plan, device)
        self.terms = terms_by_divisor(plan, parts, schedule)
        self._device = device
        self._thawing = Thawing(plan, parts.model, self._steps_per_epoch) if plan.thaw else None
        self._gradients = gradients(plan, parts, device, self._scaler, self.terms)
        self.take = self._closure_step if _needs_closure(plan) else self._plain_step
        self.guard = Guard(plan, parts, schedule, is_scaled=self._scaler is not None)
        self._average = Average(plan, parts, schedule) if plan.average else None
        self._quick_step = QuickStep(parts.optimizer)
        self._rate_groups = rate_groups(plan)
        self._last_rates = self._present_rates()
        self._rates = self._first_rates()

    def pause_after(self, n_steps: int) -> int:
        return n_steps

    def advance(self, n_steps: int) -> torch.Tensor:
        losses = []
        self._model.train()
        with self.stream.lent():
            for _ in range(n_steps):
                batch_index = self.step % self._steps_per_epoch
                if batch_index == 0:
                    self.batches.begin_epoch()
                x, y = self.batches.at(batch_index)
                losses.append(self.take(x, y))
                if self.guard.is_tripped and not self.guard.recovers(self.step + 1, y):
                    break
                self.took_step()
        return torch.stack(losses)

    def took_step(self) -> bool:
        """Counts a step that was taken, and does what follows it; whether a scheduler went on."""
        self.step += 1
        if self._average is not None:
            self._average.after(self.step)
        self._thaw()
        if self._scheduler is None or self.step % self._scheduler_stride != 0:
            return False
        self._scheduler.step()
        self._note_rate()
        return True

    def _thaw(self) -> None:
        """Trains from here on what was frozen for the epochs that have passed."""
        if self._thawing is not None and self._thawing.apply(self.step):
            self._gradients = gradients(self._plan, self.parts, self._device, self._scaler, self.terms)
            self.guard.watch(self.parts.parameters)
            self._quick_step = QuickStep(self.optimizer)

    @property
    def _mid_epoch(self) -> bool:
        return self.step % self._steps_per_epoch != 0

    def _present_rates(self) -> dict[str, float]:
        groups = self.optimizer.param_groups
        return {key: float(groups[number].get("lr", 0.0)) for key, number in self._rate_groups.items()}

    def _first_rates(self) -> list[tuple[int, dict[str, float]]]:
        """A rate that never changes is an option of the plan, not a series."""
        return [(1, self._last_rates)] if self.parts.scheduler is not None else []

    def _note_rate(self) -> None:
        """Notes the rates that the next epoch begins with, those that are others."""
        if self._mid_epoch:
            return
        rates = self._present_rates()
        changed = {key: rate for key, rate in rates.items() if rate != self._last_rates[key]}
        if changed:
            self._last_rates = rates
            self._rates.append((self.step // self._steps_per_epoch + 1, changed))

    def drain_rates(self) -> list[tuple[int, dict[str, float]]]:
        rates, self._rates = self._rates, []
        return rates

    def scheduler_on_metric(self, value: float) -> None:
        if self._on_metric is not None:
            self._on_metric.step(value)
            self._note_rate()

    def result(self) -> torch.nn.Module:
        if self._average is None or not self._average.has_begun:
            return self._model
        return self._average.settled()

    def close(self) -> None:
        """Lets go of rows that were read ahead; the next step reads them again."""
        self.batches.close()

    def settle(self, state: dict[str, Any] | None = None) -> str | None:
        if state is not None:
            self._model.load_state_dict(state["model"])
            if self._average is not None:
                self._average.load_state(state["average"])
        result = self.result()
        if result is not self._model:
            self._model.load_state_dict(result.state_dict())
        elif self._plan.average:
            return f"{self._plan.average.name} took no parameters in: the model is that of the last step"
        return None

    def _plain_step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = self._gradients(x, y)
        if not self.guard.lets(step_losses(loss, len(self.terms or ())), self.step):
            return loss
        if self._scaler is None:
            self._quick_step()
        else:
            self._scaler.step(self.optimizer)
            self._scaler.update()
        return loss

    def _closure_step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One step of an optimizer that evaluates the model several times; the first loss is the step's."""
        evaluated: list[torch.Tensor] = []

        def closure() -> torch.Tensor:
            evaluated.append(self._gradients(x, y))
            loss = step_losses(evaluated[-1], len(self.terms or ()))
            if len(evaluated) == 1 and not self.guard.lets(loss, self.step):
                raise _NotTaken
            return loss

        with suppress(_NotTaken):  # before anything has changed
            self.optimizer.step(closure)  # type: ignore[arg-type]  # LBFGS takes tensors
        return evaluated[0]

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.parts.model.state_dict(),
            "loss": self.parts.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.parts.scheduler.state_dict() if self.parts.scheduler else None,
            "shuffle": self.batches.state(mid_epoch=self._mid_epoch),
            "dropout": self.stream.state,
            "rates": self._last_rates,
            "scaler": self._scaler.state_dict() if self._scaler else None,
            "average": self._average.state() if self._average else None,
            **({"guard": guarded} if (guarded := self.guard.state()) else {}),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.parts.model.load_state_dict(state["model"])
        self.parts.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.parts.scheduler is not None:
            self.parts.scheduler.load_state_dict(state["scheduler"])
        self.batches.load_state(state["shuffle"], mid_epoch=self._mid_epoch)
        self.stream.state = state["dropout"]
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.load_state(state["average"])
        self.guard.load_state(state.get("guard"))
        self._thaw()
        self._last_rates = state["rates"]
        self._rates = [] if self.step else self._first_rates()


def rate_groups(plan: Plan) -> dict[str, int]:
    """The keys of the learning rates, each with its number among torch's groups: one for each group with its own."""
    with_rate = [n for n, group in enumerate(plan.groups, start=1) if "lr" in group.options.options]
    return {"lr": 0, **{f"lr/{number}": number for number in with_rate}}


def _needs_closure(plan: Plan) -> bool:
    """Whether the optimizer evaluates the model several times a step."""
    return plan.optimizer.traits(OptimizerTraits).closure


def beside_the_steps(plan: Plan) -> str | None:
    """What happens to gradients and parameters beside the optimizer's own formula, in a few words."""
    train = plan.train
    if plan.average is not None:
        return f"the average {plan.average.name}"
    if train.accumulate > 1:
        return "train.accumulate"
    return "clipped gradients" if train.clips else None
