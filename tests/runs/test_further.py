"""A run that is trained further is the run of that length: bit for bit where nothing depends on the length."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from annpipe.errors import LengthError
from annpipe.record.journal import journal
from annpipe.record.journal.events import LengthChanged, ParamsSet, RunBegun, TagsSet
from annpipe.record.journal.seal import PLAN, is_own
from annpipe.runs.launch import Finished, go_on, plan_of
from annpipe.runs.run import Run
from annpipe.runs.trained import run_facts_of, trained_run
from annpipe.train.loop.checkpoint import load_checkpoint
from tests.conftest import unrecorded
from tests.training import Go, KeepingObserver

HEAD = """
version: 1
name: further
seed: 9
device: {type: cpu, threads: 1, compile: off}
data:
  formula:
    rows: 60
    inputs: {x: {Uniform: [-1, 1]}}
    targets: {y: sin(5*x)}
    noise: {y: {Normal: [0, 0.1]}}
  split: {val: 0.2}
loss: MSELoss
"""
PLAIN = "model: [Linear: 8, Tanh, Linear: 1]\n"
RICH = "model: [Linear: 8, BatchNorm1d, Tanh, Dropout: 0.1, Linear: 1]\n"


def further(folder: Path, **length: int) -> tuple[Finished, list[str]]:
    """The run in `folder` trained to another length, and what it said."""
    observer = KeepingObserver()
    with unrecorded():
        return go_on(folder, observer, **length), observer.events


def series(folder: Path) -> dict[str, dict[int, float]]:
    """The points of a run but for its single values, of which the last counts."""
    found: dict[str, dict[int, float]] = {}
    for event in journal.read(folder):
        for key, step, value, _ in journal.points(event):
            is_single = key.partition("/")[0] in ("final", "best")
            assert is_single or step not in found.setdefault(key, {}), (key, step)
            found.setdefault(key, {})[0 if is_single else step] = value
    return found


def hold_as_one(longer: Path, whole: Path) -> None:
    """The same weights to the bit, and the same record."""
    assert (longer / "model/weights.safetensors").read_bytes() == (whole / "model/weights.safetensors").read_bytes()
    assert series(longer) == series(whole)
    assert (longer / "plan.yaml").read_text() == (whole / "plan.yaml").read_text()
    one, other = (load_checkpoint(folder, "last") for folder in (longer, whole))
    assert one["facts"] == other["facts"]
    assert {**one["memory"], "seconds": 0} == {**other["memory"], "seconds": 0}


BY_EPOCHS = {
    "batches": RICH + "optimizer: {AdamW: {lr: 2.0e-3}}\ntrain: {epochs: 12, batch_size: 11}\nmetrics: [R2Score]\n",
    "a schedule of its own length": RICH
    + "optimizer: {SGD: {lr: 0.1, momentum: 0.9}}\nscheduler: {StepLR: {step_size: 5, gamma: 0.5}}\n"
    "train: {epochs: 12, batch_size: 20, clip_norm: 1.0}\n",
    "a schedule that follows a metric": PLAIN
    + "optimizer: {Adam: {lr: 0.1}}\nscheduler: {ReduceLROnPlateau: {patience: 1}}\ntrain: {epochs: 12}\n",
    "a cosine whose length the spec says": PLAIN
    + "optimizer: {Adam: {lr: 0.1}}\nscheduler: {CosineAnnealingLR: {T_max: 6}}\ntrain: {epochs: 12}\n",
    "a warm-up of a length of its own": PLAIN
    + "optimizer: {Adam: {lr: 0.1}}\nscheduler: {LinearLR: {total_iters: 4}}\ntrain: {epochs: 12}\n",
    "an average": RICH + "optimizer: {Adam: {lr: 0.1}}\naverage: {EMA: {decay: 0.5}}\ntrain: {epochs: 12}\n",
    "callbacks with a memory": PLAIN + "optimizer: {LBFGS: {max_iter: 2}}\ntrain: {epochs: 12}\n"
    "callbacks: [early_stopping: {patience: 50}, checkpoint: {every: 4}]\n",
}


@pytest.mark.parametrize("name", BY_EPOCHS)
def test_a_finished_run_goes_on_to_the_run_of_the_longer_length(name: str, go: Go) -> None:
    """All that the last checkpoint keeps is what the next step depends on; nothing is said to differ."""
    spec = HEAD + BY_EPOCHS[name]
    short = go(spec, "train.epochs=6").folder
    finished, said = further(short, epochs=12)
    assert finished.status == "FINISHED", finished.outcome.error
    assert said == [line for line in said if not line.startswith("warning: ")]
    hold_as_one(short, go(spec).folder)


def test_a_run_that_counts_steps_goes_on_within_an_epoch(go: Go) -> None:
    """Its weights are those of the longer run; the epoch that was cut is told once, and a warning says so."""
    spec = HEAD.replace("split: {val: 0.2}", "") + PLAIN + "optimizer: {Adam: {lr: 0.01}}\n"
    spec += "train: {steps: 14, batch_size: 15}\n"
    short = go(spec, "train.steps=6").folder
    finished, said = further(short, steps=14)
    whole = go(spec).folder
    assert finished.status == "FINISHED"
    assert (short / "model/weights.safetensors").read_bytes() == (whole / "model/weights.safetensors").read_bytes()
    assert said == ["warning: epoch 2 was cut at step 6: its points in the record stay those of its first steps"]
    mine, theirs = series(short)["train/loss"], series(whole)["train/loss"]
    assert {step for step in theirs if mine[step] != theirs[step]} == {2}


def test_a_stopped_run_goes_on_to_another_length_and_a_longer_one_twice(go: Go, fit: Any) -> None:
    """What was asked twice is asked of the run as it is then; each time its plan and seal are the new ones."""
    spec = HEAD + BY_EPOCHS["batches"]
    folder = go(spec, "train.epochs=3").folder
    begun = journal.run_begun(folder)
    for epochs in (7, 12):
        assert further(folder, epochs=epochs)[0].status == "FINISHED"
        assert plan_of(folder, KeepingObserver()).train.epochs == epochs
        assert is_own(folder, PLAN)
        assert is_own(folder, "model")
        with trained_run(folder) as run:
            assert run.plan.digest == run_facts_of(folder)["plan"]
    hold_as_one(folder, go(spec).folder)
    events = list(journal.read(folder))
    lengths = [(e.before, e.epochs, e.steps, e.step) for e in events if isinstance(e, LengthChanged)]
    assert lengths == [(3, 7, None, 15), (7, 12, None, 35)]
    params = [event.params for event in events if isinstance(event, ParamsSet)]
    assert params == [{"train.epochs.extended": "7"}, {"train.epochs.extended_2": "12"}]
    tags = [event.tags for event in events if isinstance(event, TagsSet) and "annpipe.length" in event.tags]
    assert [tag["annpipe.length"] for tag in tags] == ["7 epochs, 3 epochs before", "12 epochs, 7 epochs before"]
    assert tags[-1]["annpipe.plan"] == plan_of(folder, KeepingObserver()).digest
    assert [event for event in events if isinstance(event, RunBegun)] == [begun]


def test_a_killed_run_gets_no_length_that_its_record_is_beyond(go: Go) -> None:
    """The journal may know epochs that no checkpoint does."""
    folder = go(HEAD + PLAIN + "optimizer: {SGD: {lr: 0.1}}\ntrain: {epochs: 4}\n").folder
    written = journal.Journal.reopen(folder)
    written.series("train/loss", 5, [1.0, 1.0, 1.0], 0, 1)
    written.close()
    with pytest.raises(LengthError, match="trained for 7 epochs already, and is asked for 6 epochs in all"):
        further(folder, epochs=6)
    assert further(folder, epochs=8)[0].status == "FINISHED"


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("at", ["journal", "plan", "first step"])
def test_a_kill_at_any_moment_of_the_change_is_gone_on_from(at: str, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed once the journal knows the new length, once plan.yaml is there, and before a checkpoint was made."""
    spec = HEAD + PLAIN + "optimizer: {Adam: {lr: 0.1}}\nscheduler: CosineAnnealingLR\ntrain: {epochs: 8}\n"
    left, other = (go(spec, "train.epochs=4").folder for _ in range(2))
    further(other, epochs=8)

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    def gone(run: Run, _: BaseException) -> None:
        run.journal.close()  # as the system does
        raise Killed

    with monkeypatch.context() as patch:
        target = {"journal": (Run, "keep_artifact"), "plan": ("annpipe.runs.run.seal_plan",)}
        step = ("annpipe.train.loop.loop.Loop.run",)
        patch.setattr(*target.get(at, step), killed)
        patch.setattr(Run, "_failed", gone)
        with pytest.raises(Killed):
            further(left, epochs=8)
    assert journal.status(left) == "KILLED"
    finished, _ = further(left) if at != "plan" else further_trusted(left)
    assert finished.status == "FINISHED"
    hold_as_one(left, other)
    assert [event.total for event in journal.read(left) if isinstance(event, LengthChanged)] == [8]


def further_trusted(folder: Path) -> tuple[Finished, list[str]]:
    """The kill came between plan.yaml and its seal."""
    with unrecorded():
        return go_on(folder, KeepingObserver(), trust=True), []


def test_a_schedule_as_long_as_the_run_has_the_rates_of_the_new_length_from_there_on(go: Go) -> None:
    """Cosine, at epoch e of n: (1 + cos(πe/n)) / 2 of the first rate; the warning has the rate and the epoch."""
    spec = HEAD + PLAIN + "optimizer: {SGD: {lr: 0.1}}\nscheduler: CosineAnnealingLR\ntrain: {epochs: 4}\n"
    folder = go(spec).folder
    _, said = further(folder, epochs=10)
    rates = series(folder)["lr"]
    for epoch in (6, 8, 10):
        assert rates[epoch] == pytest.approx(0.1 * (1 + math.cos(math.pi * (epoch - 1) / 10)) / 2)
    assert rates[2] == pytest.approx(0.1 * (1 + math.cos(math.pi / 4)) / 2)
    (warning,) = said
    assert "CosineAnnealingLR is as long as the run: it went over 4 epochs until here, and from epoch 5 on" in warning
    assert "10 epochs (lr 0.06545)" in warning
    assert plan_of(folder, KeepingObserver()).scheduler.options["T_max"] == 10


@pytest.mark.parametrize(
    ("scheduler", "train"),
    [
        ("OneCycleLR: {max_lr: 0.2}", "{epochs: 8, batch_size: 20, scheduler_each: step}"),
        ("SequentialLR: {milestones: [2], schedulers: [LinearLR: {total_iters: 2}, CosineAnnealingLR]}", "{epochs: 8}"),
        ("PolynomialLR: {power: 2}", "{epochs: 8}"),
    ],
)
def test_each_schedule_of_the_length_of_the_run_stands_where_the_longer_one_stands(
    scheduler: str, train: str, go: Go
) -> None:
    """Its state and the rates at the end are those of the run that was as long from the start."""
    spec = f"{HEAD}{PLAIN}optimizer: {{SGD: {{lr: 0.1, momentum: 0.9}}}}\nscheduler: {{{scheduler}}}\ntrain: {train}\n"
    folder = go(spec, "train.epochs=4").folder
    further(folder, epochs=8)
    mine, theirs = (load_checkpoint(path, "last")["gear"] for path in (folder, go(spec).folder))
    assert mine["optimizer"]["param_groups"] == theirs["optimizer"]["param_groups"]
    assert mine["rates"] == theirs["rates"]


def test_a_length_that_the_spec_says_of_its_schedule_stays(go: Go) -> None:
    """T_max: 6 in a run of 6 epochs is no accident of the length: the longer run has it as well."""
    spec = HEAD + BY_EPOCHS["a cosine whose length the spec says"]
    folder = go(spec, "train.epochs=6").folder
    further(folder, epochs=12)
    assert plan_of(folder, KeepingObserver()).scheduler.options["T_max"] == 6


def test_an_average_that_would_not_have_begun_begins_again(go: Go) -> None:
    """SWA from 75 % of the run on: after 4 of 4 epochs it had begun, after 4 of 12 it had not."""
    spec = HEAD + RICH + "optimizer: {Adam: {lr: 0.1}}\naverage: SWA\ntrain: {epochs: 12}\n"
    folder = go(spec, "train.epochs=4").folder
    _, said = further(folder, epochs=12)
    whole = go(spec).folder
    mine, theirs = (load_file(path / "model/weights.safetensors") for path in (folder, whole))
    assert all(bool((mine[name] == theirs[name]).all()) for name in theirs)
    assert said == ["warning: SWA begins again at step 10; what was measured from step 4 on was that of the average"]
    near = go(spec, "train.epochs=10").folder
    (note,) = further(near, epochs=12)[1]
    assert note == "warning: SWA holds parameters of steps before 10, where that of a run of this length would begin"


def test_a_run_that_its_early_stopping_ended_goes_on_with_new_patience(go: Go) -> None:
    """What ended it would have ended the longer run: the warning says so, and the run trains on."""
    spec = HEAD + PLAIN + "optimizer: {SGD: {lr: 1.0e-9}}\ntrain: {epochs: 30}\n"
    spec += "callbacks: [early_stopping: {patience: 3, min_delta: 1}]\n"
    folder = go(spec).folder
    assert max(series(folder)["train/loss"]) == 4
    finished, said = further(folder, epochs=30)
    assert finished.status == "FINISHED"
    assert max(series(folder)["train/loss"]) == 7
    assert any("what ended it begins anew" in line and "stopped after epoch 4" in line for line in said)


def test_a_look_that_only_the_end_made_is_told(go: Go) -> None:
    """Every 4 epochs and at the last: at 6 the longer run has none."""
    spec = HEAD + PLAIN + "optimizer: {SGD: {lr: 0.1}}\ntrain: {epochs: 6, evaluate_every: 4}\n"
    _, said = further(go(spec).folder, epochs=12)
    assert said == [
        "warning: step 6 ended with a look, which callbacks and a scheduler that follows a metric have seen"
    ]


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ({"epochs": 6}, "the run has been trained for 6 epochs already, and is asked for 6 epochs in all"),
        ({"epochs": 2}, "the run has been trained for 6 epochs already, and is asked for 2 epochs in all"),
        ({"steps": 20}, "counts its length in epochs: give --epochs in place of --steps"),
    ],
)
def test_a_length_that_it_has_already_is_refused_and_leaves_the_run_as_it_was(
    length: dict[str, int], message: str, go: Go
) -> None:
    """Exit code 3; not a byte of journal, plan and seal changes."""
    folder = go(HEAD + PLAIN + "optimizer: {SGD: {lr: 0.1}}\ntrain: {epochs: 6}\n").folder
    before = {name: (folder / name).read_bytes() for name in ("journal.jsonl", "plan.yaml", "seal.jsonl")}
    with pytest.raises(LengthError, match=message):
        further(folder, **length)
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert LengthError.exit_code == 3
