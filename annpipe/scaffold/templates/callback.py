"""A callback: acts at the looks of a run."""

from annpipe import Look, callback


@callback
class GoodEnough:
    """Ends the run when the training loss has been below a level for a few looks."""

    def __init__(self, level: float, looks: int = 3) -> None:
        self.level, self.looks = level, looks
        self._below = 0

    def on_look(self, look: Look) -> None:
        self._below = self._below + 1 if look.values["train/loss"] < self.level else 0
        if self._below == self.looks:
            look.stop(f"train/loss was below {self.level} at {self.looks} looks")

    def state_dict(self) -> dict[str, int]:
        return {"below": self._below}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._below = state["below"]
