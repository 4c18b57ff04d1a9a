"""The batches of rows in files: shuffled in two stages, every row once an epoch, read from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest
import torch

from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.train.batches import on_disk
from annpipe.train.batches.on_disk import OnDiskBatches, drawn_epoch
from annpipe.train.schedule import Schedule
from tests.plain_torch import SEED, stream

N_ROWS, CHUNK, SIZE = 53, 4, 6
STEPS = Schedule(N_ROWS, SIZE, 3, drop_last=False, look_every=None)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDiskRows:
    """Rows with their number in x and y; chunks of 4 rows, buffers of 3 chunks."""
    x, y = torch.arange(N_ROWS, dtype=torch.float64).unsqueeze(1), torch.arange(N_ROWS)
    (tmp_path / "train.x").write_bytes(x.numpy().tobytes())
    (tmp_path / "train.y").write_bytes(y.numpy().tobytes())
    made = OnDiskRows(tmp_path / "train", N_ROWS, ((1,), torch.float64), ((), torch.int64), torch.device("cpu"))
    monkeypatch.setattr(on_disk, "CHUNK_BYTES", CHUNK * made.row_bytes)
    monkeypatch.setattr(on_disk, "BUFFER_BYTES", 3 * CHUNK * made.row_bytes + 1)
    return made


def numbers(batches: OnDiskBatches, index: int) -> list[int]:
    """The rows of a batch."""
    x, y = batches.at(index)
    assert torch.equal(x[:, 0], y.double())
    return y.tolist()


def all_of(pieces: Iterable[Iterable[int]]) -> list[int]:
    return list(chain.from_iterable(pieces))


def epoch(batches: OnDiskBatches) -> list[list[int]]:
    batches.begin_epoch()
    return [numbers(batches, index) for index in range(STEPS.steps_per_epoch)]


@pytest.mark.parametrize(("n_chunks", "chunks_each", "sizes"), [(10, 4, [4, 3, 3]), (9, 3, [3, 3, 3]), (2, 5, [2])])
def test_chunks_are_divided_evenly_among_few_buffers(n_chunks: int, chunks_each: int, sizes: list[int]) -> None:
    """Each chunk is in one of them; with a generator in a drawn order, and each buffer has a seed of its own."""
    plain, drawn = (
        drawn_epoch(n_chunks, chunks_each, None),
        drawn_epoch(n_chunks, chunks_each, torch.Generator().manual_seed(1)),
    )
    assert [len(buffer) for buffer in plain.buffers] == [len(buffer) for buffer in drawn.buffers] == sizes
    assert all_of(plain.buffers) == list(range(n_chunks))
    order = torch.randperm(n_chunks, generator=torch.Generator().manual_seed(1)).tolist()
    assert all_of(drawn.buffers) == order
    assert (plain.seeds, len(set(drawn.seeds))) == ((), len(sizes))


def test_the_order_is_that_of_the_stream(rows: OnDiskRows) -> None:
    """Chunks in the order drawn from the documented seed, the rows of a buffer in that of the buffer's seed."""
    draw = torch.Generator().manual_seed(stream("shuffle"))
    chunks = torch.arange(N_ROWS).split(CHUNK)
    order = torch.tensor_split(torch.randperm(len(chunks), generator=draw), 5)  # 14 chunks, 3 a buffer
    seeds = torch.randint(2**62, (5,), generator=draw).tolist()
    expected = list[int]()
    for numbers_of, seed in zip(order, seeds, strict=True):
        buffer = torch.cat([chunks[number] for number in numbers_of])
        expected += buffer[torch.randperm(len(buffer), generator=torch.Generator().manual_seed(seed))].tolist()
    taken = epoch(OnDiskBatches(rows, STEPS, SEED, shuffle=True))
    assert all_of(taken) == expected
    assert [len(batch) for batch in taken] == [SIZE] * 8 + [5]


def test_every_epoch_has_every_row_once_in_another_order(rows: OnDiskRows) -> None:
    """Batches span chunks and buffers."""
    batches = OnDiskBatches(rows, STEPS, SEED, shuffle=True)
    first, second = (all_of(epoch(batches)) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(N_ROWS))
    assert first != second


def test_without_shuffle_rows_keep_their_order(rows: OnDiskRows) -> None:
    """And nothing is drawn."""
    batches = OnDiskBatches(rows, STEPS, SEED, shuffle=False)
    before = batches.state(mid_epoch=False)
    assert all_of(epoch(batches)) == list(range(N_ROWS))
    assert torch.equal(batches.state(mid_epoch=False), before)


def test_any_batch_can_be_read_after_any_other(rows: OnDiskRows) -> None:
    """Backwards, twice, and after the rows were let go; what was given before is not overwritten."""
    batches = OnDiskBatches(rows, STEPS, SEED, shuffle=True)
    whole = epoch(batches)
    kept = batches.at(0)[1]
    for index in (5, 5, 3, 8, 1, 2):
        assert numbers(batches, index) == whole[index]
    batches.close()
    assert numbers(batches, 7) == whole[7]
    assert kept.tolist() == whole[0]


@pytest.mark.parametrize("mid_epoch", [True, False])
def test_a_state_gives_the_same_batches_again(mid_epoch: bool, rows: OnDiskRows) -> None:
    """In the middle of an epoch the rest of it, and between two the next one."""
    batches, resumed = (OnDiskBatches(rows, STEPS, SEED, shuffle=True) for _ in range(2))
    whole = epoch(batches)
    resumed.load_state(batches.state(mid_epoch=mid_epoch), mid_epoch=mid_epoch)
    if mid_epoch:
        assert [numbers(resumed, index) for index in range(4, STEPS.steps_per_epoch)] == whole[4:]
    assert epoch(resumed) == epoch(batches)


def test_wide_rows_have_chunks_of_one(rows: OnDiskRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few bytes a chunk or a buffer may have."""
    monkeypatch.setattr(on_disk, "CHUNK_BYTES", 1)
    monkeypatch.setattr(on_disk, "BUFFER_BYTES", 1)
    assert sorted(all_of(epoch(OnDiskBatches(rows, STEPS, SEED, shuffle=True)))) == list(range(N_ROWS))
