"""Where are the rows that are not held in memory? In a folder of their own, ready to be trained on.

`<cache>/rows/<key>` has for each part of the split `x` and `y` row by row, as bytes, and what was learnt on the way.
The key is a digest of all that decides them: content and options of the data, split, transforms, precision. A folder
is filled under another name and renamed when everything in it is on the disk, so that one that is there is whole; and
before rows are trained on, their check sums are compared, so that a damaged folder is made anew.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from annpipe.contract import Dataset
from annpipe.datasets.on_disk.fit import State
from annpipe.datasets.on_disk.rows import StoredRows
from annpipe.datasets.on_disk.split import Cut, Survey
from annpipe.datasets.request import Wanted
from annpipe.datasets.splits import Splits
from annpipe.datasets.tensors import Transformed, lay_out
from annpipe.datasets.transforms import recoded
from annpipe.errors import RunError
from annpipe.files.lock import locked
from annpipe.files.nested_state import read_state, write_state
from annpipe.files.private import PRIVATE_FOLDER, private_folder
from annpipe.train.loop.checkpoint import sync_folder

PIECE_BYTES = 1 << 24


@dataclass(frozen=True)
class Surveyed:
    """What passages told: the rows of each part, samples and categories, and what the transforms have learnt."""

    counts: Mapping[str, int]
    seen: Survey
    learnt: Sequence[State | None]


def recall(folder: Path) -> tuple[Surveyed, dict[str, Any]] | None:
    """What the folder of kept rows tells, and how they are laid out; None where there is none that is whole."""
    try:
        state = read_state(folder)
        sizes = {name: (folder / name).stat().st_size for name in state["sizes"]}
    except Exception:  # rows that can be made again are not worth a word; bytes that were changed may raise anything
        return None
    if sizes != state["sizes"]:
        return None
    parts = {name: Dataset(**part) for name, part in state["samples"].items()}
    samples = Splits(parts["train"], parts.get("val"), parts.get("test"))
    return Surveyed(state["counts"], Survey(samples, state["positions"], state["classes"]), state["learnt"]), state


def rows_hold(folder: Path, state: Mapping[str, Any]) -> bool:
    """Whether the kept rows are those that were written; reads all of them once, at the speed of the disk."""
    try:
        return all(_sum_of(folder / name) == sum_ for name, sum_ in state["sums"].items())
    except OSError:
        return False


def _sum_of(file: Path) -> int:
    room = memoryview(bytearray(PIECE_BYTES))
    found = 0
    with open(file, "rb", buffering=0) as stream:
        while count := stream.readinto(room):
            found = zlib.crc32(room[:count], found)
    return found


def stored(folder: Path, state: Mapping[str, Any], device: torch.device) -> dict[str, StoredRows]:
    """The parts of kept rows."""
    x, y = ((tuple(state[f"{of}_shape"]), getattr(torch, str(state[f"{of}_dtype"]))) for of in "xy")
    return {name: StoredRows(folder / name, count, x, y, device) for name, count in state["counts"].items()}


def write(wanted: Wanted, parts: Cut, known: Surveyed, once: Transformed) -> None:
    """Fills the folder of these rows by one passage; it appears when it is whole."""
    folder = wanted.folder
    try:
        private_folder(folder.parent)
        _forget_unfinished(folder)
        filling = folder.with_name(f".{folder.name}.{os.getpid()}")
        filling.mkdir(mode=PRIVATE_FOLDER)
    except OSError as error:
        raise RunError(f"the rows cannot be kept in {folder}: {error.strerror}; {_ELSEWHERE}") from error
    try:
        layout = _fill(wanted, parts, known, once, filling)
        write_state(filling, _state(known) | layout)
        with locked(folder.parent):  # another process may be as quick
            if recall(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
                filling.rename(folder)
                sync_folder(folder.parent)
    except OSError as error:
        raise RunError(f"the rows cannot be kept in {folder}: {error.strerror}; {_ELSEWHERE}") from error
    finally:
        shutil.rmtree(filling, ignore_errors=True)


_ELSEWHERE = "XDG_CACHE_HOME may name a folder with more room"


def _forget_unfinished(folder: Path) -> None:
    """Removes what a process that is gone has begun to fill."""
    for begun in folder.parent.glob(f".{folder.name}.*"):
        with suppress(ValueError, PermissionError):
            try:
                os.kill(int(begun.suffix[1:]), 0)
            except ProcessLookupError:
                shutil.rmtree(begun, ignore_errors=True)


def _fill(wanted: Wanted, parts: Cut, known: Surveyed, once: Transformed, folder: Path) -> dict[str, Any]:
    """Writes x and y of every part, and says how they are laid out."""
    layout: dict[str, Any] = {}
    with ExitStack() as stack:
        names = [f"{name}.{of}" for name in parts.counts for of in "xy"]
        files = {name: stack.enter_context((folder / name).open("wb")) for name in names}
        sums = dict.fromkeys(names, 0)
        for block in parts.passage():
            for name, part in block.items():
                part = recoded(part, known.seen.positions)
                rows = lay_out(part, torch.device("cpu"), wanted.dtype, classes=wanted.classes, columns=once)
                for of, tensor in (("x", rows.x), ("y", rows.y)):
                    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
                    files[f"{name}.{of}"].write(data)
                    sums[f"{name}.{of}"] = zlib.crc32(data, sums[f"{name}.{of}"])
                    layout[f"{of}_shape"] = list(tensor.shape[1:])
                    layout[f"{of}_dtype"] = str(tensor.dtype).removeprefix("torch.")
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        layout["sizes"] = {name: file.tell() for name, file in files.items()}
        layout["sums"] = sums
    return layout


def _state(known: Surveyed) -> dict[str, Any]:
    roles = ("inputs", "targets", "aside", "categories")
    parts = known.seen.samples.by_name
    return {
        "counts": dict(known.counts),
        "samples": {name: {role: dict(getattr(part, role)) for role in roles} for name, part in parts.items()},
        "positions": dict(known.seen.positions),
        "classes": {name: dict(counts) for name, counts in known.seen.classes.items()},
        "learnt": list(known.learnt),
    }
