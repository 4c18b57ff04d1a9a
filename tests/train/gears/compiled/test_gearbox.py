"""When a run shifts to compiled steps, and what of that a checkpoint keeps."""

from __future__ import annotations

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled import gearbox
from annpipe.train.gears.compiled.gearbox import Gearbox, Shift, is_off
from annpipe.train.gears.compiled.verify import Candidate, Compiled, NotCompiled
from annpipe.train.gears.compiled.worth import CompileRecord, recall
from tests.train.gears.shifts import shifting
from tests.train.gears.stacks import SPEC, built
from tests.training import Planned


@pytest.mark.usefixtures("uncompiled")
def test_auto_shifts_when_what_is_known_says_that_it_pays(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where the gain over the steps that are left is less than the compiling."""
    monkeypatch.setattr(gearbox, "MEASURE_SECONDS", 0.0)
    monkeypatch.setattr(gearbox, "SHORT_SECONDS", 0.0)
    for known, gears in ((CompileRecord(1e-9, 1.0, 0.5), ["compiled"]), (CompileRecord(1e9, 1.0, 0.5), []), (None, [])):
        monkeypatch.setattr(gearbox, "recall", lambda key, known=known: known)
        told = list[Shift]()
        with computing("float64", deterministic=False):
            gear = shifting(planned(SPEC), told)
            for n in (1, 2, 3, 3):
                gear.advance(n)
        assert [one.tags["annpipe.gear"] for one in told] == gears


@pytest.mark.parametrize(
    ("device", "off"),
    [
        ("{compile: off}", True),
        ("{compile: off, deterministic: true}", True),
        ("{compile: auto}", False),
        ("{compile: auto, deterministic: true}", True),
        ("{compile: on, deterministic: true}", False),
    ],
)
def test_off_is_asked_for_or_follows_from_deterministic(device: str, off: bool, planned: Planned) -> None:
    """`on` is stronger than `deterministic`."""
    assert is_off(planned(SPEC, f"device={device}")) == off


def box_of(planned: Planned, shifts: list[Shift], *overrides: str) -> Gearbox:
    with computing("float64", deterministic=False):
        run = built(planned(SPEC, *overrides))
    return Gearbox(run.plan, [run.parts], run.schedule, shifts.append, "of a stack, ")


ON = "device.compile=on"


@pytest.mark.parametrize("override", [ON, "device.compile=off", "device.compile=auto"])
def test_the_first_step_is_always_eager(override: str, planned: Planned) -> None:
    """It makes the optimizer's state; then `on` shifts at once, and `auto` not before it has measured."""
    box = box_of(planned, [], override)
    assert not box.wants_to_shift(0)
    assert box.wants_to_shift(1) == (override == ON)


@pytest.mark.parametrize(
    ("noted", "asks"),
    [
        ([(9.0, 1)], False),
        ([(9.0, 1), (0.5, 5)], False),
        ([(0.5, 1), (0.5, 5), (0.5, 5)], True),
        ([(0.001, 1), (1.0, 1000)], False),
    ],
    ids=["the first call is no measure", "too short", "long enough", "over too soon"],
)
def test_auto_asks_after_a_second_of_steps(
    noted: list[tuple[float, int]], asks: bool, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 200 steps are left: with 0.1 s each, it is worth asking what is known; with 1 ms it is not."""
    asked = list[float]()
    monkeypatch.setattr(gearbox, "is_worth", lambda seconds, *_: bool(asked.append(seconds)))
    box = box_of(planned, [])
    for seconds, n_steps in noted:
        box.note(seconds, n_steps)
    assert not box.wants_to_shift(10)
    assert asked == ([0.1] if asks else [])
    assert not box.wants_to_shift(11)  # it asks once
    assert len(asked) == asks


def test_the_steps_left_are_those_that_the_seconds_allow(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """`train.max_seconds` may end a run before its last step."""
    left = list[int]()
    monkeypatch.setattr(gearbox, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(gearbox, "is_worth", lambda seconds, n_left, *_: bool(left.append(n_left)))
    for override in ("train.max_seconds=null", "train.max_seconds=5"):
        box = box_of(planned, [], override)
        box.note(0.0, 1)
        box.note(2.0, 20)
        box.wants_to_shift(21)
    assert left == [50 * 4 - 21, 50]


def candidate() -> Candidate:
    """Of nothing: what compiles it here asks it for nothing."""
    return Candidate([], [], [], None, 3, None)  # type: ignore[arg-type]  # as it says


def test_a_shift_is_recorded_and_remembered(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its threads and times, in tags and in what a later run is told; blocks begin where groups do."""
    made = Compiled(lambda *_: torch.zeros(()), 1, CompileRecord(2.5, 0.004, 0.001))
    monkeypatch.setattr(gearbox, "compile_checked", lambda *_, **how: made)
    shifts = list[Shift]()
    box = box_of(planned, shifts, ON)
    assert not box.begins_block(4, 10)
    box.shift(1, candidate())
    (shift,) = shifts
    assert shift.message == "compiled the step in 2.5 s at step 1: 4 → 1 ms a step"
    assert shift.tags == {
        "annpipe.gear": "of a stack, compiled",
        "annpipe.threads": "1",
        "annpipe.shifts": "step 1: eager → compiled in 2.5 s, 4 → 1 ms a step",
    }
    assert recall(box._key(1)) == made.known
    assert [step for step in range(8) if box.begins_block(step, 10)] == [0, 4]  # epochs of 8, 8, 8 and 5 rows
    assert not box.begins_block(4, 2)
    assert (box.pause_after(4, 1), box.pause_after(3, 1)) == (3, 1)


def test_a_refusal_is_recorded_and_remembered(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later run of this shape does not try again; this one is asked no more."""

    def refuse(*_: object, **how: bool) -> Compiled:
        raise NotCompiled("no compiler")

    monkeypatch.setattr(gearbox, "compile_checked", refuse)
    shifts = list[Shift]()
    box = box_of(planned, shifts, ON)
    box.shift(1, candidate())
    message = "warning: the run stays with the eager gear, its step is not compiled: no compiler"
    assert shifts == [Shift(message, {"annpipe.shifts": "step 1: no compiler"})]
    assert recall(box._key(1)) == CompileRecord(0.0, refused="no compiler")
    assert box.compiled is None
    assert not box.wants_to_shift(2)


def test_a_run_that_had_shifted_shifts_again(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the threads of before and whatever it gains; one that was refused stays eager."""
    asked = list[tuple[list[int], bool]]()

    def compiled(candidate: Candidate, kind: object, threads: list[int], *, needs_gain: bool) -> Compiled:
        asked.append((threads, needs_gain))
        return Compiled(lambda *_: torch.zeros(()), 2, CompileRecord(2.5, 0.004, 0.001))

    monkeypatch.setattr(gearbox, "compile_checked", compiled)
    first, resumed, fresh = (box_of(planned, []) for _ in range(3))
    first.shift(1, candidate())
    resumed.load_state(first.state())
    assert resumed.wants_to_shift(40)
    assert resumed.pause_after(41, 1) == 2  # to the end of the group that it will be in
    resumed.shift(40, candidate())
    assert asked == [([1], True), ([2], False)]
    assert resumed.state()["shifted_at"] == 1
    fresh.load_state({"is_decided": True, "shifted_at": None, "threads": None, "shifts": ["step 1: refused"]})
    assert not fresh.wants_to_shift(40)
    assert fresh.state()["shifts"] == ["step 1: refused"]
    fresh.load_state({})
    assert fresh.state() == {"is_decided": False, "shifted_at": None, "threads": None, "shifts": []}
