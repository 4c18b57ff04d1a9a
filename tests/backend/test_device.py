"""The number of threads is measured: more must pay, and finding out must stay cheap. The clock is the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from annpipe.backend import device
from annpipe.backend.device import measured_threads


class Machine:
    """A step takes `seconds[threads]` on it; it counts the steps taken with each number of threads."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.taken = dict.fromkeys(seconds, 0)

    def perf_counter(self) -> float:
        return self.now

    def steps(self, n_steps: int) -> None:
        threads = torch.get_num_threads()
        self.taken[threads] += n_steps
        self.now += n_steps * self.seconds[threads]


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def chosen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(device, "available_cores", lambda: max(machine.seconds))
    monkeypatch.setattr(device, "time", machine)
    best, seconds = measured_threads(machine.steps)
    assert seconds == pytest.approx(machine.seconds)
    assert torch.get_num_threads() == best
    return best


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({1: 0.004, 2: 0.002, 4: 0.001}, 4),
        ({1: 0.004, 2: 0.002, 4: 0.003}, 2),
        ({1: 0.004, 2: 0.0035}, 1),  # less than a quarter
        ({1: 0.001, 2: 0.002}, 1),
        ({1: 4.0, 2: 2.0}, 2),
    ],
)
def test_more_threads_must_gain_a_quarter(
    seconds: dict[int, float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fastest wins, and one thread wins over a small gain."""
    assert chosen(Machine(seconds), monkeypatch) == best


def test_threads_that_wait_for_each_other_are_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a step of two threads may take a hundred times as long: two of them are enough to see it."""
    machine = Machine({1: 0.001, 2: 0.1})
    assert chosen(machine, monkeypatch) == 1
    assert machine.taken[2] == 2


def test_slow_steps_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a step takes seconds, each candidate takes one to wake up and one that counts."""
    machine = Machine({1: 4.0, 2: 3.0})
    chosen(machine, monkeypatch)
    assert machine.taken == {1: 2, 2: 2}
