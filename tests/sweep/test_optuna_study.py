"""Trials that Optuna chooses and stops, shared by several workers: held against Optuna itself, and against kills."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

import annpipe
from annpipe.errors import SpecError
from annpipe.record.journal import journal
from annpipe.record.journal.events import TagsSet, TrialEnded
from annpipe.runs.launch import shipping
from annpipe.spec.sections.axes import Axis, Span
from annpipe.sweep.optuna_study import Study
from annpipe.sweep.results.table import Result
from annpipe.sweep.storage import storage_of
from annpipe.sweep.sweep import SweepEnd, train_sweep
from tests.sampling import sample
from tests.sweep.commands import SPEC, WAITS, begun, below_of, finished, has_begun, is_alive, waited, workers_of
from tests.sweep.designs import KeepingObserver, design

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.", "ignore::optuna.exceptions.ExperimentalWarning")


def swept(project: Path, *changes: str, over: tuple[str, ...] = (), **how: Any) -> SweepEnd:
    with shipping() as recorder:
        return train_sweep(design(project, *changes, over=over), KeepingObserver(), recorder, **how)


SPACES = {
    "optimizer.Adam.lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    "model.1": optuna.distributions.CategoricalDistribution(['"ReLU"', '"Tanh"', '{"LeakyReLU": 0.2}']),
    "model.0.Linear": optuna.distributions.IntDistribution(4, 12, step=4),
}


@pytest.mark.slow
def test_values_are_those_of_the_sampler(project: Path) -> None:
    """The random sampler of this seed chooses the same without annpipe; numbers of a range stay whole."""
    ended = swept(project, "seed=5")
    alone = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    for result in ended.swept.results:
        params = alone.ask(SPACES).params
        chosen = {path: json.loads(params[path]) if path == "model.1" else params[path] for path in SPACES}
        assert result.values == chosen
        assert isinstance(result.values["model.0.Linear"], int)
        assert result.status == "FINISHED"
    assert len(ended.swept.results) == 6


@pytest.mark.slow
def test_a_sampler_learns_of_each_batch(project: Path) -> None:
    """Trials of tpe after its startup are those that Optuna's own chooses once it is told the same losses."""
    ended = swept(project, "sweep.method={tpe: {startup: 3}}", "sweep.trials=8", "sweep.batch=4")
    alone = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=3, constant_liar=True, seed=0))
    results = ended.swept.results
    for _ in range(8):
        alone.enqueue_trial({})
    for batch in (results[:4], results[4:]):
        asked = [alone.ask(SPACES) for _ in batch]
        assert [trial.params["optimizer.Adam.lr"] for trial in asked] == [
            result.values["optimizer.Adam.lr"] for result in batch
        ]
        for trial, result in sorted(zip(asked, batch, strict=True), key=lambda pair: _told_at(ended, pair[1])):
            alone.tell(trial, result.finals["val/loss"])


def _told_at(ended: SweepEnd, result: Result) -> int:
    """When the trial of a result ended."""
    assert result.run is not None
    names = [event.run for event in journal.read(ended.folder) if isinstance(event, TrialEnded)]
    return names.index(result.run.name)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sobol", "halton", "{gp: {startup: 2}}", "{cmaes: {startup: 2, population: 4}}"])
def test_each_sampler_chooses_within_the_ranges(method: str, project: Path) -> None:
    """As many trials as asked for, in their ranges; what is chosen twice is trained once."""
    results = swept(project, f"sweep.method={method}", "sweep.batch=3").swept.results
    assert [result.number for result in results] == list(range(6))
    assert all(1e-4 <= result.values["optimizer.Adam.lr"] <= 1e-1 for result in results)
    assert all(result.values["model.0.Linear"] in (4, 8, 12) for result in results)
    assert len({result.run for result in results if result.is_new}) == len({str(result.values) for result in results})


@pytest.mark.slow
def test_a_choice_is_repeated_with_every_seed(project: Path) -> None:
    """Six trials are three choices with two seeds each; the sampler hears their mean."""
    ended = swept(project, over=("seed=0,1",))
    assert [result.values["seed"] for result in ended.swept.results] == [0, 1] * 3
    assert [len(group.trials) for group in ended.swept.groups] == [2, 2, 2]
    again = swept(project, over=("seed=0,1",))
    assert [result.is_new for result in again.swept.results] == [False] * 6


@pytest.mark.slow
def test_a_grid_of_ranges_has_even_points(project: Path) -> None:
    """`trials` says how many."""
    ended = swept(project, "sweep.method=grid", "sweep.trials=19", over=("model.1=ReLU,Tanh", "model.0.Linear=4,8"))
    rates = sorted({result.values["optimizer.Adam.lr"] for result in ended.swept.results})
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert len(ended.swept.results) == 16


def test_a_pruned_trial_ends_early_and_can_go_on(project: Path) -> None:
    """A threshold that nothing reaches: every trial ends after its warm-up, and one is resumed to its end."""
    ended = swept(
        project,
        "sweep.method=grid",
        "sweep.trials=null",
        "sweep.prune={threshold: {upper: 1e-9, warmup: 2}}",
        over=GRID,
    )
    assert [result.status for result in ended.swept.results] == ["PRUNED"] * 4
    for result in ended.swept.results:
        assert result.run is not None
        points = [
            step for event in journal.read(result.run) for key, step, _, _ in journal.points(event) if key == "val/loss"
        ]
        assert points == [1, 2]
        assert journal.status(result.run) == "KILLED"
        set_later = [event.tags for event in journal.read(result.run) if isinstance(event, TagsSet)]
        assert any(tags.get("annpipe.pruned") == "2" for tags in set_later)
    resumed = annpipe.runs.launch.go_on(ended.swept.results[0].run, annpipe.observer.SILENT)  # type: ignore[arg-type]
    assert resumed.status == "FINISHED"
    assert ended.swept.best is None


GRID = ("optimizer.Adam.lr=1e-3,1e-2", "model.1=ReLU,Tanh", "model.0.Linear=8")


def test_the_median_pruner_is_optuna_s(project: Path) -> None:
    """Trials one after the other, replayed in a study of Optuna's own: the same ones are pruned at the same epochs."""
    over = ("optimizer.Adam.lr=1e-1,3e-2,1e-2,3e-3,1e-3,3e-4,1e-4,3e-5", "model.1=ReLU", "model.0.Linear=8")
    ended = swept(
        project,
        *("sweep.method=grid", "sweep.trials=null", "sweep.batch=1", "sweep.prune={median: {startup: 2, warmup: 1}}"),
        over=over,
    )
    alone = optuna.create_study(pruner=optuna.pruners.MedianPruner(2, 1))
    statuses = []
    for result in ended.swept.results:
        assert result.run is not None
        trial, is_pruned = alone.ask(), False
        for event in journal.read(result.run):
            for key, step, value, _ in journal.points(event):
                if key == "val/loss" and not is_pruned:
                    trial.report(value, step)
                    is_pruned = trial.should_prune()
        state = optuna.trial.TrialState.PRUNED if is_pruned else optuna.trial.TrialState.COMPLETE
        alone.tell(trial, None if is_pruned else result.finals["val/loss"], state)
        statuses.append("PRUNED" if is_pruned else "FINISHED")
    assert [result.status for result in ended.swept.results] == statuses
    assert "PRUNED" in statuses


def test_a_failed_trial_is_tried_again(project: Path) -> None:
    """As often as `retries` says; each time is a run of its own."""
    over = ("optimizer.Adam.lr=1e-3,1e35", "model.1=ReLU", "model.0.Linear=8")
    ended = swept(project, "sweep.method=grid", "sweep.trials=null", "sweep.retries=2", over=over)
    assert [result.status for result in ended.swept.results] == ["FINISHED", "FAILED"]
    assert sorted(journal.status(run) for run in (project / "runs").glob("small-2*")) == ["FAILED"] * 3 + ["FINISHED"]


def test_a_choice_that_is_made_once_can_be_pruned(project: Path) -> None:
    """One seed is no repetition; two are."""
    assert design(project, "sweep.prune=median", over=("seed=3",)).call.prune is not None
    with pytest.raises(SpecError, match="each choice of random is repeated"):
        design(project, "sweep.prune=median", over=("seed=3,4",))


def test_what_cannot_be_pruned(project: Path) -> None:
    """A metric that is measured at the end alone."""
    with pytest.raises(SpecError, match="`prune` compares trials while they train"):
        design(
            project,
            *("sweep.method=grid", "sweep.trials=null", "sweep.prune=median", "sweep.metric=test/loss"),
            *("data.split.test=0.2",),
            over=GRID,
        )


def test_a_range_is_checked_at_both_ends(project: Path) -> None:
    """Before the first trial, and at the place that says it."""
    with pytest.raises(SpecError, match="must be a number at least 0") as caught:
        swept(project, over=("optimizer.Adam.lr={uniform: [-1, 1]}",))
    assert str(caught.value.problems[0].place) == "the command line"
    assert not (project / "runs").exists()


@pytest.mark.slow
def test_from_python(project: Path) -> None:
    """`annpipe.run_sweep`, with values of its own."""
    ended = annpipe.run_sweep(
        "spec.yaml", over={"optimizer.Adam.lr": [1e-3, 1e-2]}, overrides=["sweep.method=grid", "sweep.trials=null"]
    )
    assert len(ended.swept.results) == 2 * 3 * 3
    assert ended.swept.best is not None


@pytest.mark.slow
def test_what_a_dead_worker_had_taken_waits_again(project: Path) -> None:
    """Its heart has stopped: another worker takes the choice, and what is told too late is not taken for a result."""
    made = design(project, "sweep.trials=4")
    url = f"sqlite:///{project / 'study.db'}"
    one = Study(made, storage_of(url, beat=1, grace=2), "s", seed=0)
    other = Study(made, storage_of(url, beat=1, grace=2), "s", seed=1)
    lost = one.choose()
    taken = other.choose()
    assert {choice.index for choice in lost} & {choice.index for choice in taken} == set()
    done = {choice.index for choice in taken}
    for choice in taken:
        other.record(choice, [Result(choice.first, choice.trials[0], None, "FINISHED", {"val/loss": 1.0})])
    deadline = time.monotonic() + 300
    while not other.is_over:
        assert time.monotonic() < deadline
        for choice in other.choose():
            assert choice.index not in done
            done.add(choice.index)
            other.record(choice, [Result(choice.first, choice.trials[0], None, "FINISHED", {"val/loss": 1.0})])
        time.sleep(0.2)
    assert done == set(range(4))
    assert {choice.index: choice.trials for choice in lost}.items() <= {
        place: _values(url, place) for place in done
    }.items()
    assert len(one.results_of_others()) == 4


def _values(url: str, place: int) -> tuple[dict[str, Any], ...]:
    """The values that a choice ended with."""
    study = optuna.load_study(storage=url, study_name="s")
    ended = [json.loads(one.user_attrs["annpipe.runs"]) for one in study.get_trials() if one.value is not None]
    (values,) = [results[0]["values"] for results in ended if results[0]["number"] == place]
    return (values,)


@pytest.mark.slow
def test_workers_begin_where_the_command_was_typed(project: Path) -> None:
    """A spec below the project is named as from there, for the workers too."""
    below = project / "below"
    below.mkdir()
    (project / "mlflow.db").touch()  # what makes a folder the project
    (below / "waits.py").write_text(WAITS, encoding="utf-8")
    (below / "spec.yaml").write_text(f"{SPEC}plugins: [./waits.py]\ncallbacks: [waits]\n", encoding="utf-8")
    process = begun(below, "--workers", "2", "--set", "sweep.batch=1")
    waited(lambda: any(has_begun(worker) for worker in workers_of(process.pid)), process)
    (below / "go").touch()
    assert {trial["status"] for trial in finished(process)["trials"]} == {"FINISHED"}


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_trial(project: Path) -> None:
    """Two workers, one killed with a trial under way: every trial is finished once, and the sweep ends well."""
    (project / "waits.py").write_text(WAITS, encoding="utf-8")
    (project / "spec.yaml").write_text(f"{SPEC}plugins: [./waits.py]\ncallbacks: [waits]\n", encoding="utf-8")
    process = begun(project, "--workers", "2", "--set", "sweep.batch=1")
    waited(lambda: any(has_begun(worker) for worker in workers_of(process.pid)), process)
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    (project / "go").touch()
    found = finished(process)
    assert [trial["trial"] for trial in found["trials"]] == list(range(6))
    assert {trial["status"] for trial in found["trials"]} == {"FINISHED"}
    assert len({trial["run"] for trial in found["trials"]}) == 6
    statuses = [journal.status(folder) for folder in project.glob("runs/small-2*")]
    assert sorted(statuses) == [*["FINISHED"] * 6, "KILLED"]


@pytest.mark.slow
def test_workers_end_with_a_sweep_that_is_killed(project: Path) -> None:
    """kill -9 of the sweep, with a trial under way that waits for ever: its worker is gone, and a new sweep goes on."""
    (project / "waits.py").write_text(WAITS, encoding="utf-8")
    (project / "spec.yaml").write_text(f"{SPEC}plugins: [./waits.py]\ncallbacks: [waits]\n", encoding="utf-8")
    process = begun(project, "--workers", "3", "--set", "sweep.batch=1")
    waited(lambda: sum(map(has_begun, workers_of(process.pid))) == 2, process)
    workers = workers_of(process.pid)
    process.kill()
    process.wait(300)
    deadline = time.monotonic() + 300  # they have five seconds, and the machine may be busy
    while (living := [worker for worker in workers if is_alive(worker)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    (project / "go").touch()  # from here on nobody waits
    process.communicate()
    assert not living
    assert not any(journal.status(folder) == "RUNNING" for folder in project.glob("runs/small-2*"))
    found = finished(begun(project, "--workers", "2", "--set", "sweep.batch=1"))
    assert [trial["status"] for trial in found["trials"]] == ["FINISHED"] * 6


@pytest.mark.slow
def test_two_sweeps_on_one_storage_share_the_trials(project: Path) -> None:
    """The same command twice: each trial is made by one of them, and both tell of all."""
    words = ("--storage", f"sqlite:///{project / 'shared.db'}", "--set", "sweep.batch=1")
    both = [begun(project, *words), begun(project, *words)]
    told = [finished(process) for process in both]
    made = [{trial["run"] for trial in found["trials"]} for found in told]
    assert made[0] == made[1]
    assert len(told[0]["trials"]) == 6
    assert len(list(project.glob("runs/small-2*"))) == 6
    assert len(list(project.glob("runs/small-sweep*"))) == 2


@pytest.mark.slow
def test_a_storage_that_is_gone_in_the_middle(project: Path) -> None:
    """Exit code 5 with the address, and not a bug of annpipe's; a worker says the same."""
    (project / "waits.py").write_text(WAITS, encoding="utf-8")
    (project / "spec.yaml").write_text(f"{SPEC}plugins: [./waits.py]\ncallbacks: [waits]\n", encoding="utf-8")
    file = project / "shared.db"
    process = begun(project, "--storage", f"sqlite:///{file}", "--workers", "2", "--set", "sweep.batch=1")
    waited(lambda: any(map(has_begun, workers_of(process.pid))), process)
    with closing(sqlite3.connect(file, timeout=300)) as connection:
        connection.execute("DROP TABLE annpipe_choices")
        connection.commit()
    (project / "go").touch()
    _, said = process.communicate(timeout=400)
    assert process.returncode == 5, said
    assert f"the storage sqlite:///{file} does not answer: (sqlite3.OperationalError) no such table" in said.decode()
    assert b"Traceback" not in said, said.decode()


@pytest.mark.slow
@pytest.mark.parametrize("said", sample(["option", "environment"], 2))
def test_no_process_below_a_sweep_is_told_the_storage_in_its_command_line(said: str, project: Path) -> None:
    """A URL may hold a password, which others on the machine would read there; a variable keeps it from the top too."""
    (project / "waits.py").write_text(WAITS, encoding="utf-8")
    (project / "spec.yaml").write_text(f"{SPEC}plugins: [./waits.py]\ncallbacks: [waits]\n", encoding="utf-8")
    url = f"sqlite:///{project / 'swordfish.db'}"
    words = ("--workers", "2", "--set", "sweep.batch=1")
    in_words, in_environment = ("--storage", url), {"ANNPIPE_STORAGE": url}
    process = begun(project, *words, *in_words) if said == "option" else begun(project, *words, **in_environment)
    waited(lambda: any(map(has_begun, workers_of(process.pid))), process)
    commands = below_of(process.pid)
    own = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    (project / "go").touch()
    found = finished(process)
    assert len(commands) >= 3  # a worker, what tracks its resources, and the shipper
    assert not any(b"swordfish" in command for command in commands.values())
    assert (b"swordfish" in own) == (said == "option")
    assert (project / "swordfish.db").is_file()
    assert {trial["status"] for trial in found["trials"]} == {"FINISHED"}
    kept = [file for file in (project / "runs").rglob("*") if file.is_file() and b"swordfish" in file.read_bytes()]
    assert kept == []


@pytest.mark.slow
def test_a_choice_is_taken_once(project: Path) -> None:
    """However many ask at the same moment, each with a connection of its own to one SQLite file."""
    storage = f"sqlite:///{project / 'shared.db'}"
    made = design(project, "sweep.trials=40", "sweep.batch=1")
    workers = [Study(made, storage_of(storage), "s", seed=number) for number in range(4)]
    ready = threading.Barrier(len(workers))

    def take_all(worker: Study) -> list[int]:
        taken: list[int] = []
        ready.wait(300)
        while choices := worker.choose():
            taken += [choice.index for choice in choices]
        return taken

    with ThreadPoolExecutor(len(workers)) as threads:
        taken = [place for one in threads.map(take_all, workers) for place in one]
    assert sorted(taken) == list(range(40))


def test_axes_say_their_ranges() -> None:
    """In words, for the terminal."""
    assert Axis("lr", span=Span(1e-4, 0.1, is_log=True)).in_words == "0.0001 to 0.1, logarithmic"
    assert Axis("a", ("x", 2, 0.5, [1])).in_words == "x, 2, 0.5, [1]"
