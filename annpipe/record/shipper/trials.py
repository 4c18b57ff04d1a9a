"""Ships the runs of a sweep's trials: many in one transaction, also while they are trained."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from annpipe.errors import BadRunFolder
from annpipe.record.journal import journal
from annpipe.record.journal.inside import check_identity, check_inside, id_of
from annpipe.record.journal.location import scrub
from annpipe.record.journal.state import Shipped, is_recorded, read_state, sole_shipper, write_state
from annpipe.record.shipper.retry import Caller, TrainerPipe
from annpipe.record.shipper.shipment import Shipment, ship_all
from annpipe.record.store.client import Store
from annpipe.record.store.faults import RunDeleted, RunGone, first_line
from annpipe.record.store.transaction import Unfit

# Others who write to the store wait for the end of a transaction: it is no longer than a moment.
SECONDS_AT_ONCE = 3.0
TRIALS_AT_ONCE = 32
BYTES_AT_ONCE = 1_000_000  # of their journals
T = TypeVar("T")
log = logging.getLogger("annpipe.record")


class Trials:
    """Ships what there is of the runs of trials, as children of their sweep's; those that have ended to their status.

    A run that is still written to stays open from call to call, so that its journal is read once. Runs that the store
    has all of, and those that somebody else is shipping, are left out. A call during which the trainer goes breaks off:
    another one has to come then.
    """

    def __init__(self, store: Store, calling: Caller, trainer: TrainerPipe) -> None:
        self._store = store
        self._calling = calling
        self._trainer = trainer
        self._open: dict[Path, Shipment] = {}
        self._together: dict[Path, Shipped] | None = None  # the states that a transaction will have reached

    def __call__(self, folders: Sequence[Path]) -> None:
        """Ships what is new of these."""
        is_alone = self._trainer.gone
        news = {folder: size for folder in folders if (size := self._news(folder)) is not None}
        for some in _portions(news):
            with ExitStack() as locks:
                ours = [folder for folder in some if locks.enter_context(sole_shipper(folder))]
                for _ in self._steps(ours):
                    if not is_alone and self._trainer.has_left():
                        return

    def _steps(self, folders: Sequence[Path]) -> Iterator[None]:
        while folders and (n_shipped := self._shipped_together(folders)):
            folders = folders[n_shipped:]
            yield
        for folder in folders:
            self._ship(folder)
            yield

    def _news(self, folder: Path) -> int | None:
        """How many bytes there are to read; None where nothing is left to do."""
        try:
            size = (folder / journal.FILE).stat().st_size
        except FileNotFoundError:  # somebody has deleted the run
            return None
        shipment = self._open.get(folder)
        if shipment is None and not _is_all_its_own(folder):
            return None
        if shipment is None:
            return None if is_recorded(folder, self._store.uri) else size
        return size - shipment.offset if size > shipment.offset or not journal.is_held(folder) else None

    def _shipped_together(self, folders: Sequence[Path]) -> int:
        """How many of them went in one transaction; where it is 0, nothing did, and no state tells otherwise."""
        states: dict[Path, Shipped] = {}
        self._together = states
        begin = time.monotonic()
        n_shipped = 0
        try:
            with self._store.all_at_once():
                for folder in folders:
                    self._ship(folder)
                    n_shipped += 1
                    if time.monotonic() - begin > SECONDS_AT_ONCE:
                        break
        except Unfit:
            return 0
        except Exception as error:  # whatever it was: each trial by itself is tried again, and tells
            log.warning("%d trials together: %s", len(folders), first_line(error))
            for folder in folders:  # what they took in is undone
                self._open.pop(folder, None)
            return 0
        finally:
            self._together = None
        for folder, state in states.items():
            write_state(folder, state)
        return n_shipped

    def _ship(self, folder: Path) -> None:
        try:
            if ship_all(self._shipment(folder), folder):
                del self._open[folder]
        except RunDeleted as error:
            self._leave(folder, replace(read_state(folder, self._store.uri), complete=False, problem=str(error)))
        except RunGone as error:  # the next pass records it anew
            log.warning("%s: %s", folder.name, error)
            self._leave(folder, Shipped(store=scrub(self._store.uri), problem=str(error)))

    def _shipment(self, folder: Path) -> Shipment:
        state = read_state(folder, self._store.uri)
        shipment = self._open.get(folder)
        if shipment is None or not _goes_on(shipment.state, state):
            state = replace(state, complete=False)
            if state.run_id:
                self._call(lambda: self._store.check(str(state.run_id), id_of(folder)))
            shipment = Shipment(folder, self._store, self._call, state, note=self._note)
            self._open[folder] = shipment
        return shipment

    def _leave(self, folder: Path, state: Shipped) -> None:
        self._open.pop(folder, None)
        self._note(folder, state)

    def _call(self, action: Callable[[], T]) -> T:
        return action() if self._together is not None else self._calling(action)

    def _note(self, folder: Path, state: Shipped) -> None:
        if self._together is None:
            write_state(folder, state)
        else:
            self._together[folder] = state


def _is_all_its_own(folder: Path) -> bool:
    try:
        check_inside(folder)
        check_identity(folder)
    except BadRunFolder as error:
        log.warning("not shipped: %s", error)
        return False
    return True


def _goes_on(ours: Shipped, kept: Shipped) -> bool:
    """Whether nobody else has shipped the run since."""
    return (ours.run_id, ours.offset, ours.filled) == (kept.run_id, kept.offset, kept.filled)


def _portions(sizes: Mapping[Path, int]) -> Iterator[list[Path]]:
    portion: list[Path] = []
    n_bytes = 0
    for folder, size in sizes.items():
        if portion and (len(portion) == TRIALS_AT_ONCE or n_bytes + size > BYTES_AT_ONCE):
            yield portion
            portion, n_bytes = [], 0
        portion.append(folder)
        n_bytes += size
    if portion:
        yield portion
