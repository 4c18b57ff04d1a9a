"""The batches of rows in memory: the documented order of each epoch, and how a run goes on in the middle of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.steps.tensors import Rows
from annpipe.train.batches.in_memory import Batches, batches_of
from annpipe.train.batches.on_disk import OnDiskBatches
from annpipe.train.schedule import Schedule
from tests.plain_torch import SEED, stream

ROWS = Rows(torch.arange(20.0).view(10, 2), torch.arange(10.0).unsqueeze(1))


def schedule(step_rows: int = 4, *, drop_last: bool = False) -> Schedule:
    return Schedule(len(ROWS), step_rows, 3, drop_last, None)


def epoch(batches: Batches, steps: Schedule) -> list[list[float]]:
    """The numbers of the rows of each batch."""
    batches.begin_epoch()
    taken = []
    for index in range(steps.steps_per_epoch):
        x, y = batches.at(index)
        assert torch.equal(x, ROWS.x[y[:, 0].long()])
        taken.append(y[:, 0].tolist())
    return taken


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_order_of_each_epoch_is_drawn_from_the_stream(drop_last: bool) -> None:
    """As plain torch draws it from the documented seed; the last batch has what is left, or is dropped."""
    steps = schedule(drop_last=drop_last)
    batches, draw = Batches(ROWS, steps, SEED, shuffle=True), torch.Generator().manual_seed(stream("shuffle"))
    for _ in range(2):
        order = torch.randperm(10, generator=draw).split(4)
        assert epoch(batches, steps) == [part.tolist() for part in order[: 2 if drop_last else 3]]


def test_without_shuffle_rows_keep_their_order() -> None:
    """In each epoch; nothing is drawn."""
    batches = Batches(ROWS, schedule(), SEED, shuffle=False)
    before = batches.state(mid_epoch=False)
    assert [epoch(batches, schedule()) for _ in range(2)] == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]] * 2
    assert torch.equal(batches.state(mid_epoch=False), before)
    assert batches.order is None


def test_a_step_of_all_rows_takes_them_as_they_are() -> None:
    """Without a copy, and without drawing."""
    batches = Batches(ROWS, schedule(16), SEED, shuffle=True)
    batches.begin_epoch()
    assert batches.is_full
    assert (batches.at(0)[0] is ROWS.x, batches.at(0)[1] is ROWS.y) == (True, True)
    assert torch.equal(
        batches.state(mid_epoch=False), Batches(ROWS, schedule(16), SEED, shuffle=True).state(mid_epoch=True)
    )


@pytest.mark.parametrize("mid_epoch", [True, False])
def test_a_state_gives_the_same_batches_again(mid_epoch: bool) -> None:
    """In the middle of an epoch the rest of it, and between two the next one."""
    whole, resumed = (Batches(ROWS, schedule(), SEED, shuffle=True) for _ in range(2))
    epoch(whole, schedule())
    order = whole.order
    resumed.load_state(whole.state(mid_epoch=mid_epoch), mid_epoch=mid_epoch)
    if mid_epoch:
        assert order is not None
        assert resumed.order is not None
        assert torch.equal(resumed.order, order)
    assert epoch(resumed, schedule()) == epoch(whole, schedule())


def test_rows_in_files_have_batches_of_their_own(tmp_path: Path) -> None:
    """By where the rows are."""
    on_disk = OnDiskRows(tmp_path / "train", 10, ((2,), torch.float32), ((1,), torch.float32), torch.device("cpu"))
    assert isinstance(batches_of(on_disk, schedule(), SEED, shuffle=True), OnDiskBatches)
    assert isinstance(batches_of(ROWS, schedule(), SEED, shuffle=True), Batches)
