"""What is tried before compiled steps are taken: why none can be, and whether those that were made are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled import verify
from annpipe.train.gears.compiled.kinds import COMPILED, GearKind
from annpipe.train.gears.compiled.steps import CallSteps, StepInputs, StepState, steps_of
from annpipe.train.gears.compiled.verify import Candidate, NotCompiled, compile_checked, option_table, why_not_compiled
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.stacked.state import StackedState
from tests.train.gears.stacks import SPEC, Built, built
from tests.training import Planned

ADAM = "optimizer={Adam: {lr: 0.01}}"


def test_another_device_says_why_it_has_no_such_steps(planned: Planned) -> None:
    """Here one without numbers stands for it."""
    run = _run(planned)
    rows = run.parts.rows["train"]
    elsewhere = replace(rows, x=rows.x.to("meta"), y=rows.y.to("meta"))
    parts = replace(run.parts, rows={**run.parts.rows, "train": elsewhere})
    assert why_not_compiled(run.plan, run.parts) is None
    assert why_not_compiled(run.plan, parts) == "a device other than the CPU and CUDA"


def _run(planned: Planned, *overrides: str) -> Built:
    with computing("float64", deterministic=False):
        return built(planned(SPEC, ADAM, *overrides))


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model=[Linear: 4, Dropout: 0.5, Linear: 1]", "Dropout, whose masks are drawn between the layers"),
        ("model=[Linear: 4, Dropout: 0, Linear: 1]", None),
        ("optimizer=Rprop", "the optimizer Rprop"),
        ("train.accumulate=2", "train.accumulate"),
        ("train.clip_value=1", "clipped gradients"),
        ("average=EMA", "the average EMA"),
    ],
)
def test_reasons_known_beforehand(override: str, reason: str | None, planned: Planned) -> None:
    """They are found without a compiler; Dropout that drops nothing is none."""
    run = _run(planned, override)
    assert why_not_compiled(run.plan, run.parts) == reason


def test_options_stand_by_name_and_member_in_double_precision() -> None:
    """One table for each parameter group; `betas` are two options."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(4)]
    optimizers = [
        torch.optim.Adam([{"params": [first]}, {"params": [second], "lr": lr * 10}], lr=lr, betas=(beta, 0.99))
        for first, second, lr, beta in ((*weights[:2], 0.1, 0.9), (*weights[2:], 0.2, 0.8))
    ]
    tables = option_table(optimizers, ("lr", "beta1", "beta2"))
    expected = ([[0.1, 0.2], [0.9, 0.8], [0.99, 0.99]], [[1.0, 2.0], [0.9, 0.8], [0.99, 0.99]])
    for table, numbers in zip(tables, expected, strict=True):
        assert torch.equal(table, torch.tensor(numbers, dtype=torch.float64))


@pytest.fixture
def candidate(planned: Planned) -> Candidate:
    """A run that has taken two steps, and would have two steps a call."""
    run = _run(planned)
    with computing("float64", deterministic=False):
        solo = Eager(run.plan, run.parts, run.schedule)
        solo.advance(2)
    solo.optimizer.param_groups[0]["lr"] = 0.003  # as a scheduler or a rollback leaves it

    def batch_at(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = solo.batches.at(index)
        return x.unsqueeze(0), y.unsqueeze(0)

    return Candidate([run.plan], [run.parts], [solo], run.schedule, 2, batch_at)


def test_trials_go_on_as_the_run_would_and_leave_it_alone(candidate: Candidate) -> None:
    """They have its parameters, its optimizer's state and options, and memory apart."""
    (solo,), (parts,) = candidate.solos, candidate.parts
    before = [parameter.detach().clone() for parameter in parts.parameters]
    (trial,) = candidate.trials()
    x, y = solo.batches.at(0)
    with computing("float64", deterministic=False):
        for _ in range(2):
            trial.take(x, y)
        assert all(map(torch.equal, parts.parameters, before))
        for _ in range(2):
            solo.take(x, y)
    assert trial.step == solo.step == 2
    assert all(map(torch.equal, trial.parts.parameters, parts.parameters))
    assert not torch.equal(parts.parameters[0], before[0])


def _kind(change: Any, calls: list[int]) -> GearKind:
    """Steps as they are written, whose losses and values `change` may spoil; the threads are noted."""

    def make(state: StackedState, n_steps: int, x: torch.Tensor, threads: int, is_full: bool) -> CallSteps:
        calls.append(threads)
        plain = steps_of(state, n_steps, x)

        def steps(now: StepState, inputs: StepInputs) -> torch.Tensor:
            rows_and_options = list(inputs.xs), list(inputs.ys), list(inputs.table)
            count = torch.tensor(float(inputs.step), dtype=torch.float64)
            with torch.no_grad():
                losses = plain(now.values, now.gradients, now.states, *rows_and_options, count)
                return change(threads, inputs.step, losses, now.values)

        return steps

    return replace(COMPILED, make=make)


def _right(threads: int, step: int, losses: torch.Tensor, values: list[torch.Tensor]) -> torch.Tensor:
    return losses


def _other_losses(threads: int, step: int, losses: torch.Tensor, values: list[torch.Tensor]) -> torch.Tensor:
    return losses * (1 + 1e-7)


def _other_values(threads: int, step: int, losses: torch.Tensor, values: list[torch.Tensor]) -> torch.Tensor:
    if step == 5:  # the last call of the check, after which no loss shows it
        values[0].add_(1e-5)
    return losses


def _wrong_with_two(threads: int, step: int, losses: torch.Tensor, values: list[torch.Tensor]) -> torch.Tensor:
    return losses * threads


def _raises(threads: int, step: int, losses: torch.Tensor, values: list[torch.Tensor]) -> torch.Tensor:
    raise ValueError("\n  no such instruction  \nsecond line")


@pytest.mark.parametrize(
    ("change", "reason", "tried"),
    [
        (_other_losses, "its losses are not those of the eager gear", [2, 1]),
        (_other_values, "its parameters are not those of the eager gear", [2, 1]),
        (_raises, "ValueError: no such instruction", [2]),
    ],
)
def test_steps_that_are_wrong_or_fail_are_refused(
    change: Any, reason: str, tried: list[int], candidate: Candidate
) -> None:
    """Another number of threads is tried after wrong steps, none after an error; torch's number comes back."""
    calls = list[int]()
    before = [parameter.detach().clone() for parameter in candidate.parts[0].parameters]
    with computing("float64", deterministic=False), pytest.raises(NotCompiled) as refused:
        compile_checked(candidate, _kind(change, calls), [2, 1])
    assert str(refused.value) == reason
    assert calls == tried
    assert torch.get_num_threads() == 1
    assert all(map(torch.equal, candidate.parts[0].parameters, before))


def test_the_first_number_of_threads_with_right_steps_is_taken(candidate: Candidate) -> None:
    """Torch computes with it from then on, and the run is where it was."""
    calls = list[int]()
    before = [parameter.detach().clone() for parameter in candidate.parts[0].parameters]
    with computing("float64", deterministic=False):
        compiled = compile_checked(candidate, _kind(_wrong_with_two, calls), [2, 1])
    assert (compiled.threads, calls, torch.get_num_threads()) == (1, [2, 1], 1)
    assert compiled.known.compile_seconds > 0
    assert all(map(torch.equal, candidate.parts[0].parameters, before))


def test_a_gain_is_needed_where_it_is_asked_for(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run, which had shifted before, shifts again without it."""
    monkeypatch.setattr(verify, "NEEDED_GAIN", float("inf"))
    with computing("float64", deterministic=False):
        with pytest.raises(NotCompiled, match="it is not faster with 1 threads: "):
            compile_checked(candidate, _kind(_right, []), [1])
        assert compile_checked(candidate, _kind(_right, []), [1], needs_gain=False).threads == 1
