"""The average of a run's parameters over its steps: kept by torch's AveragedModel, evaluated and saved."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, update_bn

from annpipe.backend.instantiate import instantiate
from annpipe.backend.streams import drawing
from annpipe.plan.plan import Plan
from annpipe.registry.traits import AverageTraits
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule


class Average:
    """Takes the parameters in at its steps; `settled` is the model to evaluate once it has begun."""

    def __init__(self, plan: Plan, parts: Parts, schedule: Schedule) -> None:
        assert plan.average
        traits = plan.average.traits(AverageTraits)
        averaged = instantiate(plan.average, model=parts.model)
        assert isinstance(averaged, AveragedModel)
        self.averaged = averaged
        self._model, self._rows = parts.model, parts.rows["train"]
        self._seed, self._train, self._step_rows = plan.head.seed, plan.train, schedule.step_rows
        self._stride = schedule.steps_per_epoch if traits.each == "epoch" else 1
        self._begin = float(plan.average.options.get("start") or 0.0) * schedule.total_steps
        self._updates_bn = traits.update_bn

    @property
    def has_begun(self) -> bool:
        return bool(self.averaged.n_averaged > 0)

    def after(self, step: int) -> None:
        """Takes the parameters in, if the average does so after `step` steps."""
        if step % self._stride == 0 and step > self._begin:
            self.averaged.update_parameters(self._model)

    def settled(self) -> torch.nn.Module:
        """The averaged model. Where it asks for it, its BatchNorm statistics are those of the train split under the
        averaged parameters (`torch.optim.swa_utils.update_bn`); dropout draws the same masks each time."""
        if self._updates_bn:
            with drawing(self._seed, "dropout"):
                update_bn(self._batches(), self.averaged.module)
        return self.averaged.module

    def _batches(self) -> Iterator[torch.Tensor]:
        """The train split in its own order, in batches as the run sees them."""
        size, count = self._train.batch_size, len(self._rows)
        n_whole = count // self._step_rows * self._train.accumulate
        blocks = self._rows.iter_chunks(count if size == "all" else size)
        for x, _ in islice(blocks, max(1, n_whole) if self._train.drop_last else None):
            yield x

    def state(self) -> dict[str, Any]:
        """The average so far and how often parameters were taken in."""
        return self.averaged.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        self.averaged.load_state_dict(state)
