"""The verdicts on components as tables of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from annpipe.cli.views.text import fitted, terminal_width
from annpipe.errors import visible
from annpipe.testing.components.verdicts import FAILED, NOT_APPLICABLE, PASSED, ComponentReport, Verdict


def as_text(report: ComponentReport, *, whole: bool) -> str:
    """One component: a line of counts, then a table of all its checks or, where it is one of several, of those that
    failed, and a line and a remedy for each of these."""
    head = f"{report.kind} {report.name}, {_from_here(report.place)}: {_counts(report.verdicts)}"
    shown = report.verdicts if whole else report.failed
    if not shown:
        return head
    rows = [["check", "verdict", "reason"], *([v.check, v.outcome, visible(v.reason)] for v in shown)]
    table = [f"  {line}" for line in fitted(rows, _width(), whole=[0, 1])]
    remedies = [
        line
        for verdict in report.failed
        for line in (f"  {verdict.check} --> {_from_here(verdict.place)}", f"    = help: {visible(verdict.remedy)}")
    ]
    return "\n".join([head, *table, *remedies])


def summary(reports: Sequence[ComponentReport]) -> str:
    """The last line: how many components there were, and how many pass."""
    n_failed = sum(bool(report.failed) for report in reports)
    what = f"{len(reports)} component{'s' if len(reports) != 1 else ''} checked"
    return f"{what}: {f'{n_failed} failed' if n_failed else 'none failed'}"


def _counts(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    order = (PASSED, FAILED, NOT_APPLICABLE)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in order if counts[outcome])


def _width() -> int | None:
    width = terminal_width()
    return None if width is None else max(20, width - 2)


def _from_here(place: str) -> str:
    """A place with its file as seen from the working directory, where it lies below it."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place
