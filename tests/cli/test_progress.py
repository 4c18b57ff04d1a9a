"""The display of a run on stderr: lines now and then, a bar on a terminal, messages between them."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest

import annpipe
from annpipe.cli import progress
from annpipe.cli.progress import RunDisplay
from annpipe.errors import Place, Problem
from annpipe.observer import Observer, loss_text
from annpipe.record.journal import journal
from annpipe.train import schedule
from tests.conftest import unrecorded


class Clock:
    """The time that the display sees."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_line_every_few_seconds_and_one_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Rate and time left are those of this start: steps of an earlier one do not count."""
    with RunDisplay() as display:
        display.start(100, 10, 20)
        for step in range(30, 101, 10):
            clock.now += 2.0
            display.progress(step, 1 / step)
    assert lines(capsys) == [
        "epoch 5/10  train/loss 0.02  5 steps/s  10 s left",
        "epoch 8/10  train/loss 0.0125  5 steps/s  4 s left",
        "epoch 10/10  train/loss 0.01  5 steps/s  done",
    ]


def test_a_limit_of_time_is_less_than_what_the_steps_would_take(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunDisplay() as display:
        display.start(10_000_000, 10, 0)
        display.limit(45.0)
        clock.now += 6.0
        display.progress(30, 0.5)
        clock.now += 39.0
        display.progress(60, 0.5)
    assert [line.rpartition("  ")[2] for line in lines(capsys)] == ["39 s left", "done"]


def test_a_run_that_is_stopped_says_how_far_it_came(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, and not where nothing was done."""
    with RunDisplay() as display:
        display.start(100, 10, 0)
        clock.now += 4.0
        display.progress(20, 0.5)
    assert lines(capsys) == ["epoch 2/10  train/loss 0.5  5 steps/s  16 s left"]
    with RunDisplay() as display:
        display.start(100, 10, 20)
    assert lines(capsys) == []


def test_messages_are_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first step and after it; a message has one line, a warning its place."""
    with RunDisplay() as display:
        display.progress(1, 0.5)  # before its start nothing is shown
        display.event("two\nlines")
        display.start(10, 1, 0)
        display.event("an event")
        display.warn(Problem("a-code", "is wrong", Place("spec.yaml", 3, 1), "mend it"))
    printed = lines(capsys)
    assert printed[:2] == [r"two\nlines", "an event"]
    assert any("is wrong" in line for line in printed)
    assert any("spec.yaml:3" in line for line in printed)
    assert any("mend it" in line for line in printed)


class Terminal(io.StringIO):
    """Stderr of somebody who watches."""

    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows epochs, the loss and the rate; messages stand above it, with marks of rich shown as they are."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with RunDisplay() as display:
        display.start(95, 10, 0)
        display.event("a [bold]message[/bold] \x1b[31m")
        time.sleep(0.01)
        display.progress(20, 0.123456789)
    shown = terminal.getvalue()
    assert "epoch 2/10" in shown
    assert "train/loss 0.12346" in shown
    assert "steps/s" in shown
    assert r"a [bold]message[/bold] \u001b[31m" in shown


SPEC = """
version: 1
name: batches
device: {type: cpu, threads: 1, compile: 'off'}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [0, 1, 100, 10]}}}
model: [Linear: 1]
loss: L1Loss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 3, batch_size: 1}
"""


class Listener(Observer):
    """Keeps the losses by step."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def progress(self, step: int, loss: float) -> None:
        self.losses[step] = loss


def test_the_loss_is_that_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the last whole epoch, whose batches are very different ones; in the first epoch it is the mean so far."""
    (tmp_path / "s.yaml").write_text(SPEC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(schedule, "MOST_STEPS", 1)
    listener = Listener()
    with unrecorded():
        folder = annpipe.run("s.yaml", observer=listener).folder
    points = (point for event in journal.read(folder) for point in journal.points(event))
    epochs = {step: value for key, step, value, _ in points if key == "train/loss"}
    assert [listener.losses[step] for step in range(4, 13)] == [*[epochs[1]] * 4, *[epochs[2]] * 4, epochs[3]]
    first, second, third = (listener.losses[step] for step in (1, 2, 3))
    assert 2 * second - first > 0  # the loss of the second row alone
    assert 4 * epochs[1] - 3 * third > 0


def test_the_first_epoch_is_named_so() -> None:
    """A number that no record holds is not called by the record's name alone."""
    assert loss_text(9, 10, 0.5) == "train/loss 0.5 so far"
    assert loss_text(10, 10, 0.5) == "train/loss 0.5"
