"""`annpipe verify RUN`: the exit code says whether the losses agree, the text where they part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.record.journal.summary import is_sweep
from tests.conftest import CliHere, unrecorded

SPEC = """
version: 1
name: line
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [1, 3, 5, 6]}}}
model: [{Linear: 4}, Tanh, {Linear: 1}]
loss: MSELoss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 6}
plots: []
"""


@pytest.fixture
def typed(tmp_path: Path, annpipe_here: CliHere) -> CliHere:
    """`annpipe …` in a project with a spec; nobody ships its runs."""
    (tmp_path / "line.yaml").write_text(SPEC, encoding="utf-8")

    def call(*words: str | Path) -> tuple[int, str, str]:
        with unrecorded():
            return annpipe_here(*words)

    return call


def test_a_run_that_comes_out_again(typed: CliHere) -> None:
    assert typed("run", "line.yaml")[0] == 0
    code, printed, _ = typed("verify", "--last")
    assert (code, printed.splitlines()[0].split()[0]) == (0, "EQUAL")
    assert "6 of train/loss agree bit for bit" in printed
    assert "environment  as it was recorded" in printed
    facts = json.loads(typed("verify", "line", "--epochs", "2", "--json")[1])
    assert (facts["equal"], facts["epochs"], facts["parts"], facts["environment"]) == (True, 2, None, [])


def test_a_run_that_does_not(typed: CliHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another plan: it is named, and the replay shows the first number that it makes."""
    assert typed("run", "line.yaml")[0] == 0
    plan = next(Path("runs").iterdir()) / "plan.yaml"
    plan.write_text(plan.read_text(encoding="utf-8").replace("lr: 0.05", "lr: 0.04"), encoding="utf-8")
    assert typed("verify", "line")[0] == 2  # the plan is not the one that was sealed
    code, printed, _ = typed("verify", "line", "--trust")
    assert (code, printed.split()[:2]) == (1, ["NOT", "EQUAL"])
    assert "train/loss at epoch 2, by step 2: recorded " in printed
    assert "the plan  recorded " in printed
    facts = json.loads(typed("verify", "line", "--json")[1])
    assert facts["parts"]["recorded"] != facts["parts"]["replayed"]
    assert facts["compared"] == {"train/loss": 1}


@pytest.mark.parametrize("words", [(), ("line", "--last"), ("line", "--steps", "1", "--epochs", "1"), ("nothing",)])
def test_what_names_no_run_is_wrong_usage(typed: CliHere, words: tuple[str, ...]) -> None:
    assert typed("verify", *words)[0] == 2


@pytest.mark.slow
def test_trials_of_a_sweep_that_were_trained_as_one(typed: CliHere) -> None:
    """In a stack, replayed alone: to a tolerance that is told. The sweep itself trains nothing."""
    assert typed("sweep", "line.yaml", "--over", "optimizer.Adam.lr=0.01,0.05")[0] == 0
    runs = sorted(Path("runs").iterdir())
    trials = [run for run in runs if not is_sweep(run)]
    assert len(trials) == 2
    for trial in trials:
        code, printed, error = typed("verify", trial.name, "--json")
        assert code == 0, error
        facts = json.loads(printed)
        assert facts["epochs"] == 6
        assert facts["environment"] == []
        stacked = facts["gear"]["recorded"] != "eager"
        assert (facts["tolerance"] > 0) is stacked
        assert facts["largest_difference"] <= replay_tolerance(stacked)
    assert typed("verify", next(run for run in runs if is_sweep(run)).name)[0] == 2


def replay_tolerance(stacked: bool) -> float:
    """What a value may differ by."""
    return 1e-3 if stacked else 0.0
