"""What decides a run's results: each input of a spec, changed by itself, makes another run, and no resume of the first.

The inputs are those of the registry (each option of type path of each component) and of the section `data.split`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from annpipe.cli import outcome
from annpipe.datasets.steps.make import make_data
from annpipe.draft.component import at_every_depth
from annpipe.errors import RunError
from annpipe.observer import SILENT
from annpipe.registry.registry import Registry
from annpipe.registry.types import KINDS
from annpipe.runs import provenance as facts_of
from annpipe.runs.launch import complete
from annpipe.runs.provenance import DataDigests, check_facts, facts_key, run_facts
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.models import Split
from tests.conftest import unrecorded

TABLE = """\
y,x,sort,part,other,word
1,1,1,train,train,a
2,2,2,train,val,b
3,3,3,val,train,a
4,4,4,test,test,b
5,5,5,train,train,a
6,6,6,val,val,b
7,7,7,test,test,a
8,8,8,train,train,b
"""
SPEC = """
version: 1
name: changing
plugins: [./own.py]
device: {type: cpu, threads: 1}
data: {csv: {files: d.csv, target: y, features: x}, split: {}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.001}}
train: {epochs: 2}
tracking: {wait_seconds: 0}
"""
OWN = '''
from collections.abc import Sequence
from pathlib import Path

import torch

from annpipe import Dataset, Look, callback, data, initializer, layer, loss, metric


@layer
class FromFile(torch.nn.Module):
    """A layer that multiplies by the number in a file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.factor = float(Path(file).read_text())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


@initializer
def from_files(tensor: torch.Tensor, files: dict[str, list[Path]]) -> None:
    """Fills with the numbers in files."""
    torch.nn.init.constant_(tensor, sum(float(Path(file).read_text()) for file in files["all"]))


@loss
class Weighed(torch.nn.Module):
    """A squared error, weighed by the number in a file."""

    def __init__(self, file: Path | None = None) -> None:
        super().__init__()
        self.weight = float(Path(file).read_text()) if file else 1.0

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.weight * ((prediction - target) ** 2).mean()


@data
def numbers(file: Path) -> Dataset:
    """The numbers in a file."""
    x = torch.tensor([float(word) for word in Path(file).read_text().split()], dtype=torch.float64)
    return Dataset({"x": x}, {"y": 2 * x})


@callback
class Notes:
    """Looks at a file, and fails where there is none."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_look(self, look: Look) -> None:
        if not Path(self.file).exists():
            raise RuntimeError("the power is out")
'''


@dataclass(frozen=True)
class Input:
    """An input of a spec: what the spec says, and the files that are changed, whole or in the columns of the table."""

    name: str
    said: tuple[str, ...]
    change: Callable[[Path], None]


def rewritten(file: str, text: str) -> Callable[[Path], None]:
    """A change of a file's whole text."""

    def change(folder: Path) -> None:
        assert (folder / file).read_text() != text
        (folder / file).write_text(text)

    return change


def replaced(old: str, new: str, file: str = "d.csv") -> Callable[[Path], None]:
    """A change of some words of a file."""

    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return change


def write_parquet(folder: Path, last: float = 8.0) -> None:
    x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, last]
    pyarrow.parquet.write_table(pyarrow.table({"x": x, "y": [2 * one for one in x]}), folder / "d.parquet")


def write_json_lines(folder: Path, last: float = 8.0) -> None:
    rows = [{"x": float(n), "y": 2.0 * n} for n in range(1, 8)] + [{"x": last, "y": 16.0}]
    (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_npz(folder: Path, last: float = 8.0) -> None:
    x = np.arange(1.0, 9.0)
    x[-1] = last
    np.savez(folder / "d.npz", x=x, y=2 * x)


SAID = {  # by (kind, name, option): a spec that says it, and a change of what it names
    ("data", "csv", "files"): ((), replaced("5,5,5", "5,6,5")),
    ("data", "parquet", "files"): (
        ("data={parquet: {files: d.parquet, target: y}}",),
        lambda folder: write_parquet(folder, 9.0),
    ),
    ("data", "json_lines", "files"): (
        ("data={json_lines: {files: d.jsonl, target: y}}",),
        lambda folder: write_json_lines(folder, 9.0),
    ),
    ("data", "npz", "file"): (
        ("data={npz: {file: d.npz, inputs: [x], targets: [y]}}",),
        lambda folder: write_npz(folder, 9.0),
    ),
    ("data", "numbers", "file"): (("data={numbers: {file: numbers.txt}}",), rewritten("numbers.txt", "1 2 3 5")),
    ("layer", "FromFile", "file"): (("model=[{Linear: 1}, {FromFile: {file: one.txt}}]",), rewritten("one.txt", "3")),
    ("initializer", "from_files", "files"): (
        ('model={layers: [{Linear: 1}], init: {"*": {from_files: {files: {all: [one.txt, two.txt]}}}}}',),
        rewritten("two.txt", "3"),
    ),
    ("loss", "Weighed", "file"): (("loss={Weighed: {file: one.txt}}",), rewritten("one.txt", "3")),
    ("callback", "Notes", "file"): (("callbacks=[{Notes: {file: one.txt}}]",), rewritten("one.txt", "3")),
}
COLUMNS = {  # by option of the split: what else it needs, and a change of its column alone
    "by": ("part", (), replaced("2,2,2,train", "2,2,2,test")),
    "order": ("sort", ("data.split.val=0.25",), replaced("8,8,8", "8,8,0")),
    "groups": ("word", ("data.split.val=0.5",), replaced("1,1,1,train,train,a", "1,1,1,train,train,b")),
    "stratify": (
        "word",
        ("data.split.val=0.5", "data.csv.features=[x, word]", "data.transforms={word: one_hot}"),
        replaced("1,1,1,train,train,a", "1,1,1,train,train,b"),
    ),
}
ROWS = {
    "val_rows": ("rows.txt", rewritten("rows.txt", "1\n3\n")),
    "test_rows": ("rows.txt", rewritten("rows.txt", "1\n3\n")),
}


def inputs() -> Iterator[Input]:
    """Every input that a test knows how to change."""
    for (kind, name, option), (said, change) in SAID.items():
        yield Input(f"{kind} {name}.{option}", said, change)
    for option, (column, more, change) in COLUMNS.items():
        yield Input(f"split.{option}", (*more, f"data.split.{option}={column}"), change)
    for option, (file, change) in ROWS.items():
        yield Input(f"split.{option}", (f"data.split.{option}={file}",), change)
    words = ("data.csv.features=[x, word]", 'data.transforms={word: one_hot, "*": standardize}')
    yield Input("the words of categories", words, lambda folder: _renamed(folder))
    yield Input("a plugin's file", ("loss=Weighed",), replaced("mean()", "sum()", "own.py"))
    yield Input("a column of a head", HEADS, replaced("5,5,5", "6,5,5"))
    yield Input("a plugin of a head alone", HEADS, replaced("mean()", "sum()", "own.py"))


HEADS = ("model={layers: [{Linear: 2}], outputs: {y: {layers: [{Linear: 1}], loss: Weighed}}}", "loss=null")


def _renamed(folder: Path) -> None:
    """The same rows, with another word for one of the categories, which keeps its place among them."""
    text = (folder / "d.csv").read_text().splitlines()
    lines = [line.removesuffix(",b") + ",c" if line.endswith(",b") else line for line in text]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the spec and all files that the inputs name."""
    files = {"spec.yaml": SPEC, "d.csv": TABLE, "own.py": OWN, "rows.txt": "1\n2\n"}
    files |= {"one.txt": "2", "two.txt": "1", "numbers.txt": "1 2 3 4"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    write_parquet(tmp_path)
    write_npz(tmp_path)
    write_json_lines(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(folder: Path, *said: str) -> dict[str, Any]:
    """What decides the results of a run of the spec as the files are now."""
    unset = [one.removesuffix("=null") for one in said if one.endswith("=null")]
    changes = [one for one in said if not one.endswith("=null")]
    plan = complete(SpecSource(folder / "spec.yaml", tuple(changes), tuple(unset)).draft(), SILENT)
    rows = make_data(plan.data, plan.head.seed, plan.split.columns)
    return run_facts(plan, DataDigests.of(rows))


@pytest.mark.parametrize("case", list(inputs()), ids=lambda case: case.name)
def test_each_input_makes_another_run(case: Input, folder: Path) -> None:
    """Its content alone is another: a trial has another key, and a run that began before is not gone on with unsaid."""
    before = facts(folder, *case.said)
    assert facts_key(before) == facts_key(facts(folder, *case.said))
    assert check_facts(before, facts(folder, *case.said)) == []
    case.change(folder)
    now = facts(folder, *case.said)
    assert facts_key(now) != facts_key(before)
    if case.name.startswith("callback"):  # which may have written the file itself
        assert check_facts(before, now) == [
            f"the file {folder / 'one.txt'}, which a callback names, is not what it was when this run began"
        ]
    else:
        with pytest.raises(RunError, match=r"going on would not give the same run|changed; start a new run"):
            check_facts(before, now)


def test_every_option_that_names_files_is_among_them(folder: Path) -> None:
    """Each option of type path that a component has, and each word of the split; a new one needs its case here."""
    registry = Registry.installed()
    registry.add_file(folder / "own.py")
    paths = {
        (entry.kind, entry.name, option.name)
        for kind in KINDS
        for entry in registry.entries(kind)
        for option in entry.options
        if "path" in str(option.option_type)
    }
    assert paths == set(SAID)
    words = {name for name, field in Split.model_fields.items() if "Word" in str(field.annotation) or _is_text(field)}
    assert words == {*COLUMNS, *ROWS}


def _is_text(field: Any) -> bool:
    """Whether an option of a section is text."""
    return "str" in str(field.annotation)


def test_a_component_in_each_section_is_found(folder: Path) -> None:
    """Of whatever section: heads, groups of the optimizer, averages, initializers and what is nested in others."""
    said = [
        *("average=EMA", "scheduler={StepLR: {step_size: 1}}", "metrics=[R2Score]", "plots=[learning_curve]"),
        *("callbacks=[{Notes: {file: one.txt}}]", "data.split.val=0.25", 'data.transforms={"*": standardize}'),
        'model={layers: [{Linear: 4}, {residual: [{Linear: 4}, Tanh]}, {Linear: 1}], init: {"*": zeros_}}',
        "optimizer={SGD: {lr: 0.1}, groups: [{params: '0.*', lr: 0.01}]}",
    ]
    plan = complete(SpecSource(folder / "spec.yaml", tuple(said)).draft(), SILENT)
    found = {
        (component.kind, component.name)
        for component in at_every_depth(component for _, component in plan.components())
    }
    assert found >= {
        *(("data", "csv"), ("layer", "Linear"), ("layer", "Tanh"), ("layer", "residual"), ("initializer", "zeros_")),
        *(("transform", "standardize"), ("loss", "MSELoss"), ("optimizer", "SGD"), ("scheduler", "StepLR")),
        *(("average", "EMA"), ("metric", "R2Score"), ("plot", "learning_curve"), ("callback", "Notes")),
    }


def test_versions_are_among_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another torch is another run, whose resume is refused; another annpipe that computes otherwise is told."""
    before = facts(folder)
    monkeypatch.setattr(facts_of, "installed_version", lambda name: "9.9.9")
    now = facts(folder)
    assert facts_key(now) != facts_key(before)
    with pytest.raises(RunError, match=r"the version of torch is not the one this run began with \(now 9.9.9"):
        check_facts(before, now)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(facts_of, "NUMERICS", 99)
    now = facts(folder)
    assert facts_key(now) != facts_key(before)
    assert check_facts(before, now) == [
        "this version of annpipe computes some numbers otherwise than the one that this run began with"
    ]


def test_two_plugin_files_of_one_name_are_two(folder: Path) -> None:
    """Each in its folder; a change of either is one of the run."""
    (folder / "more").mkdir()
    text = OWN
    for name, other in (
        ("Weighed", "W"),
        ("FromFile", "Also"),
        ("Notes", "N"),
        ("numbers", "few"),
        ("from_files", "f"),
    ):
        text = text.replace(name, other)
    (folder / "more" / "own.py").write_text(text)
    said = ("plugins=[own.py, more/own.py]", "loss=Weighed", "model=[{Linear: 1}, {Also: {file: one.txt}}]")
    before = facts(folder, *said)
    for file in ("own.py", "more/own.py"):
        text = (folder / file).read_text()
        (folder / file).write_text(f"{text}\n# changed\n")
        assert facts_key(facts(folder, *said)) != facts_key(before)
        (folder / file).write_text(text)
    assert facts_key(facts(folder, *said)) == facts_key(before)


def test_checkpoints_of_earlier_versions_are_compared_by_what_they_have(folder: Path) -> None:
    """Plan, plugins and rows; what they do not know is let pass, and what they know is not."""
    now = facts(folder, "loss=Weighed", "data.split.val_rows=rows.txt")
    old = {name: now[name] for name in ("plan", "plugins", "dataset")} | {"threads": 1}
    assert check_facts(old, now) == []
    assert check_facts({**old, "plugins": {"torch": now["torch"]}}, now) == []
    for name, other in (("plan", "0"), ("dataset", "0"), ("plugins", {**now["plugins"], "own.py": "0"})):
        with pytest.raises(RunError):
            check_facts({**old, name: other}, now)


@pytest.fixture
def type_in(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """`annpipe …` typed in the project."""

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["annpipe", *words])
        code = outcome()
        return code, "".join(capsys.readouterr())

    with unrecorded():
        yield call


def test_a_resume_with_other_rows_held_out_is_refused(folder: Path, type_in: Any) -> None:
    """And is let go on with the file put back."""
    words = ("--set", "data.split.val_rows=rows.txt", "--set", "callbacks=[{Notes: {file: go}}]")
    assert type_in("run", "spec.yaml", *words)[0] == 1
    (folder / "rows.txt").write_text("4\n5\n")
    code, said = type_in("resume", "--last")
    assert code == 1
    assert "rows.txt is not what it was when this run began" in said
    (folder / "rows.txt").write_text("1\n2\n")
    (folder / "go").touch()
    code, said = type_in("resume", "--last")
    assert code == 0, said
