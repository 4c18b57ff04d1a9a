"""The state of the training loop: latest and best values, seconds, and the losses of the epoch so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from annpipe.train.tally import Tally


@dataclass
class LoopState(Tally):
    """The state of the loop itself; all of it goes into a checkpoint."""

    latest: dict[str, float] = field(default_factory=dict)
    best: dict[str, tuple[float, int]] = field(default_factory=dict)
    seconds: float = 0.0
    ended_by: str | None = None
    restore: str | None = None

    def note(self, key: str, value: float, epoch: int, *, higher: bool = False) -> None:
        """Takes a value as the latest, and as the best if it is."""
        self.latest[key] = value
        known = self.best.get(key)
        if math.isfinite(value) and (known is None or (value > known[0] if higher else value < known[0])):
            self.best[key] = (value, epoch)
