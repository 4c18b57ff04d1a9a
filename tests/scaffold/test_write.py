"""New files and folders: whole or not at all, and over nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annpipe.scaffold.names import NewError
from annpipe.scaffold.write import write_new_files, write_new_folder


def test_nothing_is_written_where_one_file_is_there(tmp_path: Path) -> None:
    """A link that leads nowhere counts, too."""
    (tmp_path / "b.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NewError, match=r"b\.py is there already"):
        write_new_files(tmp_path, {"a.py": "", "b.py": ""})
    assert os.listdir(tmp_path) == ["b.py"]


def test_files_of_a_fault_are_taken_away(tmp_path: Path) -> None:
    """The second name is a folder that is not there."""
    with pytest.raises(NewError, match="nothing was written"):
        write_new_files(tmp_path, {"a.py": "", "nowhere/b.py": ""})
    assert os.listdir(tmp_path) == []


def test_a_folder_of_a_fault_is_taken_away(tmp_path: Path) -> None:
    """A file cannot be a folder at once."""
    with pytest.raises(NewError, match="was not made"):
        write_new_folder(tmp_path / "new", {"a": "", "a/b.py": ""})
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Even an empty one."""
    (tmp_path / "new").mkdir()
    with pytest.raises(NewError, match="is there already"):
        write_new_folder(tmp_path / "new", {"a.py": ""})
    assert os.listdir(tmp_path / "new") == []


def test_a_folder_is_made_with_the_rights_of_the_user(tmp_path: Path) -> None:
    """As `mkdir` makes it, for others to read where the umask says so."""
    write_new_folder(tmp_path / "new", {"package/a.py": "x = 1\n"})
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "new" / "package" / "a.py").read_bytes() == b"x = 1\n"


def test_a_folder_that_nobody_may_write_to_is_said(tmp_path: Path) -> None:
    """As it is where the place for it is a file."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(NewError, match="was not made: Not a directory"):
        write_new_folder(tmp_path / "file" / "new", {"a.py": ""})
