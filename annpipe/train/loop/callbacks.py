"""What the loop takes from callbacks: their state for a checkpoint, and the numbers that they record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annpipe.errors import RunError

OWN_KEYS = frozenset({"train", "val", "test", "final", "best", "best_trial", "evaluated", "lr", "system"})
"""The first parts of keys under which runs record."""


def callback_state(callback: Any) -> Any:
    """A callback with memory has `state_dict` and `load_state_dict`; one without needs neither."""
    state_dict = getattr(callback, "state_dict", None)
    return state_dict() if state_dict else None


def recordable(values: Mapping[str, float]) -> dict[str, float]:
    """Numbers that a callback records by their keys; raises RunError for keys of the run's own, and for no number."""
    for key, value in values.items():
        if not isinstance(key, str) or not key or key.partition("/")[0] in OWN_KEYS:
            raise RunError(
                f"a callback recorded '{key}', which is a key of the run's own: put another word before the slash"
            )
        if not isinstance(value, int | float):
            raise RunError(f"a callback recorded {type(value).__name__} as '{key}': values are plain numbers")
    return {key: float(value) for key, value in values.items()}
