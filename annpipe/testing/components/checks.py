"""The checks of one component by their names: each holds it against something that annpipe promises of components."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annpipe.backend.torch_globals import torch_defaults
from annpipe.registry.entry import Entry
from annpipe.registry.registry import Registry
from annpipe.testing.components.declared import check_example, check_round_trip, check_signature
from annpipe.testing.components.forward import check_batches, check_dtypes, check_gradients, check_inputs
from annpipe.testing.components.kept import check_export, check_saving
from annpipe.testing.components.listed_reasons import listed_reason
from annpipe.testing.components.random_numbers import check_random
from annpipe.testing.components.subject import Subject
from annpipe.testing.components.trains import check_resume, check_stack, check_training
from annpipe.testing.components.verdicts import (
    NOT_APPLICABLE,
    PASSED,
    ComponentReport,
    NotApplicable,
    Verdict,
    at_line,
    verdict_of_error,
)

ROWS_ARE_NO_INPUT = "it is not called with rows"
NO_FORWARD = "it has no forward pass of its own"


def _only(kinds: str, reason: str, check: Callable[[Subject], str]) -> Callable[[Subject], str]:
    """The check for some kinds; for others it is not applicable."""

    def checked(subject: Subject) -> str:
        if subject.kind not in kinds.split():
            raise NotApplicable(reason)
        return check(subject)

    return checked


CHECKS: Mapping[str, Callable[[Subject], str]] = {
    "signature": check_signature,
    "example": check_example,
    "round_trip": check_round_trip,
    "batches": _only("layer loss transform metric distribution", ROWS_ARE_NO_INPUT, check_batches),
    "inputs": _only("layer loss transform metric", ROWS_ARE_NO_INPUT, check_inputs),
    "dtypes": check_dtypes,
    "training": check_training,
    "gradients": _only("layer loss transform", NO_FORWARD, check_gradients),
    "saving": check_saving,
    "random": check_random,
    "resume": check_resume,
    "stack": check_stack,
    "export": check_export,
}
"""By name, in the order of the report. All but the first two use the plan of `example`."""
FIRST = ("signature", "example")


@contextmanager
def checking(entry: Entry, registry: Registry, spec: Mapping[str, Any] | None = None) -> Iterator[Subject]:
    """The component under test, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="annpipe-check-") as folder:
        yield Subject(entry, registry, Path(folder), spec)


def verdict(subject: Subject, check: str) -> Verdict:
    """The verdict of one check. A component may list a reason not to be held to it; the check is then not run."""
    entry = subject.entry
    if (reason := listed_reason(entry, check)) is not None:
        return Verdict(check, NOT_APPLICABLE, f"listed: {reason}", entry.where)
    with torch_defaults(threads=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if check not in FIRST:
            try:
                _ = subject.plan
            except Exception:  # `example` reports it
                return Verdict(check, NOT_APPLICABLE, "there is no plan to try it in: see `example`", entry.where)
        try:
            return Verdict(check, PASSED, CHECKS[check](subject), entry.where)
        except (Exception, SystemExit) as error:  # a component may raise anything: that is what is looked for
            return verdict_of_error(check, entry, error)


def check_entry(entry: Entry, registry: Registry, spec: Mapping[str, Any] | None = None) -> ComponentReport:
    """Every check of one component of a registry."""
    with checking(entry, registry, spec) as subject:
        verdicts = tuple(verdict(subject, check) for check in CHECKS)
    return ComponentReport(entry.kind, entry.name, at_line(entry, 0), verdicts)
