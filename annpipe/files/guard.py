"""Limits the time and memory of a whole command, for work whose cost is not known beforehand.

The bounds of `limits` are checked where an amount is known. What a layer of a library costs, or a file whose header
does not say what it unpacks to, shows only while it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from annpipe.errors import Problem, SpecError
from annpipe.files import limits

_GRACE = 10.0  # seconds after which a call that no signal interrupts ends with the process, on Windows any


@contextmanager
def guarded(is_on: bool) -> Iterator[None]:
    """Inside, the command ends with a SpecError after limits.SECONDS, or when it takes limits.MEMORY bytes more."""
    if not is_on:
        yield
        return
    try:
        with _in_time(), _in_memory():
            yield
    except _Late:
        raise SpecError([_too_much(f"more than {limits.SECONDS:g} seconds")]) from None
    except MemoryError:
        raise SpecError([_too_much(f"more than {limits.MEMORY // 2**30} GiB of memory")]) from None


class _Late(BaseException):
    """The time is over; no `except Exception` catches it."""


def _too_much(of: str) -> Problem:
    message = f"checking takes {of}, more than is spent on an untrusted spec"
    return Problem("untrusted-limit", message, None, "read the spec, then go on without --untrusted")


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Late

    def end() -> None:
        from annpipe.errors.render import render

        late = _too_much(f"more than {limits.SECONDS:g} seconds")
        print(render(late), file=sys.stderr, flush=True)  # noqa: T201  # the main thread is held by a call
        os._exit(SpecError.exit_code)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = threading.Timer(limits.SECONDS + _GRACE, end)
    last.daemon = True
    last.start()
    try:
        with _interrupting(stop):
            yield
    finally:
        last.cancel()


@contextmanager
def _interrupting(stop: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Calls `stop` in the main thread after limits.SECONDS; on Windows no timer interrupts it, and none does."""
    if sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limits.SECONDS, 1.0)  # again where something has swallowed it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _in_memory() -> Iterator[None]:
    """Where the system can hold a process to an amount of data: Linux."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data() + limits.MEMORY
    if soft == resource.RLIM_INFINITY or wanted < soft:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data() -> int:
    """The bytes of data that the process has now."""
    with suppress(OSError, ValueError, StopIteration), open("/proc/self/status", encoding="utf-8") as status:
        line = next(line for line in status if line.startswith("VmData:"))
        return int(line.split()[1]) * 1024
    return 0
