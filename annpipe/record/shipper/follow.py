"""Ships one run from its first event to its status, also while it is still being written."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from annpipe.errors import AnnpipeError, StoreError
from annpipe.record.journal import journal
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.inside import check_identity, check_inside, id_of
from annpipe.record.journal.location import (
    URI_VARIABLE,
    embedded_uri,
    has_credentials,
    lacks_credentials,
    same_store,
    scrub,
)
from annpipe.record.journal.seal import read_seal
from annpipe.record.journal.state import Shipped, read_state, write_state
from annpipe.record.shipper.retry import Caller, GaveUp, RetryingCaller, TrainerPipe, call_once
from annpipe.record.shipper.shipment import Shipment, feed_all
from annpipe.record.shipper.system import SystemSampler
from annpipe.record.shipper.trials import Trials
from annpipe.record.store.client import Store
from annpipe.record.store.faults import ItemRefused, RunDeleted, RunGone, first_line

LOG = "shipper.log"
REMEDY = "`annpipe sync --tracking-uri URI` gives them, and so does MLFLOW_TRACKING_URI"
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_AFTER_THE_END = 3.0
SECONDS_FOR_THE_LOCK = 2.0
SECONDS_BETWEEN_QUESTIONS = 5.0  # whether a run was restored
TIMES_ANEW = 3  # a store that loses the run again and again is not waited for
log = logging.getLogger("annpipe.record")


def ship(
    folder: Path,
    uri: str,
    trainer: TrainerPipe,
    seconds_alone: float,
    aside: Caller = call_once,
    sampler: SystemSampler | None = None,
) -> Shipped:
    """Ships what the store lacks of the run, until the trainer is gone; call it only as the run's sole shipper.

    What is done while the trainer lives is done `aside`, where it may have a lower priority than what is left then. The
    `sampler`, where there is one, is stopped then. A
    store that is away does not raise: the state then is not complete, and says why. Raises BadRunFolder, before
    anything is read or written, for a folder that is not all its own.
    """
    check_inside(folder)
    check_identity(folder)

    def trouble(reason: str) -> None:
        write_state(folder, replace(_latest(folder, uri), complete=False, problem=reason))

    if lacks_credentials(uri):
        trouble(f"the store {uri} needs its credentials, which no record keeps: {REMEDY}")
        return _latest(folder, uri)
    with open(folder / LOG, "a", encoding="utf-8", newline="\n") as file:
        # MLflow prints a run's address at its end, password included.
        printed = _Printed(file)
        with redirect_stdout(printed), redirect_stderr(printed):
            _ship(folder, uri, trainer, seconds_alone, trouble, aside, sampler)
    return _latest(folder, uri)


def _ship(
    folder: Path,
    uri: str,
    trainer: TrainerPipe,
    seconds_alone: float,
    trouble: Callable[[str], None],
    aside: Caller,
    sampler: SystemSampler | None,
) -> None:
    store = Store(uri)
    calling = RetryingCaller(store, trainer, seconds_alone, trouble)

    def begun() -> Shipment:
        state = replace(read_state(folder, uri), complete=False)
        if state.run_id:
            calling(lambda: store.check(str(state.run_id), id_of(folder)))
        shipment = Shipment(folder, store, calling, state, trials=Trials(store, calling, trainer))
        _follow(folder, shipment, trainer)
        return shipment

    def shipped() -> None:
        shipment = aside(begun)
        if sampler:
            sampler.stop()
        feed_all(shipment, folder)
        if shipment.has_ended or _is_let_go(folder):
            shipment.finish()

    try:
        _till_it_is_there(shipped, lambda: _restored(folder, uri, store, calling, trainer, trouble), folder, uri)
    except (GaveUp, StoreError, ItemRefused, RunDeleted, RunGone) as error:
        trouble(scrub(str(error)))
    except Exception as error:  # the record's failure is recorded here; the journal has everything
        log.exception("shipping stopped")
        trouble(first_line(error))
    finally:
        if store.notices:
            latest = _latest(folder, uri)
            write_state(folder, replace(latest, notices=(*latest.notices, *store.notices)))


def _till_it_is_there(shipped: Callable[[], None], restored: Callable[[], bool], folder: Path, uri: str) -> None:
    """Ships; again where the store lost the run, which is then recorded anew, or where somebody restored it."""
    n_gone = 0
    while True:
        try:
            return shipped()
        except RunGone as error:
            n_gone += 1
            if n_gone == TIMES_ANEW:
                raise
            log.warning("%s: it is recorded anew", error)
            write_state(folder, Shipped(store=scrub(uri)))
        except RunDeleted:
            if not restored():
                raise


def _restored(
    folder: Path, uri: str, store: Store, calling: RetryingCaller, trainer: TrainerPipe, trouble: Callable[[str], None]
) -> bool:
    """Whether a deleted run was restored, or is gone for good, while the trainer lives; its journal keeps all."""
    run_id = str(_latest(folder, uri).run_id)
    while True:
        try:
            calling(lambda: store.check(run_id))
        except RunDeleted as error:
            trouble(str(error))
            if trainer.gone:
                return False
            trainer.wait(SECONDS_BETWEEN_QUESTIONS)
        except RunGone:
            return True  # who ships it next finds that out, and records it anew
        else:
            return True


def store_of(folder: Path, explicit: str | None = None) -> str:
    """The URI of a run's store, with its credentials where they are known.

    `explicit` > ANNPIPE_TRACKING_URI > what holds the run already > what the journal says. These two keep no
    credentials: MLFLOW_TRACKING_URI or the run's spec has them, where it names that store. Raises StoreError when the
    run names no store, or one that is neither the project's own nor sealed as the run's (see `journal.seal`): who sends
    a run folder does not decide where it is shipped to.
    """
    if explicit or os.environ.get(URI_VARIABLE):
        return explicit or os.environ[URI_VARIABLE]
    first = journal.run_begun(folder)
    uri = read_state(folder).store or first.tracking_uri or ""
    if not uri:
        raise StoreError(f"run {folder.name} names no store; give one with --tracking-uri")
    uri = _permitted(folder, uri)
    known = (os.environ.get("MLFLOW_TRACKING_URI", ""), _uri_of_spec(first) if lacks_credentials(uri) else "")
    return next((candidate for candidate in known if has_credentials(candidate) and same_store(candidate, uri)), uri)


def _permitted(folder: Path, uri: str) -> str:
    """The store that a run folder names, if it may be used; that of a project which was moved is where it is now."""
    project_uri = embedded_uri(folder.absolute().parent.parent)
    from_environment = os.environ.get("MLFLOW_TRACKING_URI", "")
    if same_store(uri, project_uri) or (from_environment and same_store(uri, from_environment)):
        return uri
    sealed = read_seal(folder)
    if sealed is not None:
        if same_store(uri, embedded_uri(Path(sealed.project))):
            return project_uri
        if any(same_store(uri, known) for known in (sealed.facts["tracking_uri"], *sealed.stores)):
            return uri
    raise StoreError(
        f"run {folder.name} names the store {scrub(uri)}, which is not this project's own, and nothing shows that you "
        f"chose it: give --tracking-uri where the run is to go"
    )


def _uri_of_spec(first: RunBegun) -> str:
    """The tracking URI in the spec file that a run was begun with, as the file is now; empty without one."""
    from annpipe.spec import load_spec  # seldom needed, and the shipper has enough to import

    try:
        return load_spec(Path(first.tags.get("mlflow.source.name", ""))).tracking.uri or ""
    except AnnpipeError:
        return ""


def wait_for_journal(folder: Path, trainer: TrainerPipe) -> bool:
    """Waits for the first whole line of a journal; False when the trainer went without one."""
    while not journal.complete_size(folder):
        if trainer.gone:
            return False
        trainer.wait(SECONDS_BETWEEN_LOOKS)
    return True


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Sends every log line of this process, MLflow's too, to the run's shipper.log, without credentials."""
    out = logging.FileHandler(folder / LOG, encoding="utf-8")
    out.setFormatter(_Scrubbed("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] in {"mlflow", "alembic"}]:
        # They bring handlers of their own that write to the terminal.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    root.addHandler(out)
    logging.captureWarnings(True)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(out)
        out.close()


class _Printed(io.TextIOBase):
    """What is printed while a run is shipped: into the log, without credentials."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(scrub(text))


class _Scrubbed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


def _follow(folder: Path, shipment: Shipment, trainer: TrainerPipe) -> None:
    """Feeds the shipment until the trainer is gone."""
    last_news = time.monotonic()
    with open(folder / journal.FILE, "rb") as file:
        while not trainer.gone:
            for event, end in journal.lines(file):
                shipment.feed(event, end)
                last_news = time.monotonic()
                if trainer.has_left():
                    return
            # A child that the trainer left behind may keep the pipe open: the journal's own end is enough.
            if shipment.has_ended and time.monotonic() - last_news > SECONDS_AFTER_THE_END:
                return
            shipment.flush_now_and_then()
            trainer.wait(SECONDS_BETWEEN_LOOKS)


def _is_let_go(folder: Path) -> bool:
    """Whether nobody holds the journal; one that was resumed at once has a shipper of its own, which waits for us."""
    deadline = time.monotonic() + SECONDS_FOR_THE_LOCK
    while journal.is_held(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _latest(folder: Path, uri: str) -> Shipped:
    return replace(read_state(folder, uri), store=scrub(uri))
