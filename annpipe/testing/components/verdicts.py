"""What the checks of a component found: a verdict for each check, and the report of all of them."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal

from annpipe.errors import AnnpipeError, Place, SpecError
from annpipe.registry.discovery import PluginFault
from annpipe.registry.entry import Entry

CheckOutcome = Literal["passed", "failed", "not applicable"]
PASSED: CheckOutcome = "passed"
FAILED: CheckOutcome = "failed"
NOT_APPLICABLE: CheckOutcome = "not applicable"


class ComponentFault(Exception):
    """A check that a component fails: why, at which line of its file (0: where it is defined), and the remedy."""

    def __init__(self, reason: str, remedy: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.line = reason, remedy, line


class NotApplicable(Exception):
    """A check that says nothing of a component, with the reason."""


@dataclass(frozen=True)
class Verdict:
    """What one check found: `reason` in any case, `place` as `file:line`, and a `remedy` where it failed."""

    check: str
    outcome: CheckOutcome
    reason: str
    place: str
    remedy: str = ""

    def __str__(self) -> str:
        """`swish.py:20: dtypes: …; remedy: …`."""
        return f"{self.place}: {self.check}: {self.reason}" + (f"; remedy: {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class ComponentReport:
    """The verdicts on one component."""

    kind: str
    name: str
    place: str
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The checks that it fails."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome == FAILED)

    def check(self) -> None:
        """Raises AssertionError with every check that failed, its line and its remedy."""
        if self.failed:
            raise AssertionError("\n".join([f"{self.kind} {self.name} fails:", *map(str, self.failed)]))

    def to_data(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return asdict(self)


def verdict_of_error(check: str, entry: Entry, error: BaseException) -> Verdict:
    """The verdict on a component that raised within a check, at the last line of its file that led there."""
    if isinstance(error, NotApplicable):
        return Verdict(check, NOT_APPLICABLE, str(error), entry.where)
    if isinstance(error, ComponentFault):
        return Verdict(check, FAILED, error.reason, at_line(entry, error.line), error.remedy)
    problem = _problem_of(error)
    line = last_line(error.__traceback__, entry)
    place = at_line(entry, line)
    if problem is not None:
        where = problem.place if problem.place and problem.place.file == entry.file else None
        place = f"{where.file}:{where.line}" if isinstance(where, Place) else place
        return Verdict(check, FAILED, problem.message, place, problem.help or "correct this line")
    text = " ".join(str(error).split())[:300]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Verdict(check, FAILED, reason, place, _remedy_of(error))


def at_line(entry: Entry, line: int) -> str:
    """A line of the component's file as `file:line`; 0 is where the component is defined."""
    return f"{entry.file}:{line}" if entry.file and line else entry.where


def last_line(trace: TracebackType | None, entry: Entry) -> int:
    """The last line of the component's file in a traceback; 0 where there is none."""
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(trace) if frame.filename == entry.file]
    return lines[-1] if lines else 0


def _problem_of(error: BaseException) -> Any:
    """The first problem of an error that has some."""
    if isinstance(error, SpecError):
        return error.problems[0]
    return error.problem if isinstance(error, PluginFault) else None


def _remedy_of(error: BaseException) -> str:
    if "same dtype" in str(error) or "dtype" in str(error) or "Double" in str(error):
        return "take dtype and device from what arrives, as in `torch.zeros_like(x)` or `x.new_tensor(…)`"
    if isinstance(error, AnnpipeError):
        return "let it do what its kind must do; see plugins/README.md"
    return "correct this line: it must not raise here"
