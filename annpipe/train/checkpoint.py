"""A checkpoint: nested state as `state.safetensors` and `state.json`, whole or not there at all.

Tensors anywhere in the state go to the safetensors file and leave their key in the JSON. Both files are written to a
temporary folder, fsynced, and the folder is renamed into place, so that a kill at any moment leaves the old one or the
new one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from annpipe.errors import RunError
from annpipe.files.private import PRIVATE_FOLDER

FOLDER = "checkpoints"
_TENSOR, _PAIRS, _TUPLE = "$tensor", "$pairs", "$tuple"


def save_checkpoint(folder: Path, name: str, state: dict[str, Any]) -> Path:
    """Writes `state` to `<folder>/checkpoints/<name>`, replacing what was there."""
    home = folder / FOLDER
    home.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    temporary, final, old = home / f".{name}.new", home / name, home / f".{name}.old"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=PRIVATE_FOLDER)
    write_state(temporary, state)
    if final.exists():  # otherwise a kill between two renames has left `old` alone: it goes when `final` is there
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    temporary.rename(final)
    sync_folder(home)
    shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path, name: str) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote; raises RunError when there is none."""
    home = folder / FOLDER
    place = next((p for p in (home / name, home / f".{name}.old") if (p / "state.json").is_file()), None)
    if place is None:
        raise RunError(f"there is no checkpoint '{name}' in {home}: the run stopped before its first one")
    return read_state(place)


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Writes nested state into a folder, down to the disk."""
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_pack(state, "", tensors))
    _write(folder / "state.safetensors", save(tensors))
    _write(folder / "state.json", text.encode())
    sync_folder(folder)


def read_state(folder: Path) -> dict[str, Any]:
    """The state that `write_state` wrote."""
    tensors = load_file(folder / "state.safetensors")
    state: dict[str, Any] = _unpack(json.loads((folder / "state.json").read_text()), tensors)
    return state


def _pack(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        # tensors that share memory (tied weights) are stored once each: safetensors knows no views
        name = path if path not in tensors else f"{path}#{len(tensors)}"  # {"a.b": …} beside {"a": {"b": …}}
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {_TENSOR: name}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _pack(item, f"{path}.{key}" if path else key, tensors) for key, item in value.items()}
        return {_PAIRS: [[key, _pack(item, f"{path}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [_pack(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
    return value


def _unpack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _PAIRS in value:
        return {key: _unpack(item, tensors) for key, item in value[_PAIRS]}
    if _TUPLE in value:
        return tuple(_unpack(item, tensors) for item in value[_TUPLE])
    return {key: _unpack(item, tensors) for key, item in value.items()}


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
