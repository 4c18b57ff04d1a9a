"""`annpipe new component`: a component of every kind that a spec may use at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from annpipe.registry.kinds import KINDS
from annpipe.scaffold.templates_by_kind import BASE
from tests.conftest import CliHere


@pytest.mark.parametrize("kind", KINDS)
def test_the_lines_that_it_prints_make_a_valid_spec(annpipe_here: CliHere, tmp_path: Path, kind: str) -> None:
    """With sections for what they do not say."""
    code, out, err = annpipe_here("new", "component", kind, "my_idea")
    assert (code, err) == (0, "")
    sections = dict(re.findall(r"^  (\w+): (.*)$", out, re.MULTILINE))
    assert sections["plugins"] == "[plugins/my_idea.py]"
    spec = {"version": "1", "name": "idea", **BASE, **sections}
    (tmp_path / "idea.yaml").write_text("".join(f"{key}: {text}\n" for key, text in spec.items()), encoding="utf-8")
    assert annpipe_here("validate", "idea.yaml") == (0, "idea.yaml: ok\n", "")


def test_nothing_is_overwritten(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Neither a component of the project nor a test that stands there."""
    assert annpipe_here("new", "component", "layer", "Gate")[0] == 0
    (tmp_path / "plugins" / "gate.py").write_text("mine = 1\n", encoding="utf-8")
    code, out, err = annpipe_here("new", "component", "loss", "gate")
    assert (code, out) == (3, "")
    assert "gate.py is there already" in err
    assert (tmp_path / "plugins" / "gate.py").read_text(encoding="utf-8") == "mine = 1\n"
    (tmp_path / "plugins" / "test_other.py").write_text("", encoding="utf-8")
    assert annpipe_here("new", "component", "loss", "Other")[0] == 3
    assert not (tmp_path / "plugins" / "other.py").exists()


def test_a_name_of_another_file_is_taken(annpipe_here: CliHere) -> None:
    """A spec that lists both would be refused."""
    annpipe_here("new", "component", "layer", "Gate")
    code, _, err = annpipe_here("new", "component", "loss", "Gate")
    assert code == 3
    assert "'Gate' is defined already, at" in err


def test_an_unknown_kind_is_answered_with_the_nearest(annpipe_here: CliHere, tmp_path: Path) -> None:
    """And nothing is written."""
    code, _, err = annpipe_here("new", "component", "layr", "Gate")
    assert code == 2
    assert "did you mean 'layer'" in err
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_the_tests_of_every_kind_pass_as_printed(annpipe_here: CliHere, tmp_path: Path) -> None:
    """In a process of their own, as the command says."""
    for kind in KINDS:
        assert annpipe_here("new", "component", kind, f"My{kind.title()}")[0] == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "plugins"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert int(re.findall(r"(\d+) passed", run.stdout)[0]) >= len(KINDS)
