"""What the journal of a run tells for its report: its tags, its values over the epochs, the last and the best ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import BadRunFolder
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import ArtifactKept, RunBegun, RunEnded, TagsSet
from annpipe.record.journal.inside import path_inside

FINAL, BEST = "final/", "best/"
NO_CURVES = (FINAL, BEST, "evaluated/", "best_trial/")

CurvePoints = tuple[list[int], list[float]]


@dataclass(frozen=True)
class JournalFacts:
    """The first event, all tags, the points by key, the final and the best values, and the files of its figures."""

    begun: RunBegun
    tags: Mapping[str, str]
    history: Mapping[str, CurvePoints]
    final: Mapping[str, float]
    best: Mapping[str, float]
    figures: tuple[Path, ...]
    status: str
    seconds: float

    @property
    def command(self) -> str | None:
        """What began the run, without credentials, as its description in MLflow ends with it."""
        last = (self.begun.description or "").rpartition("\n\n")[2]
        return last.strip() if last.startswith("    ") else None


def journal_facts(folder: Path) -> JournalFacts:
    """Reads the whole journal of a run."""
    begun = journals.run_begun(folder)
    tags = dict(begun.tags)
    history: dict[str, CurvePoints] = {}
    single: dict[str, float] = {}
    figures: dict[Path, None] = {}
    last_ms, status = begun.time or 0, "RUNNING"
    for event in journals.read(folder):
        match event:
            case TagsSet():
                tags |= event.tags
            case ArtifactKept(to="plots"):
                figures |= dict.fromkeys(_inside(folder, event.file))
            case RunEnded():
                status, last_ms = event.status, event.time
        for key, step, value, time_ms in journals.points(event):
            if key.startswith(NO_CURVES):
                single[key] = value
            else:
                steps, values = history.setdefault(key, ([], []))
                steps.append(step)
                values.append(value)
            last_ms = max(last_ms, time_ms) if status == "RUNNING" else last_ms
    return JournalFacts(
        begun,
        tags,
        history,
        {key.removeprefix(FINAL): value for key, value in single.items() if key.startswith(FINAL)},
        {key.removeprefix(BEST): value for key, value in single.items() if key.startswith(BEST)},
        tuple(figures),
        status,
        max(0, last_ms - (begun.time or last_ms)) / 1000,
    )


def _inside(folder: Path, name: str) -> Sequence[Path]:
    """The file, where it is one of the run's own folder."""
    try:
        path = path_inside(folder, name)
    except BadRunFolder:
        return ()
    return (path,) if path.is_file() else ()
