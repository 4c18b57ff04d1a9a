"""A checkpoint: nested state as `state.safetensors` and `state.json`, whole or not there at all.

Tensors anywhere in the state go to the safetensors file and leave their key in the JSON. Both files are written to a
temporary folder, fsynced, and the folder is renamed into place, so that a kill at any moment leaves the old one or the
new one. The JSON ends with a check sum of its own and has the digest of the tensors' file: a bit that has changed in
either is seen when the checkpoint is read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from annpipe.errors import RunError
from annpipe.files.private import PRIVATE_FOLDER
from annpipe.files.whole import Damaged, digest, seal, seal_holds, write_synced
from annpipe.files.whole import sync_folder as sync_folder

FOLDER = "checkpoints"
FORMAT = 2  # of state.json; 1 had no digests
_FORMAT, _SUM = "$format", "$tensors"
_TENSOR, _PAIRS, _TUPLE = "$tensor", "$pairs", "$tuple"


@dataclass(frozen=True)
class Packed:
    """Nested state as the bytes of its two files."""

    tensors: bytes
    text: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.tensors) + len(self.text)


def pack(state: dict[str, Any]) -> Packed:
    """The bytes of `state`, with the digest of the tensors and a check sum in the JSON."""
    tensors: dict[str, torch.Tensor] = {}
    packed = _pack(state, "", tensors)
    data = save(tensors)
    return Packed(data, seal(json.dumps(packed | {_FORMAT: FORMAT, _SUM: [len(data), digest(data)]})))


def save_checkpoint(folder: Path, name: str, state: dict[str, Any] | Packed, *, keeps_older: bool = False) -> Path:
    """Writes `state` to `<folder>/checkpoints/<name>`, replacing what was there.

    With `keeps_older` that one stays beside it, for `load_latest`. Raises OSError where it cannot be written; what was
    there is then as it was.
    """
    home = folder / FOLDER
    home.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    temporary, final, old = home / f".{name}.new", home / name, home / _older(name)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(mode=PRIVATE_FOLDER)
        write_state(temporary, state)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if final.exists():  # otherwise a kill between two renames has left `old` alone: it goes when `final` is there
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    temporary.rename(final)
    sync_folder(home)
    if not keeps_older:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path, name: str) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote; raises RunError when there is none, Damaged when it has changed."""
    place = _place(folder, name)
    if place is None:
        raise RunError(
            f"there is no checkpoint '{name}' in {folder / FOLDER}: the run stopped before its first one, or none could"
            " be written; run its spec again"
        )
    return read_state(place)


def has_checkpoint(folder: Path, name: str) -> bool:
    """Whether there is one to be loaded, damaged or not."""
    return _place(folder, name) is not None


def _place(folder: Path, name: str) -> Path | None:
    home = folder / FOLDER
    # A kill between two renames has left the one before alone.
    return next((place for place in (home / name, home / _older(name)) if place.exists()), None)


def load_latest(folder: Path, name: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """As `load_checkpoint`; where the newest one is damaged, the one before it, which `tell` is told."""
    try:
        return load_checkpoint(folder, name)
    except Damaged as damage:
        older = folder / FOLDER / _older(name)
        if not older.exists() or not (folder / FOLDER / name).exists():
            raise Damaged(f"{damage}; there is no other one: the spec has to be run again") from damage
        state = read_state(older)
        tell(f"warning: {damage}; going on from the one before it, which is whole")
        return state


def drop_older(folder: Path, name: str) -> None:
    """Removes the checkpoint before the newest one, when nobody will go on from either."""
    shutil.rmtree(folder / FOLDER / _older(name), ignore_errors=True)


def _older(name: str) -> str:
    return f".{name}.old"


def write_state(folder: Path, state: dict[str, Any] | Packed) -> None:
    """Writes nested state into a folder, down to the disk."""
    packed = state if isinstance(state, Packed) else pack(state)
    write_synced(folder / "state.safetensors", packed.tensors)
    write_synced(folder / "state.json", packed.text)
    sync_folder(folder)


def read_state(folder: Path) -> dict[str, Any]:
    """The state that `write_state` wrote; raises Damaged where a bit of it is another one."""
    try:
        text = (folder / "state.json").read_bytes()
        holds = seal_holds(text)
        if holds is False:
            raise Damaged(_damage(folder, "state.json"))
        found = json.loads(text)
        if not isinstance(found, dict) or (holds is None and _FORMAT in found):
            raise Damaged(_damage(folder, "state.json"))
        data = (folder / "state.safetensors").read_bytes()
        # Those of earlier versions have no digests, and are read as they are.
        if holds and (found.pop("crc"), found.pop(_FORMAT), found.pop(_SUM))[2] != [len(data), digest(data)]:
            raise Damaged(_damage(folder, "state.safetensors"))
        state: dict[str, Any] = _unpack(found, load(data))
    except (OSError, ValueError, RecursionError, KeyError, TypeError, SafetensorError) as error:
        raise Damaged(f"{_damage(folder)} ({type(error).__name__}: {error})") from error
    return state


def _damage(folder: Path, file: str = "") -> str:
    return f"the checkpoint {folder.parent.name}/{folder.name} is damaged: {file or 'its files'} cannot be trusted"


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
