"""`annpipe compare RUN…`, as a user types it: what differs is told, and what does not is not."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import annpipe
from annpipe.cli import outcome
from tests.conftest import unrecorded

SPEC = """
version: 1
name: NAME
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [0, 1, 4, 9]}}}
model: [Linear: 4, ReLU, Linear: 1]
loss: L1Loss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 3}
tracking: {wait_seconds: 0}
"""
CHANGES = {
    "first": [],
    "spelled": ["optimizer.Adam.eps=1e-8", "model.0.Linear.bias=true", "train.shuffle=true", "data.split={val: 0}"],
    "faster": ["optimizer.Adam.lr=0.02", "train.epochs=4"],
    "other": ["optimizer={SGD: {lr: 0.1}}", "model.1=Tanh"],
    "same": ["plots=[]", "tags={a: b}"],
    "data": ["data.table.targets.y=[0, 1, 4, 16]"],
    "deeper": ["model+=ReLU"],
}
Compare = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run for each of the changes, named so."""
    folder = tmp_path_factory.mktemp("compared")
    with unrecorded(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, overrides in CHANGES.items():
            (folder / f"{name}.yaml").write_text(SPEC.replace("NAME", name), encoding="utf-8")
            assert annpipe.run(folder / f"{name}.yaml", overrides=overrides).status == "FINISHED"
        yield folder


@pytest.fixture
def compare(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(project)
        monkeypatch.setattr(sys, "argv", ["annpipe", "compare", *words])
        code = outcome()
        return (code, *capsys.readouterr())

    return call


@pytest.mark.parametrize(
    ("runs", "asked"),
    [
        (["first", "same"], {}),
        (["first", "spelled"], {}),
        (["first", "faster"], {"optimizer.Adam.lr": [0.01, 0.02], "train.epochs": [3, 4]}),
        (["first", "data"], {"data.table.targets.y": [[0, 1, 4, 9], [0, 1, 4, 16]]}),
    ],
)
def test_only_what_differs_is_told(runs: list[str], asked: dict[str, list[object]], compare: Compare) -> None:
    """By its path in the spec, whatever name, notes and figures the runs have; other rows by their digest too."""
    code, printed, said = compare(*runs, "--json")
    assert (code, said) == (0, "")
    found = json.loads(printed)
    assert [run["name"] for run in found["runs"]] == runs
    digest = found["asked"].pop("digest of the data", None)
    assert found["asked"] == asked
    assert (digest is not None) == ("data" in runs)
    assert len(found["found"]["final/train/loss"]) == 2


def test_components_of_other_names_and_options_of_those_that_stay(compare: Compare) -> None:
    """Three runs: an optimizer of another name, and the rate of the two that have the same one."""
    code, printed, _ = compare("first", "faster", "other")
    assert code == 0
    rows = {re.split(r"  +", line)[0]: re.split(r"  +", line)[1:] for line in printed.splitlines()}
    assert rows["optimizer"] == ["Adam", "Adam", "SGD"]
    assert rows["optimizer.Adam.lr"] == ["0.01", "0.02", "-"]
    assert rows["optimizer.SGD.lr"] == ["-", "-", "0.1"]
    assert "optimizer.SGD.momentum" not in rows  # it is the default of the class
    assert rows["model.1"] == ["ReLU", "ReLU", "Tanh"]
    assert rows["train.epochs"] == ["3", "4", "3"]


def test_models_of_different_lengths_differ_by_their_layers(compare: Compare) -> None:
    """A layer that only one of them has is one row, not the whole model."""
    _, printed, _ = compare("first", "deeper", "--json")
    assert json.loads(printed)["asked"] == {"model.3": [None, "ReLU"]}


def test_tables_for_other_programs(compare: Compare, project: Path) -> None:
    """CSV has a line a run, Markdown as many cells in each line."""
    _, printed, _ = compare("first", "faster", "--csv")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [float(row["optimizer.Adam.lr"]) for row in rows] == [0.01, 0.02]
    assert [row["status"] for row in rows] == ["FINISHED", "FINISHED"]
    assert all(float(row["final/train/loss"]) > 0 for row in rows)
    _, printed, _ = compare("first", "faster", "--md")
    assert {line.count("|") for line in printed.splitlines()} == {4}
    assert "| optimizer.Adam.lr | 0.01 | 0.02 |" in printed


def test_equal_runs_and_too_few_of_them(compare: Compare) -> None:
    """It is said that nothing differs; one run is compared with nothing, and one that is not there has near names."""
    code, printed, _ = compare("first", "same")
    assert code == 0
    assert "nothing in their specs and data differs" in printed
    assert "final/train/loss" in printed
    assert compare("first")[0] == 2
    assert compare("first", "first")[0] == 2
    code, _, said = compare("first", "fastre")
    assert code == 2
    assert "did you mean 'faster'" in said
    code, printed, _ = compare("--last", "3", "--json")
    assert [run["name"] for run in json.loads(printed)["runs"]] == list(CHANGES)[-3:]


def test_what_is_equal_is_shown_on_request(compare: Compare) -> None:
    """With --all there are all values of the plans."""
    _, printed, _ = compare("first", "faster", "--json", "--all")
    asked = json.loads(printed)["asked"]
    assert asked["seed"] == [0, 0]
    assert asked["model.0.Linear.out_features"] == [4, 4]
    assert asked["optimizer.Adam.lr"] == [0.01, 0.02]


@pytest.mark.parametrize("width", [40, 60, 140])
def test_the_table_fits_the_terminal(width: int, compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns are headed by names; words stay whole where there is room."""
    monkeypatch.setenv("COLUMNS", str(width))
    _, printed, _ = compare(*CHANGES)
    assert max(map(len, printed.splitlines())) <= width
    words = printed.split()
    assert all(name in words for name in CHANGES)
    if width == 140:
        assert printed.split("\n")[0].split() == list(CHANGES)


@pytest.fixture(scope="module")
def swept(project: Path) -> str:
    """The name of a sweep among the runs: three rates of which one is best."""
    with unrecorded(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        done = annpipe.run_sweep(project / "first.yaml", over={"optimizer.Adam.lr": [0.001, 0.03, 0.3]})
        assert done.swept.best is not None
        return done.folder.name


def test_a_sweep_among_runs_is_its_best_trial(swept: str, compare: Compare) -> None:
    """The output says so, in the head of its column and beside the table; --trials shows all of them."""
    code, printed, said = compare("first", "first sweep", "--json")
    assert code == 0
    assert json.loads(printed)["asked"] == {"optimizer.Adam.lr": [0.01, 0.3]}
    assert "is shown by its best trial" in said
    assert "best of first sweep: lr 0.3" in compare("first", swept)[1].splitlines()[0]
    _, printed, said = compare("first", "first sweep", "--trials", "--json")
    assert json.loads(printed)["asked"] == {"optimizer.Adam.lr": [0.01, 0.001, 0.03, 0.3]}
    assert said == ""


def test_a_sweep_alone_is_its_trials(swept: str, compare: Compare) -> None:
    """As its own end advises."""
    _, printed, _ = compare(swept, "--json")
    assert json.loads(printed)["asked"] == {"optimizer.Adam.lr": [0.001, 0.03, 0.3]}
