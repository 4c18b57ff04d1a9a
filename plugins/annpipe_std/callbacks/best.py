"""Callbacks that follow a metric: `early_stopping` and `checkpoint`.

Both have state, so both have `state_dict` and `load_state_dict`: a resumed run decides as it would have.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from annpipe import Look, MetricKey, OptionError, callback
from annpipe_std.callbacks.interval import Interval

Goal = Literal["minimize", "maximize"]
VAL_LOSS = MetricKey("val/loss")
State = dict[str, float | int | None]


class _Best:
    """The best value so far of one metric."""

    def __init__(self, option: str, monitor: str, goal: Goal | None, min_delta: float = 0.0) -> None:
        self.option, self.monitor, self.goal, self.min_delta = option, monitor, goal, min_delta
        self.value: float | None = None

    def measured(self, look: Look) -> bool:
        """Whether the metric has a value yet; raises OptionError when it is sure never to have one.

        The metrics of a split come together: where `val/loss` is known, `val/los` will never be.
        """
        split = self.monitor.partition("/")[0]
        if self.monitor not in look.values and any(key.partition("/")[0] == split for key in look.values):
            raise self.unknown(look)
        return self.monitor in look.values

    def unknown(self, look: Look) -> OptionError:
        message = f"there is no metric '{self.monitor}'"
        return OptionError(self.option, message, help=f"the metrics of this run are {', '.join(look.values)}")

    def improved(self, look: Look) -> bool:
        """Takes the value of this look if it is better by more than `min_delta`; nan never is."""
        value = look.values[self.monitor]
        if math.isnan(value):
            return False
        usual: Goal = "maximize" if self.monitor in look.higher_is_better else "minimize"
        sign = 1 if (self.goal or usual) == "minimize" else -1
        better = self.value is None or sign * value < sign * self.value - self.min_delta
        if better:
            self.value = value
        return better

    @property
    def checkpoint(self) -> str:
        return f"best_{self.monitor.replace('/', '_')}"


@callback(name="early_stopping")
class EarlyStopping:
    """Ends the run when a metric has not improved for some epochs."""

    def __init__(
        self,
        monitor: Annotated[MetricKey, Field(description="The key of the metric to watch.")] = VAL_LOSS,
        patience: Annotated[
            int, Field(gt=0, description="Epochs without an improvement after which the run ends.")
        ] = 10,
        min_delta: Annotated[float, Field(ge=0, description="What a value must gain to count as better.")] = 0.0,
        goal: Annotated[
            Goal | None, Field(description="Whether small or large values are good; as the metric has it.")
        ] = None,
        restore_best: Annotated[
            bool, Field(description="End with the parameters of the best epoch, not of the last.")
        ] = True,
    ) -> None:
        self.patience, self.restore_best = patience, restore_best
        self._best = _Best("monitor", monitor, goal, min_delta)
        self._since: int | None = None

    def on_look(self, look: Look) -> None:
        """Stops the run if its patience is at an end; raises OptionError if the metric was never measured."""
        if self._since is None:
            self._since = look.epoch
        if self._best.measured(look) and self._best.improved(look):
            self._since = look.epoch
            if self.restore_best:
                look.keep(self._best.checkpoint)
        if self.restore_best and self._best.value is not None:
            look.restore(self._best.checkpoint)  # at each look: a resumed run has to be asked again
        if look.epoch - self._since >= self.patience:
            if self._best.monitor not in look.values:
                raise self._best.unknown(look)
            look.stop(f"{self._best.monitor} has not improved for {look.epoch - self._since} epochs")

    def begin_anew(self, epoch: int) -> None:
        """The run is trained further than this callback let it: its patience begins at that epoch."""
        self._since = epoch

    def state_dict(self) -> State:
        return {"best": self._best.value, "since": self._since}

    def load_state_dict(self, state: State) -> None:
        since = state["since"]
        self._best.value, self._since = state["best"], None if since is None else int(since)


@callback(name="checkpoint", example={"best": "val/loss"})
class Checkpoint:
    """Keeps checkpoints: every so many epochs, and the one at which a metric was best.

    They lie in the run's folder, `checkpoints/epoch_<n>` and `checkpoints/best_<metric>`; the last one, from which a
    run is resumed, is always kept there as `last`.
    """

    def __init__(
        self,
        every: Annotated[int | None, Field(gt=0, description="Keep one each time so many epochs have passed.")] = None,
        best: Annotated[MetricKey | None, Field(description="The key of the metric whose best epoch is kept.")] = None,
        goal: Annotated[
            Goal | None, Field(description="Whether small or large values of it are good; as the metric has it.")
        ] = None,
    ) -> None:
        if every is None and best is None:
            raise OptionError(
                "every", "there is nothing to keep", help="give `every: 100` or `best: val/loss`, or both"
            )
        self._every = Interval(every) if every else None
        self._best = _Best("best", best, goal) if best else None

    def on_look(self, look: Look) -> None:
        """Keeps `epoch_<n>` at the first look in each stretch of `every` epochs, `best_<metric>` at each new best."""
        if self._every and self._every.is_due(look.epoch):
            look.keep(f"epoch_{look.epoch}")
        if self._best and self._best.measured(look) and self._best.improved(look):
            look.keep(self._best.checkpoint)

    def state_dict(self) -> State:
        return {"best": self._best.value if self._best else None, "kept": self._every.last if self._every else 0}

    def load_state_dict(self, state: State) -> None:
        if self._every:
            self._every.last = int(state["kept"] or 0)
        if self._best:
            self._best.value = state["best"]
