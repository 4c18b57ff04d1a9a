"""The checks that a component is not held to, each with its reason.

A component of one's own says so in its attribute `unchecked = {"gradients": "it rounds"}`; the table has those of the
built-in library and of torch's own classes, whose files are not ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annpipe.registry.discovery import load
from annpipe.registry.entry import Entry

LISTED_REASONS: Mapping[tuple[str, str, str], str] = {
    ("layer", "BatchNorm1d", "batches"): "in training it divides by the spread over the rows of a batch, and one row "
    "has none: torch raises an error; `train: {drop_last: true}` leaves such a batch out",
}
"""By kind, name and check."""


def listed_reason(entry: Entry, check: str) -> str | None:
    """Why the component is not held to a check; None where it is."""
    component: Any = load(entry)
    reasons: Mapping[str, str] = getattr(component, "unchecked", {})
    built_in = entry.origin.distribution in ("annpipe", "torch")
    return reasons.get(check) or (LISTED_REASONS.get((entry.kind, entry.name, check)) if built_in else None)
