"""How many steps are taken between two pauses? As many as fill a given time, by the steps before."""

from __future__ import annotations

MOST_STEPS = 4096  # between two pauses: bounds the memory that losses take


class Pace:
    """Begins with one step, and doubles at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.steps = 1

    def took(self, n_steps: int, seconds: float) -> None:
        """Takes in how long steps took."""
        fitting = int(self._seconds * n_steps / max(seconds, 1e-9))
        self.steps = max(1, min(MOST_STEPS, self.steps * 2, fitting))
