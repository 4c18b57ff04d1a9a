"""The bytes of folders."""

from __future__ import annotations

import os
from pathlib import Path

from annpipe.files.size import size_of


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"45")
    assert size_of(tmp_path / "a") == 5
    assert size_of(tmp_path / "a" / "one") == 3
    assert size_of(tmp_path / "missing") == 0


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"1" * 100_000)
    (tmp_path / "folder").mkdir()
    os.symlink(tmp_path / "large", tmp_path / "folder" / "link")
    assert size_of(tmp_path / "folder") < 1000
