"""One flipped bit in each kind of file that a run leaves: it is seen, or it changes nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from annpipe.datasets.on_disk.cache import checksums_match, read_results
from annpipe.files.nested_state import read_state
from annpipe.files.whole import Damaged
from annpipe.portable.network import DamagedModel, SavedNetwork
from annpipe.record.journal import journal
from tests.faults.injector import Injector
from tests.faults.scenes import Stage
from tests.faults.zygote import Zygote


class Seen(Exception):
    """The damage was noticed."""


@dataclass(frozen=True)
class Kind:
    """A file below a folder, and how what it says is read; reading raises Seen where damage is noticed."""

    name: str
    file: str
    read: Callable[[Path], Any]


def _state(folder: Path) -> Any:
    try:
        return read_state(folder)
    except Damaged as error:
        raise Seen from error


def _events(folder: Path) -> Any:
    if journal.damaged_lines(folder):
        raise Seen
    return list(journal.read(folder)), journal.status(folder)


def _network(folder: Path) -> Any:
    try:
        saved = SavedNetwork(folder)
    except DamagedModel as error:
        raise Seen from error
    weights = {name: tensor.clone() for name, tensor in saved.network.state_dict().items()}
    return weights, saved.description, saved.outputs(torch.linspace(-1, 1, 5).reshape(-1, 1))


def _rows(folder: Path) -> Any:
    kept = read_results(folder)
    if kept is None or not checksums_match(folder, kept[1]):
        raise Seen
    parts = {path.name: path.read_bytes() for path in sorted(folder.glob("*.[xy]"))}
    return parts, kept[1]


RUN = (
    Kind("checkpoint tensors", "checkpoints/last/state.safetensors", _state),
    Kind("checkpoint JSON", "checkpoints/last/state.json", _state),
    Kind("journal", "journal.jsonl", _events),
    Kind("model weights", "model/weights.safetensors", _network),
    Kind("model description", "model/model.json", _network),
    Kind("model code", "model/network.py", _network),
    Kind("model digests", "model/sums.json", _network),
)
ROWS = (
    Kind("kept rows", "train.x", _rows),
    Kind("kept targets", "train.y", _rows),
    Kind("kept statistics", "state.json", _rows),
)


def flip(file: Path, bit: int) -> None:
    """Turns one bit of a file."""
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def flips(kind: Kind, whole: Path, scratch: Path, injector: Injector, *, count: int, seed: int) -> None:
    """Flips `count` bits of a kind of file, one at a time; one that is neither seen nor harmless is a loss."""
    source = (whole / kind.file).parent
    reference = kind.read(source)
    draw = random.Random(f"{seed} {kind.name}")
    n_bits = (whole / kind.file).stat().st_size * 8
    for bit in _bits(draw, n_bits, count):
        copy = scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("checkpoints", "artifacts"))
        flip(copy / Path(kind.file).name, bit)
        injector.hit(kind.name)
        try:
            found = kind.read(copy)
        except Seen:
            continue
        if not same(found, reference):
            injector.lost(kind.name, f"bit {bit} of {n_bits} gave something else, unseen")


def _bits(draw: random.Random, n_bits: int, count: int) -> Iterator[int]:
    """Bits by chance, and those of the last two bytes, where a text and a line end."""
    yield from range(n_bits - 16, n_bits)
    for _ in range(count - 16):
        yield draw.randrange(n_bits)


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        return isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


STREAMED = """
version: 1
name: streamed
seed: 1
device: {type: cpu, threads: 1}
data: {csv: {files: rows.csv, target: y, in_memory: false}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 2, batch_size: 8}
tracking: {wait_seconds: 0}
"""


def flipped(stage: Stage, zygote: Zygote, scratch: Path, count: int) -> Injector:
    """Flips bits in each kind of file of a run that was stopped with two checkpoints, and of kept rows."""
    injector = Injector(*(kind.name for kind in (*RUN, *ROWS)))
    project = stage.project()
    assert zygote.run(project, "run", "spec.yaml").code == 0
    for kind in RUN:
        flips(kind, stage.run_of(project), scratch, injector, count=count, seed=1)
    other = stage.project()
    (other / "spec.yaml").write_text(STREAMED)
    (other / "rows.csv").write_text("x,y\n" + "".join(f"{i / 7},{i / 3}\n" for i in range(40)))
    assert zygote.run(other, "run", "spec.yaml").code == 0
    (kept,) = (zygote.cache / "rows").iterdir()
    for kind in ROWS:
        flips(kind, kept, scratch, injector, count=count, seed=1)
    return injector
