"""SIGINT, SIGTERM and SIGHUP during a run: the first asks it to stop after its step, a second SIGINT interrupts it."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from annpipe.files.processes import HANG_UP, stop_signals


@dataclass
class StopSignal:
    """The number of the signal that asks a run, or all runs that share this object, to stop; None before it arrives."""

    number: int | None = None


@contextmanager
def signals_caught(stop: StopSignal) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP set `stop.number`; a second SIGINT raises KeyboardInterrupt at once.

    So does SIGBREAK on Windows, which has no SIGHUP. A SIGHUP that is ignored, as under `nohup`, stays ignored. Outside
    the main thread this does nothing: whoever started the thread catches the signals.
    """

    def catch(number: int, frame: FrameType | None) -> None:
        if stop.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.number = number
        if number == HANG_UP:
            _leave_terminal()

    try:
        before = {number: signal.signal(number, catch) for number in stop_signals()}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Redirects output away from a terminal that was closed, so that writing to it does not end the run."""
    if sys.platform != "win32":  # which has no SIGHUP
        import termios

        for descriptor in (1, 2):
            try:
                termios.tcgetattr(descriptor)
            except termios.error as error:
                if error.args[0] == errno.EIO:
                    nothing = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(nothing, descriptor)
                    os.close(nothing)
            except OSError:  # it was closed
                continue
