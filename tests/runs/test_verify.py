"""A replay of a run gives its losses bit for bit, or says where it does not and what is another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from annpipe.errors import NotFound, NotTrusted, RunError
from annpipe.observer import SILENT
from annpipe.record.journal import lines
from annpipe.record.journal.events import Event, RunBegun, SeriesPoints, TagsSet, to_data
from annpipe.record.journal.journal import FILE
from annpipe.runs.recorded import recorded_run
from annpipe.runs.verify import Verified, verify_run
from tests.training import Go

SPEC = """
version: 1
name: parabola
seed: 3
device: {type: cpu, threads: 1}
data: {csv: {files: rows.csv, target: y}, transforms: {number: standardize}, split: {val: 0.25}}
model: [{Linear: 4}, BatchNorm1d, Tanh, {Dropout: 0.2}, {Linear: 1}]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
scheduler: {StepLR: {step_size: 2, gamma: 0.5}}
train: {epochs: 8, batch_size: 8}
metrics: [R2Score]
callbacks: [early_stopping: {monitor: val/loss, patience: 1000}]
plots: []
"""
ROWS = "a,y\n" + "\n".join(f"{a},{a * a + 1}" for a in range(40)) + "\n"
KEYS = {"train/loss", "val/loss", "val/r2_score", "lr"}


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> Path:
    """The table that the runs are trained on."""
    file = tmp_path / "rows.csv"
    file.write_text(ROWS, encoding="utf-8")
    return file


def verify(folder: Path, **options: Any) -> Verified:
    return verify_run(folder, SILENT, **options)


def told(verified: Verified) -> dict[str, tuple[str | None, str | None]]:
    """The differences of the environment by name."""
    return {row.name: (row.recorded, row.now) for row in verified.differences}


def rewrite(folder: Path, change: Callable[[Event], Iterator[Event] | None]) -> None:
    """The journal with other events, each line with its check sum; None keeps an event."""
    events = [changed for event in lines.read(folder) for changed in (change(event) or iter([event]))]
    (folder / FILE).write_bytes(b"".join(lines.dump(to_data(event)) for event in events))


def test_a_replay_is_equal_and_writes_nothing(go: Go, tmp_path: Path) -> None:
    """Batch order, dropout, batch norm, a schedule, a split and metrics come out again; the folder stays as it is."""
    folder = go(SPEC).folder
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    verified = verify(folder)
    assert (verified.is_equal, verified.tolerance, verified.epochs) == (True, 0.0, 8)
    assert set(verified.compared) == KEYS
    assert (verified.gears, verified.differences, verified.notes) == (("eager", "eager"), [], [])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("limit", "epochs"), [({"steps": 8}, 2), ({"steps": 11}, 2), ({"epochs": 3}, 3), ({"epochs": 99}, 8)]
)
def test_a_part_of_a_run_is_replayed(go: Go, limit: dict[str, int], epochs: int) -> None:
    """Of 4 steps an epoch those that are whole."""
    assert verify(go(SPEC).folder, **limit).epochs == epochs


def test_less_than_an_epoch_is_nothing_to_compare(go: Go) -> None:
    with pytest.raises(RunError, match="has 4 steps, and a loss is recorded for each whole one"):
        verify(go(SPEC).folder, steps=3)


def test_the_first_value_that_differs_is_told_with_both(go: Go) -> None:
    """The smallest change of one loss, which no printing of six digits shows."""
    folder = go(SPEC).folder
    true = recorded_run(folder).values["train/loss"][5]
    other = math.nextafter(true, 0)

    def change(event: Event) -> Iterator[Event] | None:
        if not isinstance(event, SeriesPoints):
            return None
        values = [other if event.first + index == 5 else value for index, value in enumerate(event.values)]
        return iter([SeriesPoints(key=event.key, first=event.first, values=values, begin=event.begin, end=event.end)])

    rewrite(folder, change)
    parting = verify(folder).parting
    assert parting is not None
    assert (parting.key, parting.epoch, parting.step) == ("train/loss", 5, 20)
    assert (parting.recorded, parting.replayed) == (other, true)
    assert verify(folder, epochs=4).is_equal


def test_other_data_and_another_plugin_are_told_and_replayed(go: Go, rows: Path, tmp_path: Path) -> None:
    """The replay goes on, and shows what they change."""
    layer = "import torch\nfrom annpipe import layer\n\n@layer\nclass Twice(torch.nn.Module):\n"
    layer += '    """Twice."""\n\n    def forward(self, x):\n        return 2 * x\n'
    spec = SPEC.replace("Tanh", "Twice, Tanh").replace("seed: 3", "seed: 3\nplugins: [./twice.py]")
    folder = go(spec, twice=layer).folder
    assert verify(folder).is_equal
    rows.write_text(rows.read_text(encoding="utf-8").replace("39,1522", "39,1500"), encoding="utf-8")
    (tmp_path / "twice.py").write_text(layer + "    ...\n", encoding="utf-8")
    verified = verify(folder)
    assert not verified.is_equal
    assert set(told(verified)) == {"the rows of the data", "plugin twice.py"}


def test_another_environment_is_told(go: Go) -> None:
    """Versions, processor, threads and platform, as they were written down."""
    folder = go(SPEC).folder

    def change(event: Event) -> Iterator[Event] | None:
        if isinstance(event, TagsSet) and "annpipe.threads" in event.tags:
            return iter([TagsSet(tags={"annpipe.threads": "3", "annpipe.cpu": "ANCIENT", "annpipe.device": "cuda:7"})])
        return None

    rewrite(folder, change)
    text = (folder / "environment.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line.startswith("numpy==")]
    (folder / "environment.txt").write_text(text.replace(pins[0], "numpy==0.1"), encoding="utf-8")
    found = told(verify(folder))
    assert found["numpy"][0] == "0.1"
    assert found["cpu"][0] == "ANCIENT"
    assert found["device"] == ("cuda:7", "cpu")
    assert "threads" not in found  # the replay took as many


STOP = '''
import signal
from annpipe import Look, callback

@callback
class stopped_at:
    """Sends a signal after an epoch, as somebody who presses Ctrl-C."""

    def __init__(self, epoch: int = 5) -> None:
        self.epoch = epoch

    def on_look(self, look: Look) -> None:
        if look.epoch == self.epoch:
            signal.raise_signal(signal.SIGTERM)
'''


def test_a_run_that_stopped_and_one_that_was_resumed(go: Go) -> None:
    """Compared as far as it came; the resumed run as one without interruption."""
    spec = SPEC.replace("seed: 3", "seed: 3\nplugins: [./stop.py]")
    stopped = go(spec, "callbacks=[stopped_at]", stop=STOP)
    assert stopped.outcome.status == "KILLED"
    verified = verify(stopped.folder)
    assert (verified.is_equal, verified.epochs) == (True, 5)
    resumed = go(spec, "callbacks=[stopped_at]", resume=stopped.folder, stop=STOP)
    assert resumed.outcome.status == "FINISHED", resumed.outcome.error
    assert verify(stopped.folder).epochs == 8


def test_a_run_that_was_stopped_early_or_by_time(go: Go) -> None:
    """The epoch that `max_seconds` ended in cannot be known, and is left out."""
    early = go(SPEC, "callbacks=[{early_stopping: {monitor: val/loss, patience: 1, min_delta: 1000}}]")
    assert 0 < verify(early.folder).epochs < 8
    timed = verify(go(SPEC, "train.max_seconds=0.3", "train.epochs=100000").folder)
    assert timed.is_equal
    assert "`max_seconds` may have ended within it" in timed.notes[0]


def test_steps_that_were_left_out_are_left_out_again(go: Go, rows: Path) -> None:
    """A row whose gradients are not finite, in each epoch."""
    rows.write_text(ROWS + "1e300,1\n", encoding="utf-8")
    spec = SPEC.replace("epochs: 8", "epochs: 8, non_finite: skip").replace(", transforms: {number: standardize}", "")
    gone = go(spec, "model=[{Linear: 4}, {Linear: 1}]", "data.split={}", "metrics=[]", "callbacks=[]")
    assert gone.outcome.status == "FINISHED", gone.outcome.error
    assert any("left out" in line for line in gone.said)
    verified = verify(gone.folder)
    assert (verified.is_equal, verified.epochs) == (True, 8)


def test_a_run_that_failed_is_replayed_to_where_it_failed(go: Go) -> None:
    gone = go(SPEC, "optimizer={SGD: {lr: 1e30}}", "model=[{Linear: 1}]")
    assert gone.outcome.status == "FAILED"
    verified = verify(gone.folder)
    assert verified.is_equal
    assert verified.epochs == max(recorded_run(gone.folder).values["train/loss"])


def test_a_journal_that_tells_nothing_or_too_much(go: Go) -> None:
    """No losses, a damaged line, tags of anybody's: said, and nothing is believed that cannot be."""
    folder = go(SPEC).folder
    whole = (folder / FILE).read_bytes()
    rewrite(folder, lambda event: iter([]) if isinstance(event, SeriesPoints) else None)
    with pytest.raises(RunError, match="tells no loss of an epoch"):
        verify(folder)
    (folder / FILE).write_bytes(whole.replace(b'"val/loss"', b'"val/lost"', 1))
    damaged = verify(folder)
    assert damaged.is_equal
    assert "is damaged" in damaged.notes[0]
    hostile = {
        "annpipe.threads": "9" * 400,
        "annpipe.gear": "x\n",
        "annpipe.shifts": f"step {'9' * 18}: eager → x in 1",
    }
    (folder / FILE).write_bytes(whole + lines.dump(to_data(TagsSet(tags=hostile))))
    assert verify(folder).is_equal
    (folder / "environment.txt").unlink()
    (folder / "environment.txt").symlink_to("plan.yaml")
    assert recorded_run(folder).environment == {}


def test_a_sweep_and_a_run_of_others_are_refused(go: Go, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = go(SPEC).folder

    def change(event: Event) -> Iterator[Event] | None:
        return (
            iter([RunBegun(id=event.id, name="x", tags={"annpipe.sweep": "true"})])
            if isinstance(event, RunBegun)
            else None
        )

    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
        with pytest.raises(NotTrusted):
            verify(folder)
    rewrite(folder, change)
    with pytest.raises(NotFound, match="is a sweep, which trains nothing itself"):
        verify(folder, trust=True)
