"""Sweeps over the rows that are held out: what a trial is, what repetitions are, and what trials are compared by."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import annpipe
from annpipe.cli import outcome
from annpipe.observer import SILENT
from annpipe.record.journal import journal
from annpipe.record.journal.events import TagsSet
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import read_over
from annpipe.sweep.design import design_sweep
from annpipe.sweep.figures.repeats import draw_repeats
from annpipe.sweep.results.table import Result, SweepResult
from tests.conftest import unrecorded

SPEC = """
version: 1
name: splits
device: {type: cpu, threads: 1}
data: {csv: {files: d.csv, target: y, features: x}, split: {}}
model: [Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 4, batch_size: 4}
tracking: {wait_seconds: 0}
"""
WORDS = ("train", "train", "val", "test", "train", "test", "val", "train", "train", "train", "test", "val")
Type = Callable[..., dict[str, Any]]


def table(**columns: tuple[str, ...]) -> str:
    """Rows of x and y, with columns that say which part each is of."""
    names = ["x", "y", *columns]
    rows = [[str(x), str(x * x % 7), *(column[x] for column in columns.values())] for x in range(len(WORDS))]
    return "\n".join(",".join(row) for row in [names, *rows]) + "\n"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Type]:
    """`annpipe sweep spec.yaml … --json` in a project with the table; what it printed, and `said` on stderr."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "d.csv").write_text(table(part=WORDS, other=WORDS[::-1]))
    for name, rows in {"a": "0 1 2", "b": "3 4 5", "c": "6 7 8"}.items():
        (tmp_path / f"{name}.txt").write_text(rows.replace(" ", "\n"))
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["annpipe", "sweep", "spec.yaml", *words, "--json"])
        capsys.readouterr()
        found = outcome()
        printed, said = capsys.readouterr()
        assert found == code, said
        return {**(json.loads(printed) if printed else {}), "said": said}

    with unrecorded():
        yield call


RATES = ("--over", "optimizer.Adam.lr=1e-2,2e-2")


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("--workers", "2"), ("--storage", "sqlite:///shared.db"), ("--method", "random")])
def test_another_split_is_another_trial(how: tuple[str, ...], sweep: Type, tmp_path: Path) -> None:
    """The column that says the parts changes, and nothing else: trained anew, and with another loss of the test."""
    words = [*RATES, *how, "--set", "data.split={by: part}", *(["--trials", "2"] if "random" in how else [])]
    first = sweep(*words)
    again = sweep(*words)
    assert [trial["finals"] for trial in again["trials"]] == [trial["finals"] for trial in first["trials"]]
    assert {trial["run"] for trial in again["trials"]} == {trial["run"] for trial in first["trials"]}
    (tmp_path / "d.csv").write_text(table(part=(*WORDS[1:], WORDS[0]), other=WORDS[::-1]))
    other = sweep(*words)
    assert not any(trial["made_before"] for trial in other["trials"])
    assert not {trial["run"] for trial in other["trials"]} & {trial["run"] for trial in first["trials"]}
    solo = annpipe.run("spec.yaml", overrides=["data.split={by: part}", f"optimizer.Adam.lr={_rate(other, 0)}"])
    assert other["trials"][0]["finals"]["test/loss"] == pytest.approx(solo.values["test/loss"], rel=1e-4)
    assert other["trials"][0]["finals"]["test/loss"] != first["trials"][0]["finals"]["test/loss"]


def _rate(found: dict[str, Any], number: int) -> float:
    rate: float = found["trials"][number]["values"]["optimizer.Adam.lr"]
    return rate


@pytest.mark.slow
def test_other_rows_in_a_file_that_is_swept_over(sweep: Type, tmp_path: Path) -> None:
    """The trials of that file are trained anew, in a shared storage too."""
    words = ("--over", "data.split.test_rows=a.txt,b.txt")
    sweep(*words)
    sweep(*words, "--storage", "sqlite:///shared.db")
    (tmp_path / "b.txt").write_text("9\n10\n11\n")
    for more in ((), ("--storage", "sqlite:///shared.db")):
        found = sweep(*words, *more)
        assert len({trial["run"] for trial in found["trials"]}) == 2
        solo = annpipe.run("spec.yaml", overrides=["data.split.test_rows=b.txt"])
        assert found["trials"][1]["finals"]["test/loss"] == pytest.approx(solo.values["test/loss"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("over", "metric"),
    [
        ("data.split.test_rows=a.txt,b.txt,c.txt", "test/loss"),
        ("data.split.val_rows=a.txt,b.txt,c.txt", "val/loss"),
        ("data.split.by=part,other", "val/loss"),
        ("data.split={val_rows: a.txt, test_rows: b.txt},{val_rows: b.txt, test_rows: c.txt}", "val/loss"),
    ],
)
def test_splits_are_repetitions(over: str, metric: str, sweep: Type, tmp_path: Path) -> None:
    """Like folds: one group for each rate with mean and interval, in one stack, each trial equal to its solo run."""
    found = sweep(*RATES, "--over", over)
    n_splits = len(found["trials"]) // 2
    assert found["metric"] == metric
    assert sorted(group["values"]["optimizer.Adam.lr"] for group in found["groups"]) == [0.01, 0.02]
    for group in found["groups"]:
        values = [found["trials"][number]["finals"][metric] for number in group["trials"]]
        assert len(values) == n_splits
        assert group["mean"] == pytest.approx(fmean(values))
        assert group["half_width_95"] > 0
    assert ("no rows are held out for val: trials are compared by test/loss" in found["said"]) == ("test/" in metric)
    for trial in found["trials"]:
        assert _gear(tmp_path / "runs" / trial["run"]) == "stacked"
    trial = found["trials"][-1]
    changes = [f"{path}={json.dumps(value)}" for path, value in trial["values"].items()]
    assert trial["finals"] == pytest.approx(annpipe.run("spec.yaml", overrides=changes).values, rel=1e-3)


def _gear(run: Path) -> str:
    """How a run was trained."""
    gears = [event.tags.get("annpipe.gear") for event in journal.read(run) if isinstance(event, TagsSet)]
    return next(gear for gear in gears if gear)


def test_splits_of_other_sizes_are_stacked_by_size(sweep: Type, tmp_path: Path) -> None:
    """Two files of three rows and one of four: two in a stack, the third by itself."""
    (tmp_path / "c.txt").write_text("6\n7\n8\n9\n")
    found = sweep("--over", "data.split.test_rows=a.txt,b.txt,c.txt")
    gears = [_gear(tmp_path / "runs" / trial["run"]) for trial in found["trials"]]
    assert gears == ["stacked", "stacked", "eager"]
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "metric"),
    [
        (("train", "val", "test"), "val/loss"),
        (("train", "train", "test"), "test/loss"),
        (("train", "val", "train"), "val/loss"),
        (("train", "train", "train"), "train/loss"),
    ],
)
def test_a_column_is_compared_by_the_parts_that_it_has(
    words: tuple[str, ...], metric: str, sweep: Type, tmp_path: Path
) -> None:
    """By val, else by test, else by train; which is said, and there is a best one."""
    (tmp_path / "d.csv").write_text(table(part=words * 4))
    found = sweep(*RATES, "--set", "data.split={by: part}")
    assert found["metric"] == metric
    assert found["best"] in {trial["run"] for trial in found["trials"]}
    said = f"no rows are held out for val: trials are compared by {metric}"
    assert (said in found["said"]) == (metric != "val/loss")
    if metric != "val/loss":
        refused = sweep(*RATES, "--set", "data.split={by: part}", "--metric", "val/loss", code=3)
        assert "no trial has the metric 'val/loss'" in refused["said"]


@pytest.mark.slow
def test_columns_of_which_one_has_no_val(sweep: Type, tmp_path: Path) -> None:
    """Trials are compared by what all of them have."""
    (tmp_path / "d.csv").write_text(table(part=WORDS, other=("train", "test") * 6))
    assert sweep("--over", "data.split.by=part,other")["metric"] == "test/loss"


def test_a_drawn_test_is_not_what_trials_are_compared_by(sweep: Type) -> None:
    """It is kept for the end."""
    assert sweep(*RATES, "--set", "data.split={test: 0.25}")["metric"] == "train/loss"


def test_a_sampler_repeats_the_splits_of_each_choice(sweep: Type) -> None:
    """As it does seeds."""
    found = sweep("--over", "optimizer.Adam.lr={uniform: [0.01, 0.1]}", "--over", "data.split.test_rows=a.txt,b.txt",
                  "--method", "random", "--trials", "4")  # fmt: skip
    assert [trial["values"]["data.split.test_rows"] for trial in found["trials"]] == ["a.txt", "b.txt"] * 2
    assert [len(group["trials"]) for group in found["groups"]] == [2, 2]


def test_a_whole_split_is_a_repetition_where_it_names_its_rows(sweep: Type, tmp_path: Path) -> None:
    """Fractions are values: 0.2 against 0.4 of the rows is a question, not luck."""
    over = read_over("data.split={val: 0.25},{val: 0.5}")
    call = design_sweep(SpecSource(tmp_path / "spec.yaml", over=(over,)), SILENT).call
    assert call.repeats == ()


def test_the_figure_says_what_is_repeated(sweep: Type, tmp_path: Path) -> None:
    """In its title, in the plural."""
    request = SpecSource(tmp_path / "spec.yaml", over=(read_over("data.split.test_rows=a.txt,b.txt"),))
    design = design_sweep(request, SILENT)
    values = enumerate(design.combinations)
    results = [Result(number, one, None, "FINISHED", {"test/loss": 1.0 + number}) for number, one in values]
    figure = draw_repeats(SweepResult("splits", design.axes, design.goal, tuple(results)))
    assert figure is not None
    texts = " ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))
    assert "test/loss over files of test rows" in texts
