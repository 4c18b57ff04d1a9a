"""Nested state of tensors and plain values as `state.safetensors` and `state.json`, with digests of both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from annpipe.files.descriptors import sync_folder as sync_folder
from annpipe.files.whole import Damaged, digest, seal, seal_holds, write_synced

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
        stored = json.loads(text)
        if not isinstance(stored, dict) or (holds is None and _FORMAT in stored):
            raise Damaged(_damage(folder, "state.json"))
        data = (folder / "state.safetensors").read_bytes()
        # Those of earlier versions have no digests, and are read as they are.
        if holds and (stored.pop("crc"), stored.pop(_FORMAT), stored.pop(_SUM))[2] != [len(data), digest(data)]:
            raise Damaged(_damage(folder, "state.safetensors"))
        state: dict[str, Any] = _unpack(stored, load(data))
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
