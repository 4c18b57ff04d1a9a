"""How do the runs of a sweep's trials come into the record? Many in one transaction, where the store can."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from annpipe.record import journal
from annpipe.record.shipment import Calling, Shipment, ship_all
from annpipe.record.state import Shipped, is_recorded, read_state, sole_shipper, write_state
from annpipe.record.store import Store, first_line
from annpipe.record.transaction import Unfit

# Others who write to the store wait for the end of a transaction: it is no longer than a moment.
TRIALS_AT_ONCE = 32
BYTES_AT_ONCE = 500_000  # of their journals
T = TypeVar("T")
log = logging.getLogger("annpipe.record")


def ship_trials(folders: Sequence[Path], *, store: Store, calling: Calling) -> None:
    """Ships what there is of the runs of trials, as children of their sweep's; those that have ended to their status.

    Runs that the store has, and those that somebody else is shipping, are left out.
    """
    for some in _portions(folders):
        with ExitStack() as locks:
            missing = [
                folder
                for folder in some
                if locks.enter_context(sole_shipper(folder)) and not is_recorded(folder, store.uri)
            ]
            if missing and not _shipped_together(missing, store):
                for folder in missing:
                    _ship(folder, store, calling, write_state)


def _portions(folders: Sequence[Path]) -> Iterator[list[Path]]:
    portion: list[Path] = []
    n_bytes = 0
    for folder in folders:
        size = (folder / journal.FILE).stat().st_size
        if portion and (len(portion) == TRIALS_AT_ONCE or n_bytes + size > BYTES_AT_ONCE):
            yield portion
            portion, n_bytes = [], 0
        portion.append(folder)
        n_bytes += size
    if portion:
        yield portion


def _shipped_together(folders: Sequence[Path], store: Store) -> bool:
    """Whether all of them went in one transaction; else nothing of any of them did, and no state tells otherwise."""
    states: dict[Path, Shipped] = {}
    try:
        with store.all_at_once():
            for folder in folders:
                _ship(folder, store, _at_once, states.__setitem__)
    except Unfit:
        return False
    except Exception as error:  # whatever it was: each trial by itself is tried again, and tells
        log.warning("%d trials together: %s", len(folders), first_line(error))
        return False
    for folder, state in states.items():
        write_state(folder, state)
    return True


def _ship(folder: Path, store: Store, calling: Calling, note: Callable[[Path, Shipped], None]) -> None:
    state = replace(read_state(folder, store.uri), complete=False)
    ship_all(Shipment(folder, store, calling, state, note=note), folder)


def _at_once(action: Callable[[], T]) -> T:
    return action()
