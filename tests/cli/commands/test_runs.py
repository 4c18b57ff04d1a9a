"""`annpipe runs`: true status, without MLflow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annpipe.cli.commands.runs import command
from annpipe.record.journal.events import RunBegun, RunEnded
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.state import Shipped, write_state

BEGAN = 1_700_000_000_000


def begin(project: Path, name: str, time: int = BEGAN) -> tuple[Path, Journal]:
    """A run that trains."""
    folder = new_run_folder(project, name)
    journal = Journal.create(folder)
    journal.write(RunBegun(id=folder.name, name=name, time=time))
    return folder, journal


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is the project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(*arguments: str) -> Result:
    """Calls the command."""
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result


def test_every_run_has_its_true_status(project: Path) -> None:
    """Live, finished, failed and killed runs are told apart; the final loss beats the last one of the series."""
    _, live = begin(project, "live", BEGAN + 3)
    folder, finished = begin(project, "finished", BEGAN)
    finished.series("train/loss", 1, [3.0, 2.0], BEGAN, BEGAN + 2)
    finished.metrics(2, {"final/train/loss": 1.5, "best/train/loss": 1.0}, BEGAN + 2)
    finished.write(RunEnded(status="FINISHED", time=BEGAN + 90_000, error=None))
    finished.close()
    write_state(folder, Shipped(store="x", run_id="r", offset=(folder / "journal.jsonl").stat().st_size, complete=True))
    _, killed = begin(project, "killed", BEGAN + 2)
    killed.series("train/loss", 1, [3.0, 2.5], BEGAN, BEGAN + 2)
    killed.close()
    _, failed = begin(project, "failed", BEGAN + 1)
    failed.metrics(1, {"train/loss": math.nan}, BEGAN)
    failed.write(RunEnded(status="FAILED", time=BEGAN + 500, error="nan"))
    failed.close()
    result = runs()
    live.close()
    table = [line.split() for line in result.stdout.splitlines()]
    assert table[0][:3] == ["RUN", "NAME", "STATUS"]
    assert [row[1:3] for row in table[1:]] == [
        ["finished", "FINISHED"],
        ["failed", "FAILED"],
        ["killed", "KILLED"],
        ["live", "RUNNING"],
    ]
    assert result.stdout.splitlines()[1].split()[5:-1] == ["1", "min", "30", "s", "1.5"]
    assert result.stdout.splitlines()[1].endswith("shipped")
    assert [line.rstrip().endswith("not shipped") for line in result.stdout.splitlines()[2:]] == [True, True, False]
    assert "2 are not shipped: `annpipe sync`" in result.stderr


def test_a_program_may_read_it(project: Path) -> None:
    """Strict JSON, also of a loss that is no number."""
    folder, journal = begin(project, "failed")
    journal.series("train/loss", 1, [1.0, math.inf], BEGAN, BEGAN + 2)
    journal.close()
    (found,) = json.loads(runs("--json").stdout)
    assert (found["id"], found["status"], found["train_loss"], found["is_recorded"]) == (
        folder.name,
        "KILLED",
        "inf",
        False,
    )


def test_a_project_without_runs_says_so(project: Path) -> None:
    """Nothing on stdout, a remedy on stderr."""
    result = runs()
    assert result.stdout == ""
    assert "annpipe run SPEC" in result.stderr
    assert runs("--json").stdout.strip() == "[]"


def test_neither_mlflow_nor_torch_is_imported(project: Path) -> None:
    """A list of runs is there at once."""
    _, journal = begin(project, "quadratic")
    journal.close()
    code = (
        "import sys\nfrom annpipe.cli.commands.runs import command\ncommand([], standalone_mode=False)\n"
        "print(sorted({'mlflow', 'torch', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout.splitlines()[-1] == "[]"
