"""A run that shifted to compiled steps is replayed with a shift at the same step."""

from __future__ import annotations

import pytest

from annpipe.observer import Observer
from annpipe.runs.recorded import recorded_run
from annpipe.runs.verify import verify_run
from annpipe.train.gears.compiled import gearbox
from tests.train.gears.stacks import SPEC
from tests.training import Go


class Heard(Observer):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, message: str) -> None:
        self.messages.append(message)


@pytest.mark.parametrize("how", ["on", "auto"])
@pytest.mark.usefixtures("uncompiled")
def test_a_replay_shifts_where_the_run_did(how: str, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the run measured its steps first, which a replay does not: its clock would say another step."""
    with monkeypatch.context() as patch:
        patch.setattr(gearbox, "MEASURE_SECONDS", 0.005)
        patch.setattr(gearbox, "SHORT_SECONDS", 0.0)
        patch.setattr(gearbox, "is_worth", lambda *given: True)
        gone = go(SPEC.replace("threads: 1,", f"threads: 1, compile: {how},"), "train.epochs=60")
    assert gone.outcome.status == "FINISHED", gone.outcome.error
    run, heard = recorded_run(gone.folder), Heard()
    assert run.gear == "compiled"
    assert run.shifted_at is not None
    assert (run.shifted_at == 1) is (how == "on")
    verified = verify_run(gone.folder, heard)
    assert (verified.is_equal, verified.tolerance, verified.gears) == (True, 0.0, ("compiled", "compiled"))
    assert any(f"at step {run.shifted_at}:" in message for message in heard.messages)


def test_a_replay_that_cannot_compile_says_why_bits_may_differ(
    uncompiled: list[object], go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = go(SPEC.replace("threads: 1,", "threads: 1, compile: on,"))
    monkeypatch.setattr(gearbox, "why_not_compiled", lambda *given: "there is no compiler")
    verified = verify_run(gone.folder, Heard())
    assert verified.gears == ("compiled", "eager")
    assert "which could not be made here" in verified.notes[0]
