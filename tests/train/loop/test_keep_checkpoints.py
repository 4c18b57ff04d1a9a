"""Checkpoints while the disk refuses them: held in memory, tried again, and never ahead of the journal."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.errors import RunError
from annpipe.train.loop import checkpoint as checkpoints
from annpipe.train.loop.checkpoint import Keeper, has_checkpoint, load_checkpoint
from tests.training import KeepingObserver

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
