"""Broken, empty, foreign and half-written folders among the runs: told, passed over, and in nobody's way."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.record.journal import journal, location
from annpipe.record.journal.comparison import compare
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import find_run, new_run_folder, walk
from annpipe.record.journal.state import is_recorded, read_state
from annpipe.record.journal.summary import is_sweep, summarize, trials_of
from annpipe.record.store.ui import latest_page
from tests.conftest import CliHere

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000


def good(project: Path, name: str = "good", tags: dict[str, str] | None = None) -> Path:
    """A run that finished."""
    folder = new_run_folder(project, name)
    pen = Journal.create(folder)
    uri = location.embedded_uri(project)
    root = location.artifact_root(uri, project)
    facts = {"id": folder.name, "name": name, "experiment": "e", "tracking_uri": uri, "artifact_root": root}
    pen.write(RunBegun(**facts, time=BEGAN, tags=tags or {}, params={"lr": "0.1"}, expected_points=3))
    (folder / "plan.yaml").write_text("seed: 1\n")
    pen.series("train/loss", 1, [1.0, 0.5, 0.25], BEGAN, BEGAN + 3)
    pen.metrics(0, {"final/train/loss": 0.25}, BEGAN + 4)
    pen.end("FINISHED")
    pen.close()
    return folder


def with_journal(text: str | bytes) -> Callable[[Path], None]:
    """Makes a folder with this journal alone."""

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / journal.FILE).write_bytes(text.encode() if isinstance(text, str) else text)

    return make


def without_journal(folder: Path) -> None:
    """Makes an empty folder."""
    folder.mkdir()


def with_a_folder(folder: Path) -> None:
    """Makes a journal that is a folder."""
    (folder / journal.FILE).mkdir(parents=True)


def with_a_pipe(folder: Path) -> None:
    """Makes a journal that nobody would ever finish reading."""
    folder.mkdir()
    os.mkfifo(folder / journal.FILE)


def with_a_link(folder: Path) -> None:
    """Makes a journal that leads to itself."""
    folder.mkdir()
    (folder / journal.FILE).symlink_to(journal.FILE)


BROKEN: dict[str, Callable[[Path], None]] = {
    "empty": with_journal(""),
    "torn": with_journal('{"event":"run","time":17000'),
    "without-an-end": with_journal('{"event":"run","time":1700000000000}'),
    "garbage": with_journal(random.Random(1).randbytes(3000)),
    "zeros": with_journal(b"\0" * 5000),
    "a-list": with_journal("[1, 2]\n"),
    "a-number": with_journal("7\n"),
    "no-event": with_journal('{"time": 1}\n'),
    "event-of-a-number": with_journal('{"event": 3}\n'),
    "begins-with-an-end": with_journal('{"event":"end","status":"FINISHED","time":1,"error":null}\n'),
    "tags-of-a-list": with_journal('{"event":"run","time":1,"tags":[1]}\n'),
    "tags-of-numbers": with_journal('{"event":"run","time":1,"tags":{"mlflow.source.name":5}}\n'),
    "time-of-words": with_journal('{"event":"run","time":"now"}\n'),
    "time-far-away": with_journal('{"event":"run","time":99999999999999999}\n'),
    "name-of-a-list": with_journal('{"event":"run","time":1,"name":["a"]}\n'),
    "wrong-sum": with_journal('{"event":"run","time":1,"crc":"00000000"}\n'),
    "deep": with_journal("[" * 100_000 + "\n"),
    "missing": without_journal,
    "folder": with_a_folder,
    "pipe": with_a_pipe,
    "link": with_a_link,
}
ODD = {  # runs all the same, of which parts are broken
    "killed": with_journal('{"event":"run","time":1700000000000}\n'),
    "no-time": with_journal('{"event":"run"}\n'),
    "damaged": with_journal('{"event":"run","time":1700000000000}\nxyz\n{"event":"series","key":1}\n{"event":"end"}\n'),
    "odd-values": with_journal(
        '{"event":"run","time":1700000000000}\n{"event":"metrics","step":1,"time":2,"values":{"final/a":[1]}}\n'
        '{"event":"series","key":"train/loss","first":1,"values":["x"],"begin":1,"end":2}\n'
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a good run before all and one after them, and every broken folder between."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    good(tmp_path)
    for name, make in (BROKEN | ODD).items():
        make(tmp_path / "runs" / f"x-{name}")
    (tmp_path / "runs" / "notes.txt").write_text("not a run")
    good(tmp_path, "zzz")
    return tmp_path


def test_every_command_passes_over_them_and_says_so(project: Path, annpipe_here: CliHere) -> None:
    """`runs`, `sync`, `compare`, `best`, `resume`: the good runs are served, each broken folder is named once."""
    goods = [run for run in walk(project).runs if not run.name.startswith("x-")]
    code, printed, said = annpipe_here("runs")
    assert code == 0
    assert all(run.name in printed for run in goods)
    assert "1970" not in printed
    assert "notes.txt" not in said
    for name in list(BROKEN)[:10]:
        assert f"x-{name}" not in printed
    assert said.count("skipped runs/x-") == 10
    assert f"skipped {len(BROKEN) - 10} more" in said
    assert "warning: x-damaged: lines 2, 3, 4 of its journal are damaged" in said
    code, printed, said = annpipe_here("sync")
    for run in goods:
        assert f"{run.name}: FINISHED, shipped" in printed, said
        assert is_recorded(run)
    assert "Traceback" not in said
    assert "x-killed: not shipped: run x-killed names no store" in said
    assert code == 5  # of the odd ones, which name no store
    code, _, said = annpipe_here("compare", "--last", "2", goods[0].name)
    assert code == 0, said
    code, _, said = annpipe_here("compare", "x-killed", goods[0].name)
    assert code == 0, said
    assert "x-killed has no plan.yaml" in said
    code, _, said = annpipe_here("resume", "x-garbage")
    assert code == 2
    assert "the folder runs/x-garbage is no run: its journal.jsonl has no whole first line" in said
    code, _, said = annpipe_here("best", "--last")
    assert code == 2
    assert "there are no sweeps here" in said
    assert latest_page(project, location.embedded_uri(project)).startswith("#/experiments/")


def test_a_sync_of_the_issue_ships_the_others(tmp_path: Path, annpipe_here: CliHere) -> None:
    """`mkdir -p runs/a-…; touch runs/a-…/journal.jsonl; annpipe sync` ends well."""
    with_journal("")(good(tmp_path).parent / "a-20260101-000000-aaaa")
    code, printed, said = annpipe_here("sync")
    assert code == 0, said
    assert "FINISHED, shipped" in printed
    assert "skipped runs/a-20260101-000000-aaaa: its journal.jsonl is empty" in said


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_closed_to_us_is_passed_over(tmp_path: Path, annpipe_here: CliHere) -> None:
    """Folder or journal without permission."""
    run, closed, other = good(tmp_path), good(tmp_path, "closed"), good(tmp_path, "other")
    closed.chmod(0)
    (other / journal.FILE).chmod(0)
    try:
        code, printed, said = annpipe_here("runs")
    finally:
        closed.chmod(0o755)
    assert code == 0
    assert run.name in printed
    assert said.count("it cannot be read (Permission denied)") == 2


@pytest.mark.parametrize(
    "state",
    ["", "[]", "7", "null", "{", '{"offset": "x"}', '{"run_id": 5}', '{"refused": 7}', '{"refused": [1]}', "\0"],
)
def test_a_broken_state_is_that_of_no_record(tmp_path: Path, state: str) -> None:
    """The run is recorded anew; nothing is raised."""
    run = good(tmp_path)
    (run / "shipped.json").write_text(state)
    assert read_state(run).run_id is None
    assert not is_recorded(run)


@pytest.mark.slow
def test_no_damage_to_a_run_folder_raises(tmp_path: Path) -> None:
    """300 random cuts, overwritten stretches and changed values of a journal, read by all that reads one."""
    draw = random.Random(7)
    run = good(tmp_path)
    whole = (run / journal.FILE).read_bytes()
    other = good(tmp_path, "other", {"annpipe.sweep": "true"})
    unsealed = [{k: v for k, v in json.loads(line).items() if k != "crc"} for line in whole.splitlines()]
    for _ in range(300):
        (run / journal.FILE).write_bytes(_damaged(whole, unsealed, draw))
        for folder in walk(tmp_path).runs:
            summarize(folder)
            journal.damaged_lines(folder)
            if is_sweep(folder):
                trials_of(folder)
        compare([run, other], lambda said: None)
        assert find_run(tmp_path, other.name) == other
        assert other in walk(tmp_path).runs
    shutil.rmtree(run)


def _damaged(whole: bytes, events: list[dict[str, object]], draw: random.Random) -> bytes:
    how = draw.randrange(3)
    if how == 0:
        return whole[: draw.randrange(len(whole))]
    if how == 1:
        at, length = draw.randrange(len(whole)), draw.randrange(1, 40)
        return whole[:at] + draw.randbytes(length) + whole[at + length :]
    changed = [dict(event) for event in events]
    event = draw.choice(changed)
    values: list[object] = [None, 1, -1, 1e300, 10**30, "x", [], {}, [1], {"a": [1]}, True, "nan"]
    event[draw.choice(list(event))] = draw.choice(values)
    return b"".join(json.dumps(event).encode() + b"\n" for event in changed)
