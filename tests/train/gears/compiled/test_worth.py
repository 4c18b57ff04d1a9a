"""Whether compiling or capturing pays, what is remembered of it, and which steps go into one call."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.backend import device
from annpipe.backend.device import computing, processor
from annpipe.train.gears.compiled import worth
from annpipe.train.gears.compiled.kinds import GRAPHED
from annpipe.train.gears.compiled.worth import (
    CompileRecord,
    StepGroups,
    capturing_cost,
    is_worth,
    memory_key,
    recall,
    remember,
    step_groups,
)
from annpipe.train.schedule import Schedule
from tests.train.gears.stacks import SPEC, built
from tests.training import Planned


def test_a_gain_has_to_pay_for_the_compiling() -> None:
    """In numbers: seconds a step, steps left, layers, steps of a call."""
    assert not is_worth(0.0006, 10_000, 7, 8, None)
    assert is_worth(0.0006, 1_000_000, 7, 8, None)
    assert not is_worth(1.0, 10_000, 7, 8, None)  # the arithmetic of large layers takes as long compiled
    known = CompileRecord(40.0, 0.0006, 0.0002)
    assert known.next_seconds == 12.0
    assert is_worth(0.0006, 50_000, 7, 8, known)
    assert not is_worth(0.0006, 30_000, 7, 8, known)
    again = CompileRecord(5.0, 0.0006, 0.0002).after(known)
    assert (again.compile_seconds, again.next_seconds) == (40.0, 5.0)
    assert is_worth(0.0006, 30_000, 7, 8, again)
    assert not is_worth(0.0006, 10**9, 7, 8, CompileRecord(0.0, refused="no compiler"))
    assert not is_worth(0.0006, 10**9, 7, 8, CompileRecord(10.0, 0.0006, 0.0006))


def test_what_compiling_took_is_remembered(tmp_path: Path) -> None:
    """In the cache folder; a file that is no memory is as good as none."""
    assert recall("abc") is None
    remember("abc", CompileRecord(40.0, 0.0006, 0.0002))
    assert recall("abc") == CompileRecord(40.0, 0.0006, 0.0002)
    (tmp_path / "cache" / "annpipe" / "gears" / "abc.json").write_text('{"other": 1}')
    assert recall("abc") is None


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (Schedule(100, 100, 1000, False, None), 8),
        (Schedule(100, 100, 1000, False, 1), 1),
        (Schedule(100, 100, 1000, False, 10), 5),
        (Schedule(29, 8, 50, False, None), 3),
        (Schedule(2000, 64, 20, False, None), 6),
        (Schedule(2000, 64, 20, True, 2), 6),
        (Schedule(100, 100, None, False, None, 20), 5),
    ],
)
def test_blocks_are_the_same_wherever_a_run_pauses(made: Schedule, size: int) -> None:
    """No block has a short batch or a look in it, and little is left over."""
    cut = step_groups(made)
    assert cut.steps_per_call == size
    end = min(made.total_steps, 300)
    whole = _taken(cut, 0, end, itertools.repeat(4096))
    for chunks in ([1, 2, 4, 8, 16, 32], [3], [7, 1]):
        assert _taken(cut, 0, end, itertools.cycle(chunks)) == whole
    for begin, n in whole:
        rows = {made.rows_at(step % made.steps_per_epoch) for step in range(begin, begin + n)}
        assert len(rows) == 1
        assert begin + n <= made.next_look(begin)


def _taken(cut: StepGroups, step: int, end: int, chunks: Any) -> list[tuple[int, int]]:
    """(step, steps) of each call, as loop and gear go on together."""
    found = []
    while step < end:
        stop = min(step + cut.pause_after(step, next(chunks)), cut.schedule.next_look(step))
        while step < stop:
            n = cut.steps_at(step)
            assert step + n <= stop
            found.append((step, n))
            step += n
    return [one for one in found if one[0] < end - 8]


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (Schedule(100, 100, 6000, False, None), 60),
        (Schedule(100, 100, 6400, False, None), 64),
        (Schedule(100, 100, 6000, False, 10), 10),
        (Schedule(100, 100, 6000, False, 1), 1),
        (Schedule(29, 8, 5000, False, None), 3),
        (Schedule(2048, 64, 200, True, 1), 32),
        (Schedule(100, 100, 50, False, None), 5),
        (Schedule(100, 100, 96, False, None), 12),
    ],
)
def test_many_steps_go_into_a_graph(made: Schedule, size: int) -> None:
    """Never across a look or a short batch, and an eighth of the run at most."""
    cut = step_groups(made, GRAPHED.most_steps)
    assert cut.steps_per_call == size
    for step in range(0, min(made.total_steps, 300), size):
        if cut.steps_at(step) > 1:
            assert step + size <= made.next_look(step)


def test_capturing_pays_sooner_than_compiling() -> None:
    """In numbers: seconds a step, steps left, layers, steps of a call."""
    assert capturing_cost(0.001, 5, 60) == pytest.approx(2.9)
    assert is_worth(0.001, 60_000, 5, 60, None, capturing_cost)
    assert not is_worth(0.001, 20_000, 5, 60, None, capturing_cost)
    assert not is_worth(0.001, 60_000, 5, 8, None)


def test_what_is_remembered_is_the_processor_s(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another accelerator, or none, has another cost and gain."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda where: f"accelerator {where.index}")
    names = [processor(torch.device(one)) for one in ("cpu", "cuda:0", "cuda:1")]
    assert names[1:] == ["accelerator 0", "accelerator 1"]
    with computing("float64", deterministic=False):
        run = built(planned(SPEC))
    keys = set[str]()
    for name in names:
        monkeypatch.setattr(worth, "processor", lambda where, name=name: name)
        keys.add(memory_key(run.plan, run.parts, 1, 60, 1))
    assert len(keys) == 3
    assert device.processor is processor
