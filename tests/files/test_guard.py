"""Work for an untrusted spec ends when its time is over; other work is not limited."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

import pytest

from annpipe.errors import SpecError
from annpipe.files import limits
from annpipe.files.guard import guarded


@pytest.mark.skipif(sys.platform == "win32", reason="no timer of the process")
def test_work_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.05)
    start = time.monotonic()
    with pytest.raises(SpecError, match=r"checking takes more than 0\.05 seconds"):
        guarded_work(start + 20)
    assert time.monotonic() - start < 10


def guarded_work(until: float) -> None:
    """Work that swallows what it can."""
    with guarded(is_on=True):
        while time.monotonic() < until:
            with suppress(Exception):
                time.sleep(0.01)


def test_memory_that_is_not_there_is_told() -> None:
    with pytest.raises(SpecError, match="more than 4 GiB of memory"), guarded(is_on=True):
        raise MemoryError


def test_trusted_work_is_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.01)
    with guarded(is_on=False):
        time.sleep(0.05)
