"""`annpipe validate`: formats, overrides, strangers' specs; the reports themselves are in tests/specs_wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from tests.conftest import Cli, CliHere

SPEC = """\
version: 1
name: small
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}
model: [Linear: 10, ReLU, Linear: 1]
loss: L1Loss
optimizer: {Adam: {lr: 0.1}}
train: {epochs: 5}
"""
WRONG = SPEC.replace("Adam", "Adamm")
PLUGIN = """\
import pathlib

import torch

from annpipe import layer

pathlib.Path(__file__).with_name("imported").touch()


@layer
class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x
"""


def write(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_right_spec_is_said_to_be_ok(annpipe: Cli, tmp_path: Path) -> None:
    """On stdout, one line a spec; a wrong one among them makes the exit code 3."""
    write(tmp_path, SPEC), write(tmp_path, WRONG, "wrong.yaml")
    done = annpipe("validate", "spec.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "spec.yaml: ok\n", "")
    done = annpipe("validate", "spec.yaml", "wrong.yaml")
    assert (done.returncode, done.stdout) == (3, "spec.yaml: ok\n")
    assert done.stderr.endswith("1 error\n")


def test_json_has_every_problem_with_its_place(annpipe_here: CliHere, tmp_path: Path) -> None:
    """For programs: all on stdout, and the exit code as ever."""
    write(tmp_path, SPEC), write(tmp_path, WRONG, "wrong.yaml")
    code, out, err = annpipe_here("validate", "spec.yaml", "wrong.yaml", "--format", "json")
    assert (code, err) == (3, "")
    right, wrong = json.loads(out)
    assert (right["spec"], right["ok"], right["problems"]) == ("spec.yaml", True, [])
    (problem,) = wrong["problems"]
    assert problem["code"] == "unknown-component"
    assert problem["place"] == {"file": "wrong.yaml", "line": 6, "column": 13, "end_column": 18}
    assert "Adam" in problem["help"]
    assert wrong["ok"] is False


def test_json_of_warnings_says_ok(annpipe_here: CliHere, tmp_path: Path) -> None:
    """A linear collapse refuses nothing."""
    write(tmp_path, SPEC.replace("ReLU, ", ""))
    code, out, _err = annpipe_here("validate", "spec.yaml", "--format", "json")
    assert code == 0
    (checked,) = json.loads(out)
    assert checked["ok"] is True
    assert [problem["severity"] for problem in checked["problems"]] == ["warning"]


def test_github_annotations_stand_at_their_lines(annpipe_here: CliHere, tmp_path: Path) -> None:
    """One workflow command a problem, line breaks escaped."""
    write(tmp_path, WRONG)
    code, out, _err = annpipe_here("validate", "spec.yaml", "--format", "github")
    assert code == 3
    (line,) = out.splitlines()
    assert line.startswith("::error file=spec.yaml,line=6,col=13,endColumn=18,title=annpipe unknown-component::")
    assert "%0Ahelp: " in line


def test_github_says_nothing_of_right_specs(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Not even an empty line."""
    write(tmp_path, SPEC)
    assert annpipe_here("validate", "spec.yaml", "--format", "github") == (0, "", "")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--set", "optimizer.Adam.lr=1e-3"], 0),
        (["--set", "optimizer.Adam.lr=fast"], 3),
        (["--set", "model+=Linear: 1"], 0),
        (["--set", "model.0.Linear.bias=false"], 0),
        (["--set", "model.2.Linear.out_features=2"], 3),
        (["--unset", "optimizer.Adam.lr"], 0),
        (["--unset", "loss"], 3),
        (["--device", "toaster"], 3),
        (["--set", "model.0.Linear.out_features=32", "--set", "model.1=Tanh", "--unset", "name"], 3),
    ],
)
def test_overrides_are_checked_like_the_spec_itself(
    annpipe_here: CliHere, tmp_path: Path, options: list[str], code: int
) -> None:
    """Also where the spec gives its options by position."""
    write(tmp_path, SPEC)
    exit_code, _, said = annpipe_here("validate", "spec.yaml", *options)
    assert exit_code == code, said
    assert "Traceback" not in said


@pytest.mark.slow
def test_an_untrusted_spec_s_plugin_is_not_imported(annpipe: Cli, tmp_path: Path) -> None:
    """The marker that it leaves is not there, and what depends on it is reported as unchecked."""
    write(tmp_path, PLUGIN, "double.py")
    write(tmp_path, SPEC.replace("ReLU", "Double") + "plugins: [./double.py]\n")
    for command in (["validate"], ["plan"], ["plan", "--json"], ["plan", "--origin"]):
        done = annpipe(*command, "spec.yaml", "--untrusted")
        assert done.returncode == 0, done.stderr
        assert "warning[unchecked]" in done.stderr
        assert not (tmp_path / "imported").exists()
    assert annpipe("validate", "spec.yaml").returncode == 0
    assert (tmp_path / "imported").exists()


def test_what_needs_no_plugin_is_still_refused(annpipe_here: CliHere, tmp_path: Path) -> None:
    """A wrong option beside an unchecked layer."""
    write(tmp_path, PLUGIN, "double.py")
    write(tmp_path, SPEC.replace("ReLU", "Double").replace("lr:", "rl:") + "plugins: [./double.py]\n")
    code, _out, err = annpipe_here("validate", "spec.yaml", "--untrusted")
    assert code == 3
    assert "error[unknown-option]" in err
    assert err.endswith("1 error, 2 warnings\n")


def test_an_untrusted_spec_reads_nothing_outside_its_folder(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Its base must stand beside it or below."""
    write(tmp_path, SPEC, "base.yaml")
    (tmp_path / "inner").mkdir()
    write(tmp_path, "extends: ../base.yaml\n", "inner/mine.yaml")
    assert annpipe_here("validate", "inner/mine.yaml")[0] == 0
    code, _out, err = annpipe_here("validate", "inner/mine.yaml", "--untrusted")
    assert code == 3
    assert "outside the folder of an untrusted spec" in err


def test_an_untrusted_spec_reads_no_data_outside_its_folder(annpipe_here: CliHere, tmp_path: Path) -> None:
    """The same path is read when the spec is trusted."""
    (tmp_path / "inner").mkdir()
    numpy.savez(tmp_path / "rows.npz", x=numpy.arange(3.0), y=numpy.arange(3.0))
    table = "table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}"
    write(tmp_path, SPEC.replace(table, "npz: {file: ../rows.npz, inputs: [x], targets: [y]}"), "inner/mine.yaml")
    code, _, said = annpipe_here("validate", "inner/mine.yaml")
    assert code == 0, said
    code, _, said = annpipe_here("validate", "inner/mine.yaml", "--untrusted")
    assert code == 3
    assert "../rows.npz" in said


@pytest.mark.parametrize("name", ["os.system", "logging.os.system", "torch.hub.load", "builtins.eval", "__import__"])
@pytest.mark.parametrize("section", ["loss", "optimizer", "model", "data"])
def test_a_spec_can_name_nothing_outside_the_registry(
    annpipe_here: CliHere, tmp_path: Path, name: str, section: str
) -> None:
    """Whatever stands there is looked up, never imported."""
    call = f"{{{name}: [touch was_here]}}"
    spec = [line for line in SPEC.splitlines() if not line.startswith(f"{section}:")]
    write(tmp_path, "\n".join([*spec, f"{section}: {f'[{call}]' if section == 'model' else call}", ""]))
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == 3
    assert said.startswith("error[unknown-component]")
    assert f"'{name}'" in said
    assert not (tmp_path / "was_here").exists()


def test_a_wrong_formula_is_found_without_torch(tmp_path: Path) -> None:
    """Names, options and formulas come from the index alone."""
    write(tmp_path, SPEC.replace("table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}", FORMULA))
    code = (
        "import sys; sys.argv = ['annpipe', 'validate', 'spec.yaml']\n"
        "from annpipe.cli import outcome\n"
        "assert outcome() == 3\n"
        "print(sorted({'torch', 'mlflow', 'numpy', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "there is no 'z' to compute with" in done.stderr


FORMULA = "formula: {rows: 5, inputs: {x: {Uniform: [0, 1]}}, targets: {y: x + z}}"


def test_a_bug_exits_4_and_says_how_to_report_it(
    annpipe_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the traceback, the versions and the command."""
    write(tmp_path, SPEC)
    monkeypatch.setattr("annpipe.runs.spec_source.SpecSource.draft", lambda *_, **__: 1 / 0)
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == 4
    assert "ZeroDivisionError" in said
    assert "bug in annpipe" in said
    assert "annpipe validate spec.yaml" in said
    assert f"Python {sys.version.split()[0]}" in said
