"""The process that records a run while it trains: `python -m annpipe.record.shipper [RUN_FOLDER]`.

The trainer starts it at once and talks to it through its stdin: one line of JSON, when there is a run folder, with
`folder`, `tracking_uri`, the process id `trainer` and `system`, whether the machine is sampled; then silence; then end
of file, which means that the trainer is gone, however it went.

While the trainer lives, all is done in a thread of low priority. A thread cannot raise its priority again without
privileges, so what is under way there when the trainer goes is given a moment; then the process replaces itself by one
that begins again with the priority of its main thread, which was never lowered.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from annpipe.files.descriptors import open_descriptor
from annpipe.files.pipes import is_closed
from annpipe.files.processes import STOP_SIGNALS
from annpipe.record.journal.location import MLFLOW_ENVIRONMENT, URI_VARIABLE

if TYPE_CHECKING:
    from annpipe.record.shipper.system import SystemSampler

SECONDS_BETWEEN_TRIES = 0.5
SECONDS_ALONE = 60.0
# What is under way aside may still take so long when the trainer is gone: an import loses nothing, a call might.
SECONDS_OF_IMPORT, SECONDS_OF_CALLS = 1.0, 10.0
NICENESS = 10
T = TypeVar("T")


def main(arguments: Sequence[str]) -> int:
    """Imports MLflow, waits for a run, ships it."""
    _ignore_signals()
    aside = LowPriorityThread() if not _is_hung_up() else None  # nobody trains: there is nobody to step aside for
    if aside:
        importing = aside.begin(lambda: _import(rehearse=not arguments))
    message: dict[str, Any] = {"folder": arguments[0]} if arguments else _message()
    if not message:
        return 0
    folder, uri = Path(message["folder"]).absolute(), message.get("tracking_uri")
    sampler = _sampler(folder, message)
    if aside:
        aside.end(importing, folder, uri, SECONDS_OF_IMPORT)
    else:
        _import(rehearse=False)
    from annpipe.record.shipper import follow

    _write_to(folder / follow.LOG)
    with follow.logging_to(folder):
        return _ship(folder, uri, aside, sampler)


class LowPriorityThread:
    """A thread of low priority: on Linux each has its own, and this one takes no processor from the training.

    Elsewhere only whole processes have one, and none could raise its own again: there it is a usual thread.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=_lower_priority)
        self.has_left = False

    def begin(self, action: Callable[[], T]) -> Future[T]:
        """Does it there."""
        return self._thread.submit(action)

    def end(self, future: Future[T], folder: Path, uri: str | None, seconds: float) -> T:
        """Its result; does not return where the trainer is gone and it takes so many seconds more.

        Leaves, whatever came of it, where the trainer is gone by then.
        """
        gone_since: float | None = None
        while not wait([future], 0.1).done:
            if not _is_hung_up():
                continue
            gone_since = gone_since or time.monotonic()
            _set_group_niceness(0)
            if sys.platform == "linux" and time.monotonic() - gone_since > seconds:
                _begin_again(folder, uri)
        if _is_hung_up():
            self.leave()
        return future.result()

    def leave(self) -> None:
        """Ends the thread, and with it the low priority of this process; what comes now is done without it."""
        self.has_left = True
        self._thread.shutdown()
        _set_group_niceness(0)


def _begin_again(folder: Path, uri: str | None) -> None:
    """Replaces this process by one that ships the run from where its state says, as after a kill."""
    if uri:
        os.environ[URI_VARIABLE] = uri  # which others cannot read, as they could the command line
    os.execv(sys.executable, [sys.executable, "-P", "-m", "annpipe.record.shipper", str(folder)])


def _is_hung_up() -> bool:
    """Whether the trainer's end of the pipe is closed, also while there is something left to read."""
    return is_closed(sys.stdin.fileno())


def _import(*, rehearse: bool) -> None:
    """Imports mlflow: about two seconds, while the trainer imports torch."""
    from annpipe.record.shipper import follow  # noqa: F401
    from annpipe.record.store import model

    if rehearse:
        with suppress(Exception):  # the performance itself will say what is wrong
            model.rehearse()


def _ship(folder: Path, uri: str | None, aside: LowPriorityThread | None, sampler: SystemSampler | None) -> int:
    from annpipe.record.journal.state import sole_shipper
    from annpipe.record.shipper.follow import ship, store_of, wait_for_journal
    from annpipe.record.shipper.retry import TrainerPipe

    def while_trained(action: Callable[[], T]) -> T:
        if aside is None or aside.has_left:
            return action()
        result = aside.end(aside.begin(action), folder, uri, SECONDS_OF_CALLS)
        aside.leave()
        return result

    trainer = TrainerPipe(sys.stdin.fileno())
    seconds_left = SECONDS_ALONE
    while seconds_left > 0:
        with sole_shipper(folder) as is_sole:
            if is_sole:
                if not wait_for_journal(folder, trainer):
                    return 0
                store = store_of(folder, uri)
                # What MLflow resolves on its own (models:/ and runs:/ addresses) must not make a database in the cwd.
                os.environ["MLFLOW_TRACKING_URI"] = store
                return 0 if ship(folder, store, trainer, SECONDS_ALONE, while_trained, sampler).complete else 1
        # The shipper of the interrupted run that is now resumed may still be at it, and end before it saw all.
        if trainer.gone:
            seconds_left -= SECONDS_BETWEEN_TRIES
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            trainer.wait(SECONDS_BETWEEN_TRIES)
    return 1


def _lower_priority() -> None:
    """Takes no processor from the training, in this thread."""
    if sys.platform == "linux":
        os.nice(NICENESS)
        _set_group_niceness(NICENESS)


def _set_group_niceness(niceness: int) -> None:
    """A session of its own has a scheduling group of its own, outside of which plain niceness says nothing."""
    for _ in range(20):
        try:
            Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii", newline="\n")
        except BlockingIOError:  # the kernel changes one such group of all in a tenth of a second
            time.sleep(0.05)
        except OSError:
            return
        else:
            return


def _ignore_signals() -> None:
    """No signal of the training's terminal, and nothing that MLflow would tell."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _message() -> dict[str, Any]:
    """What the trainer says of its run; empty where it went without one."""
    # Byte by byte: whatever a buffered read took beyond the line would be missed by select.
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(sys.stdin.fileno(), 1)
        if not more:
            return {}
        line += more
    return dict(json.loads(line))


def _sampler(folder: Path, message: Mapping[str, Any]) -> SystemSampler | None:
    """Begins to sample the machine, where the trainer asks for it."""
    trainer, wanted = message.get("trainer"), message.get("system", False)
    if trainer is None or wanted is False:
        return None
    from annpipe.record.shipper.system import SystemSampler

    sampler = SystemSampler(folder, trainer, wanted=wanted is True)
    sampler.start()
    return sampler


def _write_to(path: Path) -> None:
    """Sends stdout and stderr, also of C libraries, to the log: never to the trainer's terminal."""
    descriptor = open_descriptor(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Python takes more than a second to take MLflow apart, and the trainer waits for our end. All is on disk by now.
    os._exit(code)
