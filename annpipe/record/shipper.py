"""Who records a run while it trains? This process: `python -m annpipe.record.shipper [RUN_FOLDER]`.

The trainer starts it at once and talks to it through its stdin: one line of JSON, `{"folder": …, "tracking_uri": …}`,
when there is a run folder; then silence; then end of file, which means that the trainer is gone, however it went.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from annpipe.record.location import MLFLOW_ENVIRONMENT

SECONDS_BETWEEN_TRIES = 0.5
SECONDS_ALONE = 60.0
NICENESS = 10
T = TypeVar("T")


def main(arguments: Sequence[str]) -> int:
    """Imports MLflow, waits for a run, ships it."""
    _hear_nothing()
    # A priority once lowered is not raised again, but on Linux each thread has its own: this one keeps what it has.
    with ThreadPoolExecutor(1, initializer=_step_aside) as aside:
        aside.submit(_import, rehearse=not arguments).result()
        folder, uri = _told(arguments)
        if folder is None:
            return 0
        from annpipe.record import ship

        _write_to(folder / ship.LOG)
        with ship.logging_to(folder):
            return _ship(folder, uri, aside)


def _import(*, rehearse: bool) -> None:
    """Imports mlflow: about two seconds, while the trainer imports torch."""
    from annpipe.record import model, ship  # noqa: F401

    if rehearse:
        with suppress(Exception):  # the performance itself will say what is wrong
            model.rehearse()


def _ship(folder: Path, uri: str | None, aside: Executor) -> int:
    from annpipe.record.patience import Trainer
    from annpipe.record.ship import ship, store_of, wait_for_journal
    from annpipe.record.state import sole_shipper

    def while_trained(action: Callable[[], T]) -> T:
        try:
            return aside.submit(action).result()
        finally:
            _stand_with(0)

    trainer = Trainer(sys.stdin.fileno())
    seconds_left = SECONDS_ALONE
    while seconds_left > 0:
        with sole_shipper(folder) as is_sole:
            if is_sole:
                if not wait_for_journal(folder, trainer):
                    return 0
                store = store_of(folder, uri)
                # What MLflow resolves on its own (models:/ and runs:/ addresses) must not make a database in the cwd.
                os.environ["MLFLOW_TRACKING_URI"] = store
                return 0 if ship(folder, store, trainer, SECONDS_ALONE, while_trained).complete else 1
        # The shipper of the interrupted run that is now resumed may still be at it, and end before it saw all.
        if trainer.gone:
            seconds_left -= SECONDS_BETWEEN_TRIES
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            trainer.wait(SECONDS_BETWEEN_TRIES)
    return 1


def _step_aside() -> None:
    """Takes no processor from the training, in this thread."""
    os.nice(NICENESS)
    _stand_with(NICENESS)


def _stand_with(niceness: int) -> None:
    """A session of its own has a scheduling group of its own, outside of which plain niceness says nothing."""
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))


def _hear_nothing() -> None:
    """No signal of the training's terminal, and nothing that MLflow would tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _told(arguments: Sequence[str]) -> tuple[Path | None, str | None]:
    if arguments:
        return Path(arguments[0]).absolute(), None
    # Byte by byte: whatever a buffered read took beyond the line would be missed by select.
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(sys.stdin.fileno(), 1)
        if not more:
            return None, None
        line += more
    told = json.loads(line)
    return Path(told["folder"]), told.get("tracking_uri")


def _write_to(path: Path) -> None:
    """Sends stdout and stderr, also of C libraries, to the log: never to the trainer's terminal."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Python takes more than a second to take MLflow apart, and the trainer waits for our end. All is on disk by now.
    os._exit(code)
