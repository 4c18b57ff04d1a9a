"""Opens a run that was made before, as `annpipe.run` gives it, without training anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.errors import NotFound
from annpipe.record.journal import journal
from annpipe.record.journal.inside import check_inside, is_file
from annpipe.record.journal.project import find_project, find_run
from annpipe.record.journal.seal import PLAN, check_own
from annpipe.record.journal.seal import trust as seal_own
from annpipe.record.journal.summary import best_trial_of, final_values, is_sweep
from annpipe.record.shipper.recorder import ShipState
from annpipe.runs.finished import Finished
from annpipe.runs.launch import plan_of
from annpipe.runs.notebook import default_observer

if TYPE_CHECKING:
    from annpipe.plan.plan import Plan

LAST = "last"


def load(run: str | Path, *, trust: bool = False) -> Finished:
    """Opens a run that was made before, without training anything.

        import annpipe

        run = annpipe.load("penguins")
        run.predict({"bill_length_mm": 39.1, "island": "Biscoe", …})

    `run` is its folder, its id or the start of it, its name (the latest such run), the id of its MLflow run, or `last`,
    the latest run of this project. With `trust`, a run that was made elsewhere is taken for the user's own, now and
    later: its code is run. Raises NotFound, with near names, and BadRunFolder for a folder that is not all its own.
    """
    from annpipe.runs.run import Outcome

    folder = _folder(run)
    if is_sweep(folder):
        best = best_trial_of(folder)
        remedy = f"load its best trial, '{best.name}'" if best else "none of its trials finished"
        raise NotFound(f"the run {folder.name} is a sweep, which has no model of its own: {remedy}")
    if trust:
        seal_own(folder)
    status = journal.status(folder)
    record = ShipState.of(folder, shipping=status == "RUNNING")
    return Finished(lambda: _plan_of(folder), folder, Outcome(status, values=final_values(folder)), record)


def _plan_of(folder: Path) -> Plan:
    check_own(folder, PLAN)
    return plan_of(folder, default_observer())


def _folder(run: str | Path) -> Path:
    if is_file(Path(run) / journal.FILE):
        folder = Path(run).absolute()
        check_inside(folder)
        return folder
    text = str(run)
    return find_run(find_project(), None if text == LAST else text, last=text == LAST)
