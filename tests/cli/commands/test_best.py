"""`annpipe best`: the plan of a sweep's best trial, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal
from tests.conftest import CliHere

PLAN = "version: 1\nname: größer\nseed: 1\n"


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Makes the folder of a run, of a sweep with a best trial, or of one without."""
    (tmp_path / "mlflow.db").touch()

    def make(name: str, *, is_sweep: bool = True, best: bytes | None = PLAN.encode()) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        journal = Journal.create(folder)
        tags = {"annpipe.sweep": "true"} if is_sweep else {}
        journal.write(
            RunBegun(id=name, name=name.partition("-")[0], experiment="a", tracking_uri="", time=1, tags=tags)
        )
        journal.close()
        (folder / "plan.yaml").write_text("version: 1\n", encoding="utf-8")
        if best is not None:
            (folder / "best.yaml").write_bytes(best)
        return folder

    return make


@pytest.mark.parametrize("words", [["a-20260101-000000-aaaa"], ["a"], ["--last"]])
def test_the_plan_of_the_best_trial_is_printed_as_it_is(words: list[str], made: Any, annpipe_here: CliHere) -> None:
    """Of the sweep that is named, by its id or its name, or of the latest."""
    made("a-20260101-000000-aaaa")
    code, printed, said = annpipe_here("best", *words)
    assert (code, printed) == (0, PLAN), said


def test_the_latest_sweep_is_the_last_one_that_is_no_other_run(made: Any, annpipe_here: CliHere) -> None:
    """By the time in its name."""
    made("a-20260101-000000-aaaa", best=b"seed: 1\n")
    made("b-20260102-000000-aaaa", best=b"seed: 2\n")
    made("c-20260103-000000-aaaa", is_sweep=False)
    assert annpipe_here("best", "--last")[:2] == (0, "seed: 2\n")


@pytest.mark.parametrize(
    ("how", "words", "code", "message"),
    [
        ({}, [], 2, "say which sweep"),
        ({"is_sweep": False}, ["a"], 2, "the run a-20260101-000000-aaaa is not a sweep; `annpipe runs` lists them"),
        ({"is_sweep": False}, ["--last"], 2, "there are no sweeps here"),
        ({"best": None}, ["--last"], 2, "no trial of a-20260101-000000-aaaa finished, so there is no best one"),
        ({"best": b"\xff"}, ["--last"], 3, "is not UTF-8 text any more"),
    ],
)
def test_where_there_is_no_best_trial(
    how: dict[str, Any], words: list[str], code: int, message: str, made: Any, annpipe_here: CliHere
) -> None:
    """Nothing is printed but the reason."""
    made("a-20260101-000000-aaaa", **how)
    ended, printed, said = annpipe_here("best", *words)
    assert (ended, printed) == (code, "")
    assert message in said
