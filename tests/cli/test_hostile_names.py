"""Columns, classes, cells and plugins called what they like: every command shows them, and none obeys them."""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from annpipe.cli import outcome
from annpipe.cli.progress import RunDisplay
from annpipe.errors import Problem, one_line, visible
from annpipe.record.journal.project import run_folders
from annpipe.record.shipper.series import _file_names
from tests.conftest import unrecorded

ESCAPE, TURN, TAG, LINE = "\x1b[31m", "\u202e", "\U000e0041", "two\nlines"
NUMBER = f"size{ESCAPE}{TURN}"
WORD = f"kind{LINE}"
TARGET = f"class{TURN}\x07{TAG}"
CLASSES = (f"a{ESCAPE}", f"b{TURN}\rc")
CELLS = (f"red\x9b31m{LINE}", f"blue\u2028{TURN}\ufffe", "plain</svg><!-- -->\uffff")
PLUGIN = '''
import torch
from annpipe import layer


@layer
class Guest(torch.nn.Module):
    """Gives what it gets\x1b[31m\u202e.\x07"""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x
'''


def steers(text: str) -> set[str]:
    """The characters of a text that a terminal would obey."""
    return {char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, a spec and a plugin of hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    with open(folder / "rows.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([NUMBER, WORD, TARGET])
        table.writerows([n / 30, CELLS[n % 3], CLASSES[n % 2]] for n in range(60))
    with open(folder / "more.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([NUMBER, WORD, TARGET])
        table.writerows([[0.5, "never\x1b[32m seen\n", CLASSES[0]], [0.6, CELLS[0], CLASSES[1]]])
    (folder / "guest.py").write_text(PLUGIN, encoding="utf-8")
    spec = {
        "version": 1,
        "name": "hostile",
        "plugins": ["./guest.py"],
        "device": {"type": "cpu", "threads": 1},
        "data": {
            "csv": {"files": "rows.csv", "target": TARGET},
            "split": {"val": 0.2},
            "transforms": {"number": "standardize", WORD: "one_hot"},
        },
        "model": ["Guest", {"Linear": 2}],
        "loss": "CrossEntropyLoss",
        "optimizer": {"SGD": {"lr": 0.1}},
        "train": {"epochs": 2},
        "metrics": ["Accuracy"],
        "plots": ["confusion_matrix", "columns", "per_class", "network"],
    }
    (folder / "spec.yaml").write_text(yaml.dump(spec, sort_keys=False), encoding="utf-8")
    wrong = {**spec, "data": {"csv": {"files": "rows.csv", "target": f"{TARGET}{LINE}x"}}}
    (folder / "wrong.yaml").write_text(yaml.dump(wrong, sort_keys=False), encoding="utf-8")
    return folder


def typed(project: Path, caught: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Runs a command within this process: exit code and stdout; nothing that was printed steers a terminal."""
    with pytest.MonkeyPatch.context() as patch, unrecorded(), warnings.catch_warnings():
        patch.chdir(project)
        patch.setattr(sys, "argv", ["annpipe", *words])
        caught.readouterr()
        code = outcome()
        printed = caught.readouterr()
    assert not steers(printed.out), (words, steers(printed.out))
    assert not steers(printed.err), (words, steers(printed.err))
    assert "Traceback" not in printed.err, printed.err
    return code, printed.out


@pytest.mark.slow
def test_no_command_obeys_a_name(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each of them, in each of its formats; JSON and YAML mean the true names, and each SVG is XML."""

    def call(*words: str, code: int = 0) -> str:
        found, printed = typed(project, capfd, *words)
        assert found == code, (words, printed)
        return printed

    for form in ("text", "json", "github"):
        call("validate", "wrong.yaml", "spec.yaml", "--format", form, code=3)
    json.loads(typed(project, capfd, "validate", "wrong.yaml", "--format", "json")[1])
    assert one_line(NUMBER) in call("plan", "spec.yaml")
    plan = yaml.safe_load(call("plan", "spec.yaml", "--yaml"))
    assert plan["data"]["csv"]["target"] == TARGET
    assert WORD in plan["data"]["transforms"]
    assert json.loads(call("plan", "spec.yaml", "--json"))["data"]["csv"]["target"] == TARGET
    call("plan", "spec.yaml", "--origin")
    json.loads(call("plan", "spec.yaml", "--origin", "--json"))
    said = call("data", "spec.yaml", "--figure", "data.svg")
    assert one_line(CELLS[0])[:8] in said
    assert one_line(WORD) in said
    columns = json.loads(call("data", "spec.yaml", "--json"))["columns"]
    assert {column["name"] for column in columns} == {NUMBER, WORD, TARGET}
    call("run", "spec.yaml")
    call("run", "spec.yaml", "--json", "--set", "seed=1")
    call("run", "spec.yaml", "--dry-run")
    call("runs")
    call("runs", "--json")
    call("compare", "--last", "2")
    for form in ("--csv", "--md", "--json"):
        call("compare", "--last", "2", form)
    call("evaluate", "--last", "rows.csv")
    call("evaluate", "--last", "more.csv", "--json", "--name", f"x{ESCAPE}/../{LINE}")
    call("predict", "--last", "more.csv", "-o", "answers.csv")
    call("sweep", "spec.yaml", "--over", "optimizer.SGD.lr=0.1,0.2")
    call("best", "--last")
    call("list", "layer", "--plugin", "guest.py")
    call("show", "Guest", "--plugin", "guest.py")
    call("show", "Guest", "--plugin", "guest.py", "--json")
    typed(project, capfd, "resume", f"no{ESCAPE}{LINE}")
    typed(project, capfd, "run", f"no{ESCAPE}{LINE}.yaml")
    typed(project, capfd, "explain", f"no{TURN}")

    figures = list(project.rglob("*.svg"))
    assert len(figures) >= 12
    for figure in figures:
        ElementTree.parse(figure)
        assert not steers(figure.read_text(encoding="utf-8")), figure
    assert not [path for path in project.rglob("*") if steers(str(path.relative_to(project))) or "\n" in path.name]
    assert not list(project.rglob("*failed.txt"))
    found = list(csv.reader(io.StringIO((project / "answers.csv").read_bytes().decode())))
    assert found[0][0] == TARGET, "a file of answers has the true names"
    assert {row[0] for row in found[1:]} <= set(CLASSES)
    for folder in run_folders(project):
        text = folder / "plan.yaml"
        assert not text.exists() or not steers(text.read_text(encoding="utf-8"))


def test_a_run_whose_name_would_steer_is_refused_before_it_begins(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the spec, by --set and by --name: code 3, and no folder of it."""
    before = len(run_folders(project))
    for words in (["--set", 'name="a\\0b"'], ["--name", f"a{TURN}b"], ["--name", "a\nb"], ["--set", 'tags.x="\\e"']):
        code, _ = typed(project, capfd, "run", "spec.yaml", *words)
        assert code == 3, words
    assert len(run_folders(project)) == before


def test_names_lead_to_no_path_outside(tmp_path: Path, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`annpipe lr` writes beside the working directory's files whatever the run is called."""
    before = {path.name for path in project.parent.iterdir()}
    assert typed(project, capfd, "lr", "spec.yaml", "--steps", "20", "--set", "name=../x/../../y")[0] == 0
    assert (project / "x-y_lr.svg").is_file()
    assert {path.name for path in project.parent.iterdir()} == before


def test_files_of_series_are_called_what_files_may_be() -> None:
    """Keys have columns in them; no two of them share a file."""
    keys = ["val/a/b", "../../x", "a\0b", "a\nb", "a\rb", "x" * 300, "x" * 301, ".hidden", "größe (cm)"]
    names = _file_names(keys)
    assert len(set(names.values())) == len(keys)
    for name in names.values():
        assert Path(name).name == name
        assert not steers(name)
        assert not name.startswith(".")
        assert len(name.removesuffix(".csv").encode()) <= 200


@pytest.mark.parametrize("char", ["\0", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ufeff", "\U000e0041"])
def test_what_is_escaped_is_what_json_writes(char: str) -> None:
    """So that JSON which passes the output stays JSON, and means the same."""
    assert visible(f"a{char}b").isprintable()
    assert json.loads(f'"{visible(char)}"') == char
    assert visible(visible(char)) == visible(char)
    assert "\n" not in Problem("x", f"a\n{char}").message


def test_a_bar_on_a_terminal_shows_names_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar has escape codes of its own; what is said above it has none."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with RunDisplay() as display:
        display.start(10, 5, 0)
        display.progress(3, 0.5)
        display.event(f"the column {NUMBER} {LINE}")
    assert one_line(NUMBER) in screen.getvalue()
    assert "two\\nlines" in screen.getvalue()
    assert ESCAPE not in screen.getvalue()
    assert "\x1b[" in screen.getvalue()
