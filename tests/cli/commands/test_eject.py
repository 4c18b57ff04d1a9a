"""`annpipe eject`: the file, what is said of it, and what is refused."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.conftest import CliHere

SPEC = """version: 1
name: line
data:
  table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [1, 3, 5, 7]}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 3}
plots: [learning_curve, residuals]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "line.yaml"
    file.write_text(SPEC, encoding="utf-8")
    return file


def test_a_spec_becomes_a_file_without_annpipe(spec: Path, annpipe_here: CliHere) -> None:
    """The command says what the file lacks, as JSON too."""
    code, out, err = annpipe_here("eject", "line.yaml", "-o", "line.py", "--json")
    assert code == 0, err
    assert json.loads(out) == {"file": "line.py", "left_out": ["residuals"], "check": None}
    tree = ast.parse((spec.parent / "line.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"torch", "matplotlib.pyplot"}


def test_a_file_that_exists_is_kept(spec: Path, annpipe_here: CliHere) -> None:
    """Unless it is said otherwise."""
    file = spec.parent / "line.py"
    file.write_text("mine\n", encoding="utf-8")
    code, _, err = annpipe_here("eject", "line.yaml", "-o", "line.py")
    assert (code, file.read_text(encoding="utf-8")) == (1, "mine\n")
    assert "'line.py' exists; `--force` writes over it" in err
    code, out, _ = annpipe_here("eject", "line.yaml", "-o", "line.py", "--force")
    assert code == 0
    assert "without  residuals" in out
    assert file.read_text(encoding="utf-8").startswith('"""line: ')


def test_what_has_no_plain_form_is_refused_at_its_line(spec: Path, annpipe_here: CliHere) -> None:
    """Nothing is written then."""
    callback = "from annpipe import callback\n\n\n@callback\nclass Mine:\n    def on_look(self, look):\n        pass\n"
    (spec.parent / "mine.py").write_text(callback, encoding="utf-8")
    spec.write_text(SPEC + "plugins: [./mine.py]\ncallbacks:\n  - Mine\n", encoding="utf-8")
    code, _, err = annpipe_here("eject", "line.yaml", "-o", "line.py")
    assert code == 3
    assert "line.yaml:12:5: the callback 'Mine' cannot be ejected" in err
    assert not (spec.parent / "line.py").exists()


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("train: {epochs: 3}", "train: {epochs: 3, max_seconds: 60}", "line.yaml:8:33: `train.max_seconds`"),
        ("train: {epochs: 3}", "train: {epochs: 3, non_finite: skip}", "line.yaml:8:32: `train.non_finite: skip`"),
        ("plots:", "device: {autocast: float16}\nplots:", "line.yaml:9:20: `device.autocast: float16`"),
    ],
)
def test_what_is_no_component_is_refused_at_its_line(
    spec: Path, annpipe_here: CliHere, old: str, new: str, place: str
) -> None:
    spec.write_text(SPEC.replace(old, new), encoding="utf-8")
    code, _, err = annpipe_here("eject", "line.yaml", "-o", "line.py")
    assert code == 3
    assert f"{place} cannot be ejected" in err


@pytest.mark.slow
def test_a_run_is_ejected_and_checked(spec: Path, annpipe_here: CliHere) -> None:
    """Its plan is the spec; a script that trains something else is found out."""
    code, _, err = annpipe_here("run", "line.yaml")
    assert code == 0, err
    code, out, err = annpipe_here("eject", "line", "-o", "line.py", "--check")
    assert code == 0, err
    assert "check    3 epochs, every loss the same bit for bit" in out
