"""Files are whole or as they were before, and seals and sums show what has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from annpipe.files.whole import SUMS, digest, seal, seal_holds, whole_folder, write_whole


def test_a_seal_holds_for_what_was_sealed_alone() -> None:
    sealed = seal('{"event":"end","step":3}')
    assert json.loads(sealed)["step"] == 3
    assert seal_holds(sealed) is True
    assert seal_holds(sealed.replace(b"3", b"4", 1)) is False
    assert seal_holds(b'{"event":"end"}') is None


def test_a_file_is_replaced_in_one_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "spec.yaml"
    write_whole(file, "before: ä")
    assert file.read_text(encoding="utf-8") == "before: ä"

    def full(descriptor: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: full(descriptor, b""))
        with pytest.raises(OSError, match="No space"):
            write_whole(file, b"after")
    assert file.read_text(encoding="utf-8") == "before: ä"
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_a_folder_appears_with_the_sums_of_its_files(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "model") as folder:
        (folder / "weights").write_bytes(b"123")
        assert not (tmp_path / "model").exists()
    sums = json.loads((tmp_path / "model" / SUMS).read_text(encoding="utf-8"))
    assert sums == {"weights": [3, digest(b"123")]}


def test_a_folder_that_is_not_filled_leaves_the_one_before(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "model") as folder:
        (folder / "weights").write_bytes(b"123")
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "model") as folder:
        (folder / "nowhere" / "weights").write_bytes(b"4")
    assert (tmp_path / "model" / "weights").read_bytes() == b"123"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
