"""SIGINT, SIGTERM and SIGHUP during a run: noted at first, obeyed when they come again."""

from __future__ import annotations

import errno
import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Noting(Protocol):
    """Whoever notes the signal that asks it to stop."""

    signal: int | None


@contextmanager
def signals_noted(historian: Noting) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP ask the run to stop after the present step; a second SIGINT interrupts at once.

    A SIGHUP that is ignored, as `nohup` has it, stays ignored.
    """

    def note(number: int, frame: FrameType | None) -> None:
        if historian.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        historian.signal = number
        if number == signal.SIGHUP:
            _leave_terminal()

    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    try:
        before = {number: signal.signal(number, note) for number in SIGNALS if number not in ignored}
    except ValueError:  # not the main thread: whoever called has signals in hand
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Lets go of a terminal that was closed, so that what is still said to it does not end the run."""
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
