"""Files are opened, synced, moved and stood in for on Windows as on POSIX."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annpipe.files import descriptors
from annpipe.files.descriptors import move, open_descriptor, place_new, stand_in, sync_file, sync_folder


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module takes this system for Windows."""
    monkeypatch.setattr(descriptors, "sys", types.SimpleNamespace(platform="win32"))


def busy(times: int, real: Callable[..., None]) -> Callable[..., None]:
    """A move that fails so often, as of a file that somebody reads."""
    left = [times]

    def replace(*paths: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(13, "The process cannot access the file")
        real(*paths)

    return replace


def test_a_file_that_somebody_reads_is_moved_when_he_lets_go(
    tmp_path: Path, windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows it cannot be moved before; where he never lets go, the error is the system's."""
    (tmp_path / "new").write_text("new")
    monkeypatch.setattr(os, "replace", busy(2, os.replace))
    move(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"
    monkeypatch.setattr(descriptors, "SECONDS_TO_MOVE", 0.05)
    monkeypatch.setattr(os, "replace", busy(1000, os.replace))
    with pytest.raises(PermissionError, match="cannot access"):
        move(tmp_path / "old", tmp_path / "new")


def test_on_posix_a_move_that_is_not_permitted_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would change."""
    monkeypatch.setattr(os, "replace", busy(1, lambda *_: None))
    with pytest.raises(PermissionError):
        move("new", "old")


def test_windows_syncs_a_file_that_may_be_written_and_no_folder(
    tmp_path: Path, windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens no folder, and refuses to sync what was opened for reading."""
    flags = []
    monkeypatch.setattr(descriptors, "open_descriptor", lambda path, how: flags.append(how) or os.open(path, how))
    (tmp_path / "file").touch()
    sync_file(tmp_path / "file")
    sync_folder(tmp_path)
    assert flags == [os.O_RDWR]


def test_a_link_is_not_followed_where_there_is_no_flag_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows; with the flag it is the system that refuses."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for flag in (descriptors.NO_LINK, 0):
        monkeypatch.setattr(descriptors, "NO_LINK", flag)
        with pytest.raises(OSError, match="link"):
            open_descriptor(tmp_path / "link", os.O_WRONLY | os.O_CREAT, follow_links=False)
        assert not (tmp_path / "file").exists()


def test_a_second_name_is_a_copy_where_a_file_system_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there stays, either way."""

    def refused(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    (tmp_path / "source").write_text("mine")
    place_new(tmp_path / "source", tmp_path / "linked")
    monkeypatch.setattr(os, "link", refused)
    place_new(tmp_path / "source", tmp_path / "copied")
    (tmp_path / "source").write_text("later")
    place_new(tmp_path / "source", tmp_path / "copied")
    assert [(tmp_path / name).read_text() for name in ("linked", "copied")] == ["later", "mine"]
    assert (tmp_path / "copied").stat().st_mode & 0o777 == 0o600


def test_without_the_right_to_make_links_a_folder_gets_a_junction_and_a_file_a_copy(
    tmp_path: Path, windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a usual user of Windows; elsewhere the error is raised."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(1, "A required privilege is not held by the client")

    made = []
    junctions = types.SimpleNamespace(CreateJunction=lambda *paths: made.append(paths))
    monkeypatch.setitem(sys.modules, "_winapi", junctions)
    monkeypatch.setattr(Path, "symlink_to", refused)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("index")
    stand_in(tmp_path / "a", tmp_path / "folder")
    stand_in(tmp_path / "b", tmp_path / "file")
    assert made == [(str(tmp_path / "folder"), str(tmp_path / "a"))]
    assert (tmp_path / "b").read_text() == "index"
    monkeypatch.undo()
    monkeypatch.setattr(Path, "symlink_to", refused)
    with pytest.raises(OSError, match="privilege"):
        stand_in(tmp_path / "c", tmp_path / "file")
