"""Makes the report of a run: at its end, and again for the command line, then with boosted trees to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import AnnpipeError, NotTrusted
from annpipe.files.whole import write_whole
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.record.journal.events import ArtifactKept
from annpipe.record.journal.journal import Journal, Status
from annpipe.record.journal.seal import seal_store
from annpipe.record.journal.summary import is_sweep
from annpipe.record.shipper.recorder import Recorder, ShipState
from annpipe.report.collect import run_report
from annpipe.report.content import Measured
from annpipe.report.measure import measure
from annpipe.report.results import TargetResult
from annpipe.report.sweep import sweep_report, sweep_texts
from annpipe.report.wording import number, short
from annpipe.report.write import report_texts, write_texts
from annpipe.runs.trained import trained_run
from annpipe.train.parts import Parts

WAIT_SECONDS = 60.0  # for the record, where the command line makes a report
SECONDS = 1.0  # that the shuffles for the importance of columns may take at the end of a run


def report_at_end(plan: Plan, parts: Parts, folder: Path, journal: Journal, observer: Observer) -> None:
    """Writes the report of a run that has just finished; whatever fails in it is a warning and costs the report alone.

    Boosted trees are left out: importing scikit-learn takes longer than most small runs may wait.
    """
    with _warned(folder, observer):
        measured = measure(plan, parts, tree=False, seconds=SECONDS)
        texts = report_texts(run_report(folder, measured, status="FINISHED"), tree=False)
        keep_report(folder, texts, journal)


def report_of_sweep(folder: Path, journal: Journal, observer: Observer, status: Status) -> None:
    """The same of a sweep that is about to end with this status."""
    with _warned(folder, observer):
        keep_report(folder, sweep_texts(sweep_report(folder, status)), journal)


@contextmanager
def _warned(folder: Path, observer: Observer) -> Iterator[None]:
    """Whatever fails inside is a warning: a run or a sweep is complete without its report."""
    try:
        yield
    except Exception as error:  # the reason is shown, and the report can be made again
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        observer.event(f"warning: the report could not be made ({reason}); `annpipe report {folder.name}` tries again")


def keep_report(folder: Path, texts: Mapping[str, str], journal: Journal) -> None:
    """Writes the files of a report into the folder, and has the shipper send them."""
    for name in write_texts(folder, texts):
        journal.write(ArtifactKept(file=name, to=""))


@dataclass(frozen=True)
class Reported:
    """A report that was made: its files, the results by target, and the state of the record where it went there."""

    files: tuple[Path, ...]
    results: tuple[TargetResult, ...]
    headlines: tuple[str, ...]
    record: ShipState | None = None
    wait_seconds: float = 0.0


def make_report(
    folder: Path,
    observer: Observer,
    output: tuple[str, Path] | None = None,
    tracking_uri: str | None = None,
    *,
    trust: bool = False,
) -> Reported:
    """Makes the report of the run or sweep in `folder` anew, into its folder and its record.

    With `output`, the name of a file of the report and a path, it writes this one file alone. What cannot be opened any
    more, as data that changed, costs what needs it, and the report says so. Raises RunError while the run is held, and
    NotTrusted where it is not known as the user's own, unless `trust` says that it is.
    """
    if output is not None:
        texts, results, headlines = _texts(folder, observer, trust=trust)
        write_whole(output[1], texts[output[0]])
        return Reported((output[1],), results, headlines)
    recorder = Recorder.start_shipper()  # imports MLflow meanwhile
    try:
        texts, results, headlines = _texts(folder, observer, trust=trust)
        if tracking_uri:
            seal_store(folder, tracking_uri)
        journal = Journal.reopen(folder)
        try:
            keep_report(folder, texts, journal)
        finally:
            journal.close()
    except BaseException:
        recorder.release()
        raise
    recorder.attach(folder, tracking_uri)
    record = recorder.finish(WAIT_SECONDS)
    return Reported(tuple(folder / name for name in texts), results, headlines, record, WAIT_SECONDS)


def _texts(
    folder: Path, observer: Observer, *, trust: bool
) -> tuple[dict[str, str], tuple[TargetResult, ...], tuple[str, ...]]:
    """The files of a report, the results of a run by target, and what it says in a line each."""
    if is_sweep(folder):
        report = sweep_report(folder)
        best = f"best {report.metric} {number(report.best_value)}: {report.best_run or 'no trial'}"
        return sweep_texts(report), (), (best,)
    measured, notes = _measured(folder, observer, trust=trust)
    texts = report_texts(run_report(folder, measured, notes), tree=True)
    results = measured.results if measured else ()
    return texts, results, tuple(_in_a_line(result) for result in results)


def _in_a_line(result: TargetResult) -> str:
    value = result.headline
    interval = f" ({result.in_words(value.low)} – {result.in_words(value.high)})" if value.is_known else ""
    best = result.best_other
    beside = f"; {best.name} {result.in_words(best.measure.value)}" if best else ""
    return f"{result.measure} of {short(result.target)} {result.in_words(value.value)}{interval}{beside}"


def _measured(folder: Path, observer: Observer, *, trust: bool) -> tuple[Measured | None, tuple[str, ...]]:
    """What the model answers, with boosted trees beside it; None and the reason where it cannot be asked."""
    try:
        with trained_run(folder, observer, trust=trust) as run:
            return measure(run.plan, run.parts, tree=True), ()
    except NotTrusted:
        raise
    except AnnpipeError as error:
        observer.event(f"warning: the model cannot be measured: {error}")
        return None, (f"The model cannot be measured: {error}",)
