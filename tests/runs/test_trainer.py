"""Where a run has its parts, gear and threads from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.observer import SILENT
from annpipe.plan.plan import Plan
from annpipe.runs import trainer
from annpipe.runs.trainer import MemberTrainer, SoloTrainer, TrainerParts
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import Shifting
from tests.train.gears.stacks import SPEC
from tests.training import Planned

CPU = torch.device("cpu")


def prepared(made: SoloTrainer | MemberTrainer, plan: Plan) -> TrainerParts:
    with computing("float64", deterministic=False):
        return made.prepare(plan, CPU, torch.float64, SILENT, lambda shift: None)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Measuring takes three steps, and finds that two threads are fastest; the losses of the steps are counted."""
    counted = list[int]()

    def measure(advance: Callable[[int], list[float]]) -> tuple[int, None]:
        counted.append(len(advance(3)))
        torch.set_num_threads(2)
        return 2, None

    monkeypatch.setattr(trainer, "measured_threads", measure)
    return counted


@pytest.mark.parametrize(("compile_", "kind"), [("off", Eager), ("auto", Shifting)])
def test_a_run_has_the_gear_of_its_plan(compile_: str, kind: type, planned: Planned) -> None:
    """And a schedule of the rows that it has: batches of 8, 8, 8 and 5."""
    made = prepared(SoloTrainer(), planned(SPEC, f"device.compile={compile_}"))
    assert type(made.gear) is kind
    assert (made.schedule.steps_per_epoch, made.schedule.total_steps) == (4, 200)
    assert made.gear.step == 0


@pytest.mark.parametrize(
    ("device", "own", "threads"),
    [
        ("{threads: 3}", None, 3),
        ("{threads: 3}", 2, 2),
        ("{threads: auto}", 4, 4),
        ("{threads: auto, deterministic: true}", None, 1),
    ],
    ids=["of the plan", "as before the interruption", "measured before", "deterministic"],
)
@pytest.mark.usefixtures("measured")
def test_threads_that_are_known(device: str, own: int | None, threads: int, planned: Planned) -> None:
    """Torch computes with them; nothing is measured."""
    made = prepared(SoloTrainer(own), planned(SPEC, f"device={device}"))
    assert (made.threads, torch.get_num_threads()) == (threads, threads)


def test_threads_are_measured_on_a_copy(measured: list[int], planned: Planned) -> None:
    """The steps that are taken for it change nothing of the run."""
    plan = planned(SPEC, "device={threads: auto}")
    made = prepared(SoloTrainer(), plan)
    assert (measured, made.threads, torch.get_num_threads()) == ([3], 2, 2)
    fresh = prepared(SoloTrainer(1), plan)
    assert measured == [3]
    assert all(map(torch.equal, made.parts.parameters, fresh.parts.parameters))
    assert not made.parts.optimizer.state
    assert made.gear.step == 0


def test_a_member_of_a_stack_has_what_was_made_for_it(planned: Planned) -> None:
    """The threads are set in the thread that takes the steps."""
    plan = planned(SPEC, "device={threads: 2}")
    made = prepared(SoloTrainer(), plan)
    torch.set_num_threads(1)
    assert prepared(MemberTrainer(made), plan) is made
    assert torch.get_num_threads() == 2
    assert (SoloTrainer.gear_name, MemberTrainer.gear_name) == ("eager", "stacked")
