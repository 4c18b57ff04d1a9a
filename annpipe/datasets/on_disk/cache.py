"""Rows on disk: a folder for each dataset, split and transforms, with the rows as they are trained on.

`<cache>/rows/<key>` has for each part of the split `x` and `y` row by row, as bytes, and the results of the passes.
The key is a digest of all that decides them: content and options of the data, split, transforms, precision. A folder
is filled under another name and renamed when everything in it is on the disk, so that an existing one is complete; and
before rows are trained on, their check sums are compared, so that a damaged folder is written again.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch

from annpipe.contract import Dataset
from annpipe.datasets.on_disk.passes import ChunkPasses, PassResults
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.on_disk.split import DataSummary
from annpipe.datasets.steps.categories import recoded
from annpipe.datasets.steps.splits import Splits
from annpipe.datasets.steps.tensors import Rows
from annpipe.errors import RunError
from annpipe.files.descriptors import move, sync_folder
from annpipe.files.lock import locked
from annpipe.files.nested_state import read_state, write_state
from annpipe.files.private import PRIVATE_FOLDER, private_folder
from annpipe.files.processes import is_alive

PIECE_BYTES = 1 << 24


def read_results(folder: Path) -> tuple[PassResults, dict[str, Any]] | None:
    """The results of the passes, and the layout of the rows; None where there is no complete folder."""
    try:
        state = read_state(folder)
        sizes = {name: (folder / name).stat().st_size for name in state["sizes"]}
    except Exception:  # the rows can be written again, so nothing is reported; changed bytes may raise anything
        return None
    if sizes != state["sizes"]:
        return None
    parts = {name: Dataset(**part) for name, part in state["samples"].items()}
    samples = Splits(parts["train"], parts.get("val"), parts.get("test"))
    summary = DataSummary(samples, state["positions"], state["classes"])
    return PassResults(state["counts"], summary, state["learnt"]), state


def checksums_match(folder: Path, state: Mapping[str, Any]) -> bool:
    """Whether the rows are those that were written; reads all of them once, at the speed of the disk."""
    try:
        return all(_checksum(folder / name) == checksum for name, checksum in state["sums"].items())
    except OSError:
        return False


def _checksum(file: Path) -> int:
    buffer = memoryview(bytearray(PIECE_BYTES))
    checksum = 0
    with open(file, "rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            checksum = zlib.crc32(buffer[:count], checksum)
    return checksum


def on_disk_rows(folder: Path, state: Mapping[str, Any], device: torch.device) -> dict[str, OnDiskRows]:
    """The rows of each part of the split."""
    x, y = ((tuple(state[f"{of}_shape"]), getattr(torch, str(state[f"{of}_dtype"]))) for of in "xy")
    return {name: OnDiskRows(folder / name, count, x, y, device) for name, count in state["counts"].items()}


def write_rows(folder: Path, passes: ChunkPasses, as_rows: Callable[[Dataset], Rows]) -> None:
    """Fills the folder by one pass over the data; it appears when it is complete."""
    try:
        private_folder(folder.parent)
        _remove_unfinished(folder)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        temporary.mkdir(mode=PRIVATE_FOLDER)
    except OSError as error:
        raise RunError(f"the rows cannot be kept in {folder}: {error.strerror}; {_ELSEWHERE}") from error
    try:
        layout = _fill(temporary, passes, as_rows)
        write_state(temporary, _state(passes.results) | layout)
        with locked(folder.parent):  # another process may have written it in the meantime
            if read_results(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
                move(temporary, folder)
                sync_folder(folder.parent)
    except OSError as error:
        raise RunError(f"the rows cannot be kept in {folder}: {error.strerror}; {_ELSEWHERE}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_ELSEWHERE = "XDG_CACHE_HOME may name a folder with more room"


def _remove_unfinished(folder: Path) -> None:
    """Removes the temporary folders of processes that no longer run."""
    for temporary in folder.parent.glob(f".{folder.name}.*"):
        with suppress(ValueError):
            if not is_alive(int(temporary.suffix[1:])):
                shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, passes: ChunkPasses, as_rows: Callable[[Dataset], Rows]) -> dict[str, Any]:
    """Writes x and y of every part; returns their shapes, dtypes, sizes and check sums."""
    layout: dict[str, Any] = {}
    positions = passes.results.summary.positions
    with ExitStack() as stack:
        names = [f"{name}.{suffix}" for name in passes.results.counts for suffix in "xy"]
        files = {name: stack.enter_context((folder / name).open("wb")) for name in names}
        checksums = dict.fromkeys(names, 0)
        for chunk in passes.assignment.iter_chunks():
            for name, part in chunk.items():
                rows = as_rows(recoded(part, positions))
                for suffix, tensor in (("x", rows.x), ("y", rows.y)):
                    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
                    files[f"{name}.{suffix}"].write(data)
                    checksums[f"{name}.{suffix}"] = zlib.crc32(data, checksums[f"{name}.{suffix}"])
                    layout[f"{suffix}_shape"] = list(tensor.shape[1:])
                    layout[f"{suffix}_dtype"] = str(tensor.dtype).removeprefix("torch.")
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        layout["sizes"] = {name: file.tell() for name, file in files.items()}
        layout["sums"] = checksums
    return layout


def _state(results: PassResults) -> dict[str, Any]:
    """The results as nested state, whose keys are a file format."""
    roles = ("inputs", "targets", "aside", "categories")
    parts = results.summary.samples.by_name
    return {
        "counts": dict(results.counts),
        "samples": {name: {role: dict(getattr(part, role)) for role in roles} for name, part in parts.items()},
        "positions": dict(results.summary.positions),
        "classes": {name: dict(counts) for name, counts in results.summary.classes.items()},
        "learnt": list(results.states),
    }
