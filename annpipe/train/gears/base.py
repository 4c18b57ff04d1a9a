"""The protocol of gears: steps are taken by `advance(n_steps)`, and all gears share one state."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from annpipe.train.gears.eager.guard import Guard


class Gear(Protocol):
    """What the loop needs of a gear."""

    @property
    def step(self) -> int:
        """The steps done."""

    def pause_after(self, n_steps: int) -> int:
        """The steps, `n_steps` at least, after which the gear can pause without another result."""

    def advance(self, n_steps: int) -> torch.Tensor:
        """Takes `n_steps` optimizer steps and returns their losses, (n_steps,), on the device.

        Where a loss has terms that rows cannot put together, these are the values of K terms and their divisors,
        (n_steps, 2K); `step_losses` makes the losses of them. Fewer where the gradients of a step are not finite and
        the run ends with it: that one's loss is the last.
        """

    @property
    def guard(self) -> Guard:
        """What watches over the gradients, and says which steps were left out and whether one can follow."""

    def drain_rates(self) -> list[tuple[int, dict[str, float]]]:
        """The learning rates that took effect since the last call by key, with the epoch they begin to hold for."""

    def scheduler_on_metric(self, value: float) -> None:
        """Steps a scheduler that follows a metric; others step by themselves at the end of each epoch."""

    def result(self) -> torch.nn.Module:
        """The model to evaluate: the trained one, or its averaged copy once that has begun."""

    def close(self) -> None:
        """Lets go of rows that were read ahead; the next step reads them again."""

    def settle(self, state: dict[str, Any] | None = None) -> str | None:
        """Puts the parameters of `result` (out of a state, where one is given) into the model: the run is over.

        Returns what the record has to say of them, None where they are what was asked for.
        """

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on, as tensors and JSON values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from a state, exactly."""
