"""Which runs are sweeps, and which are their trials? Told by their journals."""

from __future__ import annotations

from pathlib import Path

from annpipe.record import journal
from annpipe.record.inside import neighbour
from annpipe.record.lines import first_event


def is_sweep(folder: Path) -> bool:
    """Whether a run is one above trials."""
    first = first_event(folder) or {}
    return (first.get("tags") or {}).get("annpipe.sweep") == "true"


def trials_of(folder: Path) -> list[Path]:
    """The runs of a sweep's trials, in their order; raises BadRunFolder where it names what cannot be one."""
    names = [event["run"] for event in journal.read(folder) if event["event"] == "trial"]
    return [path for name in names if (path := neighbour(folder, name)).is_dir()]
