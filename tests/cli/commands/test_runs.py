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
from annpipe.record.journal.events import RunBegun, RunEnded, TrialEnded
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


def ended(project: Path, name: str, values: dict[str, float], parent: str | None = None, **params: str) -> Path:
    """A run that finished with these final values; its largest of every metric but a loss is its best one."""
    folder = new_run_folder(project, name)
    journal = Journal.create(folder)
    journal.write(RunBegun(id=folder.name, name=name, time=BEGAN, parent=parent, params=params))
    for key, value in values.items():
        series = [value - 1, value] if not key.endswith("loss") else [value + 1, value]
        journal.series(key, 1, series, BEGAN, BEGAN + 2)
        journal.metrics(2, {f"best/{key}": value, f"final/{key}": value}, BEGAN + 2)
    journal.end("FINISHED")
    journal.close()
    return folder


def names(*arguments: str) -> list[str]:
    """The names of the runs that are listed, in their order."""
    return [run["name"] for run in json.loads(runs(*arguments, "--json").stdout)]


@pytest.fixture
def several(project: Path) -> Path:
    """Three runs and a sweep of two trials, which compares them by the rank of val."""
    ended(project, "only train", {"train/loss": 0.5})
    ended(project, "one", {"train/loss": 0.1, "val/loss": 0.4, "val/rank": 3.0})
    ended(project, "two", {"train/loss": 0.2, "val/loss": 0.3, "val/rank": 2.0})
    sweep = new_run_folder(project, "big sweep")
    journal = Journal.create(sweep)
    start = {"tags": {"annpipe.sweep": "true"}, "params": {"metric": "val/rank"}}
    journal.write(RunBegun(id=sweep.name, name="big sweep", time=BEGAN, **start))
    for number in (1.0, 5.0):
        trial = ended(project, f"lr {number:g}", {"val/loss": 1.0, "val/rank": number}, sweep.name)
        journal.write(TrialEnded(run=trial.name, time=BEGAN + 5))
    journal.metrics(0, {"best_trial/val/rank": 5.0}, BEGAN)
    journal.end("FINISHED")
    journal.close()
    return project


def test_a_run_is_judged_by_what_it_watches(several: Path) -> None:
    """The metric of a trial's sweep, else the loss of val, else that of train; a callback's metric before those."""
    found = {run["name"]: run for run in json.loads(runs("--json").stdout)}
    assert (found["only train"]["metric"], found["only train"]["value"]) == ("train/loss", 0.5)
    assert (found["one"]["metric"], found["one"]["value"]) == ("val/loss", 0.4)
    assert (found["lr 1"]["metric"], found["lr 1"]["value"]) == ("val/rank", 1.0)
    assert (found["big sweep"]["metric"], found["big sweep"]["value"]) == ("val/rank", 5.0)
    assert found["lr 1"]["sweep"] == found["big sweep"]["id"]
    ended(several, "stopped", {"val/loss": 1.0, "val/rank": 1.0}, **{"callbacks.0.early_stopping.monitor": "val/rank"})
    assert json.loads(runs("--json", "--filter", "name=stopped").stdout)[0]["metric"] == "val/rank"


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("val/loss", ["two", "one"], "only train"),
        ("val/rank", ["lr 5", "big sweep", "one", "two", "lr 1"], "only train"),
        ("name", ["big sweep", "lr 1"], "two"),
    ],
)
def test_the_best_run_stands_first_on_request(key: str, first: list[str], last: str, several: Path) -> None:
    """What is best, the runs tell themselves: no word says it of a rank. Runs without the metric are last."""
    found = names("--sort", key)
    assert sorted(found[: len(first)]) == sorted(first)
    assert found[-1] == last
    assert found.index("one") < found.index("two") or key == "val/loss"


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        (["name=lr*"], {"lr 1", "lr 5"}),
        (["name!=lr*"], {"only train", "one", "two", "big sweep"}),
        (["val/loss<0.4"], {"two"}),
        (["val/loss<=0.4", "train/loss<0.15"], {"one"}),
        (["status=finished", "metric >= 3"], {"lr 5", "big sweep"}),
        (["status=FAILED"], set()),
    ],
)
def test_runs_are_filtered(conditions: list[str], found: set[str], several: Path) -> None:
    """Several conditions hold together; a run without the metric is not listed."""
    assert set(names(*(word for each in conditions for word in ("--filter", each)))) == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", "val/loss"], "is no condition: write KEY=VALUE"),
        (["--filter", "name<3"], "name is a text: compare it by ="),
        (["--filter", "val/loss<low"], "is compared with a number; found 'low'"),
        (["--filter", "nmae=lr*"], "did you mean 'name'?"),
        (["--filter", "val/los<1"], "did you mean 'val/loss'"),
        (["--sort", "val/los"], "did you mean 'val/loss'"),
        (["--sweep", "one"], "is not a sweep; `annpipe runs` lists them"),
        (["--sweep", "lr 1"], "is not a sweep; it is a trial of big-sweep-"),
    ],
)
def test_a_wrong_request_has_a_remedy(arguments: list[str], message: str, several: Path) -> None:
    """It says what may stand there."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)


def test_a_sweep_with_its_trials(several: Path) -> None:
    """And nothing else; the name of its spec is enough, also where a run has it."""
    assert set(names("--sweep", "big sweep")) == {"big sweep", "lr 1", "lr 5"}
    ended(several, "big", {"train/loss": 0.5})
    assert set(names("--sweep", "big")) == {"big sweep", "lr 1", "lr 5"}


@pytest.mark.parametrize("width", [60, 100, 140])
def test_the_list_fits_the_terminal(width: int, several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids stay in one piece, names are wrapped by words, and what is asked for is a column."""
    ended(several, "a rather long name to be wrapped", {"train/loss": 1.0})
    monkeypatch.setenv("COLUMNS", str(width))
    lines = runs("--sort", "val/rank").stdout.splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(lines).split()
    assert all(folder.name in text for folder in (several / "runs").iterdir())
    assert {"rather", "wrapped", "sweep"} <= set(text)
    assert "VAL/" in lines[0]


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
