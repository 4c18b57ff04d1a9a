"""Checkpoints are written whole, read back as they were, and held in memory while the disk refuses them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annpipe.errors import RunError
from annpipe.train.loop import checkpoint as checkpoints
from annpipe.train.loop.checkpoint import Keeper, has_checkpoint, load_checkpoint, save_checkpoint
from tests.training import KeepingObserver

TENSORS = st.sampled_from(
    [torch.arange(6.0).reshape(2, 3), torch.tensor(2), torch.zeros(0), torch.tensor([True]), torch.ones(2).double()]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | TENSORS
KEYS = st.text("ab.", max_size=3)
STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equality that takes nan for nan, tensors bit for bit, and minds every type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, STATES, max_size=4))
def test_any_nested_state_comes_back(tmp_path: Path, state: dict[str, Any]) -> None:
    """Dicts with whole numbers for keys, tuples, nan, infinities, empty tensors, names with dots that would collide."""
    save_checkpoint(tmp_path, "last", state)
    assert same(load_checkpoint(tmp_path, "last"), state)


def test_tensors_that_share_memory_or_are_views_come_back(tmp_path: Path) -> None:
    """Tied weights, a transposed view, the same tensor twice."""
    tensor = torch.arange(6.0).reshape(2, 3)
    state = {"tied": tensor, "again": tensor, "view": tensor.T, "row": tensor[1], "inf": [float("inf"), -float("inf")]}
    save_checkpoint(tmp_path, "last", state)
    assert same(load_checkpoint(tmp_path, "last"), state)


@pytest.mark.parametrize("make", [torch.optim.LBFGS, torch.optim.Adam, torch.optim.SGD, torch.optim.Rprop])
def test_an_optimizer_goes_on_from_its_state_exactly(tmp_path: Path, make: Any) -> None:
    """Steps 4 to 6 after a checkpoint are those without one, LBFGS's history included."""

    def steps(parameter: torch.Tensor, optimizer: Any, number: int) -> None:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (parameter.square() * torch.tensor([1.0, 2.0, 3.0])).sum() + parameter.sum().sin()
            loss.backward()
            return loss

        for _ in range(number):
            optimizer.step(closure)

    one = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    first = make([one], lr=0.1)
    steps(one, first, 3)
    save_checkpoint(tmp_path, "last", {"parameter": one, "optimizer": first.state_dict()})
    kept = load_checkpoint(tmp_path, "last")
    other = torch.nn.Parameter(kept["parameter"].clone())
    second = make([other], lr=0.1)
    second.load_state_dict(kept["optimizer"])
    steps(one, first, 3)
    steps(other, second, 3)
    assert torch.equal(one, other)


def test_a_checkpoint_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The run stopped before its first one."""
    with pytest.raises(RunError, match="there is no checkpoint 'last'"):
        load_checkpoint(tmp_path, "last")


WRITER = """
import os, shutil, signal, sys
from pathlib import Path
import torch
from annpipe.train.loop.checkpoint import load_checkpoint, save_checkpoint

calls, fatal = 0, 0

def dying(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

def write(folder, number, dies_at):
    # In a process of its own; True when it lived to its end.
    global fatal
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for name in ("mkdir", "open", "fsync", "rename", "rmdir", "unlink"):
        setattr(os, name, dying(name))
    fatal = dies_at
    save_checkpoint(folder, "last", {"number": number, "tensor": torch.full((3,), float(number))})
    os._exit(0)

def kept(folder):
    state = load_checkpoint(folder, "last")
    assert state["tensor"].tolist() == [float(state["number"])] * 3
    return state["number"]

def moments(begin, number):
    # The folder after a kill at each call in turn; the last one is of a writer that lived.
    for fatal in range(1, 100):
        folder = begin.parent / f"{begin.name}.{fatal}"
        shutil.copytree(begin, folder)
        lived = write(folder, number, fatal)
        yield folder
        if lived:
            return

home = Path(sys.argv[1])
first = home / "run"
first.mkdir()
write(first, 1, 0)
once = list(moments(first, 2))
print(*map(kept, once))
for folder in once:
    print(*map(kept, moments(folder, 3)))
"""


@pytest.mark.slow
def test_kills_at_any_moment_leave_the_old_checkpoint_or_the_new_one(tmp_path: Path) -> None:
    """The writer is killed before each of its calls to the system in turn, and so is the next writer after it."""
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    once, *twice = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert len(once) > 8
    assert once == sorted(once)
    assert set(once) == {1, 2}
    assert len(twice) == len(once)
    for before, numbers in zip(once, twice, strict=True):
        assert numbers == sorted(numbers)
        assert set(numbers) == {before, 3}


FULL = "warning: no checkpoint can be written (No space left on device); it is tried again"


class Disk:
    """Writes checkpoints while there is room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full, self.written = False, list[str]()
        self._save = checkpoints.save_checkpoint
        monkeypatch.setattr(checkpoints, "save_checkpoint", self.save)

    def save(self, folder: Path, name: str, state: Any, **how: bool) -> Path:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written.append(name)
        return self._save(folder, name, state, **how)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def observer() -> KeepingObserver:
    return KeepingObserver()


@pytest.fixture
def keeper(disk: Disk, observer: KeepingObserver, tmp_path: Path) -> Keeper:
    return Keeper(tmp_path, observer, lambda: True)


def state(number: float) -> dict[str, Any]:
    return {"step": int(number), "weight": torch.full((3,), number)}


def test_what_is_kept_is_what_there_was_then(keeper: Keeper, disk: Disk, tmp_path: Path) -> None:
    """Training goes on in the same tensors while it waits."""
    disk.is_full = True
    kept = state(1.0)
    assert not keeper.keep("best", kept)
    kept["weight"].fill_(5.0)
    disk.is_full = False
    assert keeper.load("best")["weight"].tolist() == [1.0] * 3
    assert load_checkpoint(tmp_path, "best")["step"] == 1


def test_all_that_waits_is_written_with_the_next_one(keeper: Keeper, disk: Disk, observer: KeepingObserver) -> None:
    """Of each name the latest, in their order; the warning and its end are each said once."""
    disk.is_full = True
    for number, name in enumerate(("first", "second", "first")):
        assert not keeper.keep(name, state(number))
    assert not keeper.keep_latest("last", state(3))
    assert observer.events == [FULL]
    disk.is_full = False
    assert keeper.keep_latest("last", state(4))
    assert disk.written == ["first", "second", "last"]
    assert observer.events == [FULL, "checkpoints are written again"]
    assert keeper.keep("third", state(5))
    assert disk.written[3:] == ["third"]
    assert keeper.load("first")["step"] == 2


def test_a_safety_checkpoint_is_never_ahead_of_the_journal(
    disk: Disk, observer: KeepingObserver, tmp_path: Path
) -> None:
    """A resumed run would lack what the journal lacks; what a callback kept is written even so."""
    is_written = False
    keeper = Keeper(tmp_path, observer, lambda: is_written)
    assert not keeper.keep_latest("last", state(1))
    assert observer.events == [
        "warning: no checkpoint can be written (the journal has to be written before it); it is tried again"
    ]
    assert not has_checkpoint(tmp_path, "last")
    is_written = True
    assert keeper.keep_latest("last", state(2))
    assert keeper.load("last")["step"] == 2


def test_memory_holds_so_many(keeper: Keeper, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends where more would wait; one of the same name waits once."""
    disk.is_full = True
    keeper.keep("a", state(1))
    monkeypatch.setattr(checkpoints, "MOST_HELD", keeper._held["a"].size * 3 // 2)
    assert not keeper.keep("a", state(2))
    with pytest.raises(RunError, match="2 checkpoints could not be written, and memory holds no more"):
        keeper.keep("b", state(3))


def test_what_is_not_on_the_disk_cannot_be_restored(keeper: Keeper, disk: Disk, tmp_path: Path) -> None:
    """An older one of its name is not taken for it; those on the disk can be."""
    assert keeper.keep("best", state(1))
    assert keeper.keep("other", state(2))
    disk.is_full = True
    keeper.keep("best", state(3))
    with pytest.raises(RunError, match="the checkpoint 'best' could not be written"):
        keeper.load("best")
    assert load_checkpoint(tmp_path, "best")["step"] == 1
    assert keeper.load("other")["step"] == 2


@pytest.mark.parametrize(
    ("is_full", "waited", "since_last", "due"),
    [
        (False, 29, 29, False),
        (False, 31, 0, True),
        (True, 31, 9, False),
        (True, 31, 11, True),
        (True, 29, 29, False),
    ],
)
def test_when_a_safety_checkpoint_is_due(
    is_full: bool,
    waited: float,
    since_last: float,
    due: bool,
    keeper: Keeper,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every 30 seconds here; while the disk refuses them, no more than each 10 seconds."""
    disk.is_full = is_full
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: 1000.0 - since_last)
    keeper.keep_latest("last", state(1))
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: 1000.0)
    assert keeper.is_due(1000.0 - waited, 30.0) == due
