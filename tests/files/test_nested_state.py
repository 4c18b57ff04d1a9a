"""Nested state comes back as it was, and damage to either of its files is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe.files.nested_state import pack, read_state, write_state
from annpipe.files.whole import Damaged

SHARED = torch.arange(3.0)
STATE = {
    "a.b": SHARED,
    "a": {"b": torch.tensor([True])},
    "tied": [SHARED, SHARED.view(3, 1)],
    "options": ({"lr": 0.1}, None, "text"),
    "by_number": {0: {"step": torch.tensor(2)}},
}


def equal(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))  # type: ignore[arg-type]  # as long
    return one == other


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_state(tmp_path / "." / "", STATE)
    return tmp_path


def test_state_comes_back_with_its_types(folder: Path) -> None:
    assert equal(read_state(folder), STATE)


def test_packed_state_is_what_is_written(folder: Path) -> None:
    packed = pack(STATE)
    assert packed.size == sum((folder / f"state.{kind}").stat().st_size for kind in ("json", "safetensors"))


@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
def test_a_bit_that_has_changed_is_noticed(folder: Path, file: str) -> None:
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 4
    (folder / file).write_bytes(data)
    with pytest.raises(Damaged, match=f"{folder.name} is damaged"):
        read_state(folder)


def test_a_missing_file_is_damage(folder: Path) -> None:
    (folder / "state.safetensors").unlink()
    with pytest.raises(Damaged, match="FileNotFoundError"):
        read_state(folder)
