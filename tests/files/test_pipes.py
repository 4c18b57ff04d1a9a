"""A pipe's end is watched on Windows, where `select` knows sockets alone, as on POSIX."""

from __future__ import annotations

import importlib.util
import os
import select
import sys
import types
from array import array
from pathlib import Path

import pytest

from annpipe.files import pipes


@pytest.fixture(params=["linux", "win32"])
def looking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module as each system has it, on pipes of this one."""
    if request.param == "linux":
        return pipes
    monkeypatch.setitem(sys.modules, "_winapi", types.SimpleNamespace(PeekNamedPipe=peeked))
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(get_osfhandle=int))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        spec = importlib.util.spec_from_file_location("pipes_of_windows", Path(str(pipes.__file__)))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def peeked(handle: int) -> tuple[int, int]:
    """How many bytes wait; an error where none does and the other end is closed."""
    import fcntl
    import termios

    waiting = array("i", [0])
    fcntl.ioctl(handle, termios.FIONREAD, waiting)
    poll = select.poll()
    poll.register(handle, 0)
    if not waiting[0] and poll.poll(0):
        raise BrokenPipeError(32, "The pipe has been ended")
    return waiting[0], 0


def test_a_pipe_is_open_then_has_something_then_is_closed(looking: types.ModuleType) -> None:
    """One that is closed can be read too: it says that nothing comes."""
    reading, writing = os.pipe()
    assert not looking.is_readable(reading, 0.01)
    assert not looking.is_closed(reading)
    os.write(writing, b"\n")
    assert looking.is_readable(reading, 10)
    assert not looking.is_closed(reading)
    assert os.read(reading, 10) == b"\n"
    os.close(writing)
    assert looking.is_readable(reading, 10)
    assert looking.is_closed(reading)
    os.close(reading)
