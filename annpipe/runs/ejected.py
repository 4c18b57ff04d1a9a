"""Writes the script of a spec or of a run, and checks it against the run's own training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from annpipe.backend.device import computing
from annpipe.backend.torch_globals import torch_defaults
from annpipe.eject.check import LossComparison
from annpipe.eject.check import check as compared
from annpipe.eject.refused import NotEjected
from annpipe.eject.script import eject
from annpipe.errors import RunError
from annpipe.files.whole import write_whole
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.record.journal.project import spec_file
from annpipe.record.journal.seal import PLAN, check_own
from annpipe.runs.launch import complete, plan_of
from annpipe.runs.spec_source import SpecSource
from annpipe.spec import load_spec
from annpipe.spec.sections.spec import Spec
from annpipe.train.parts import build


@dataclass(frozen=True)
class Ejected:
    """A script that was written: its file, what of the spec is not in it, and how it compares where that was asked."""

    file: Path
    left_out: tuple[str, ...]
    comparison: LossComparison | None


def eject_spec(source: SpecSource, file: Path, observer: Observer, *, check: bool, force: bool) -> Ejected:
    """Ejects a spec; the rest is as in `eject_plan`."""
    drafted = source.draft()
    with _placed(drafted.spec):
        return eject_plan(complete(drafted, observer), file, observer, check=check, force=force)


def eject_run(folder: Path, file: Path, observer: Observer, *, check: bool, force: bool, trust: bool) -> Ejected:
    """Ejects the plan of a run; raises NotTrusted where it is not the user's own, unless `trust` says that it is."""
    check_own(folder, PLAN, trusted=trust)
    with torch_defaults():
        plan = plan_of(folder, observer)
    with _placed(load_spec(folder / PLAN, base=spec_file(folder).resolve().parent)):
        return eject_plan(plan, file, observer, check=check, force=force)


@contextmanager
def _placed(spec: Spec) -> Iterator[None]:
    """Inside, what is refused by its path in the spec is refused at its line."""
    try:
        yield
    except NotEjected as error:
        if not error.path:
            raise
        raise error.at(spec.place(*error.path)) from error


def eject_plan(plan: Plan, file: Path, observer: Observer, *, check: bool, force: bool) -> Ejected:
    """Writes the script of a plan, whole or not at all; raises RunError where the file exists, unless `force`.

    With `check` the script is run, and the plan trained, on one thread. Raises NotEjected for what has no plain form.
    """
    if file.exists() and not force:
        raise RunError(f"'{file}' exists; `--force` writes over it")
    with torch_defaults(), computing(plan.device.precision, deterministic=False) as dtype:
        script = eject(plan, build(plan, torch.device("cpu"), dtype, observer), file.absolute().parent)
    write_whole(file, script.text)
    return Ejected(file, script.left_out, compared(plan, file, observer) if check else None)
