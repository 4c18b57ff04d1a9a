"""Every spec of the gallery, ejected: formatted, and the same losses where annpipe cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from annpipe.eject.check import check
from annpipe.observer import SILENT
from annpipe.runs.launch import complete
from annpipe.runs.spec_source import SpecSource
from tests.conftest import ROOT
from tests.eject.ejecting import script_of

SPECS = sorted((ROOT / "pipelines").glob("*.yaml"))
EXAMPLE = ROOT / "examples" / "ejected" / "quadratic.py"


def test_the_example_is_the_script_of_its_spec() -> None:
    """`annpipe eject pipelines/quadratic.yaml -o examples/ejected/quadratic.py --force` writes it again."""
    plan = complete(SpecSource(ROOT / "pipelines" / "quadratic.yaml").draft(), SILENT)
    assert EXAMPLE.read_text(encoding="utf-8") == script_of(plan, EXAMPLE.parent)


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_every_spec_trains_the_same_without_annpipe(spec: Path, tmp_path: Path) -> None:
    """Three epochs in a process of its own, bit for bit; the text is as a formatter and a linter want it."""
    plan = complete(SpecSource(spec, ("train.epochs=3",)).draft(), SILENT)
    script = tmp_path / f"{spec.stem}.py"
    script.write_text(script_of(plan, tmp_path), encoding="utf-8")
    comparison = check(plan, script, SILENT)
    assert comparison.is_equal, comparison
    assert comparison.epochs == 3
    for ruff in (["format", "--check"], ["check", "--ignore", "T20"]):
        command = [sys.executable, "-m", "ruff", *ruff, "--config", str(ROOT / "pyproject.toml"), str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_gallery_is_all_there() -> None:
    """The glob found it."""
    assert len(SPECS) >= 19
