"""`annpipe new plugin`: a distribution that installs, shows in `annpipe list` and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from tests.conftest import CliHere

ALL = [argument for kind in KINDS for argument in ("--kind", kind)]


def test_every_kind_is_written_and_described(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Each module is found to mark the component that its spec names; nothing is left to be filled in."""
    code, out, err = annpipe_here("new", "plugin", "tides", *ALL)
    assert (code, err) == (0, "")
    folder = tmp_path / "annpipe-tides"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["annpipe.plugins"] == {"tides": "annpipe_tides"}
    for kind in KINDS:
        registry = Registry()
        (entry,) = registry.add_file(folder / "annpipe_tides" / f"tides_{kind}.py")
        assert (entry.kind, entry.name.lower().replace("_", "")) == (kind, f"tides{kind}")
        spec = folder / f"spec_tides_{kind}.yaml"
        assert entry.name in str(yaml.safe_load(spec.read_text(encoding="utf-8")))
        assert f"{kind} {entry.name}" in out
        assert f"| `{entry.name}` | {kind} | `{spec.name}` |" in (folder / "README.md").read_text(encoding="utf-8")
    assert not any("@" in path.read_text(encoding="utf-8") for path in folder.glob("*.toml"))
    assert os.listdir(tmp_path) == ["annpipe-tides"]


def test_a_component_may_have_a_name_of_its_own(annpipe_here: CliHere, tmp_path: Path) -> None:
    """And a kind may come twice; one component alone is called as the distribution."""
    assert annpipe_here("new", "plugin", "tides", "--kind", "layer=Ebb", "--kind", "layer=Flow")[0] == 0
    assert annpipe_here("new", "plugin", "moon", "--kind", "layer")[0] == 0
    package = tmp_path / "annpipe-tides" / "annpipe_tides"
    assert sorted(path.name for path in package.iterdir()) == ["__init__.py", "ebb.py", "flow.py"]
    assert "- Moon\n" in (tmp_path / "annpipe-moon" / "spec.yaml").read_text(encoding="utf-8").replace(
        "Moon:", "- Moon\n"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["tides", "--kind", "layer=Linear"], "exists already: it comes from torch"),
        (["tides", "--kind", "layer=Ebb", "--kind", "loss=ebb"], "two components would stand in ebb.py"),
        (["tides", "--kind", "layer", "--kind", "layer"], "two components would stand in tides_layer.py"),
        (["std", "--kind", "layer"], "would hide the module 'annpipe_std'"),
        (["tides/ebb", "--kind", "layer"], "cannot be the name of a distribution"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    annpipe_here: CliHere, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    """With exit code 3."""
    code, out, err = annpipe_here("new", "plugin", *arguments)
    assert (code, out) == (3, "")
    assert reason in err
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_stays(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Whatever it holds."""
    (tmp_path / "annpipe-tides").mkdir()
    (tmp_path / "annpipe-tides" / "README.md").write_text("mine", encoding="utf-8")
    code, _, err = annpipe_here("new", "plugin", "tides", "--kind", "layer")
    assert code == 3
    assert "is there already, and nothing is overwritten" in err
    assert os.listdir(tmp_path / "annpipe-tides") == ["README.md"]


@pytest.mark.slow
def test_it_installs_lists_validates_and_passes_its_tests(annpipe_here: CliHere, tmp_path: Path) -> None:
    """In a new environment that sees the packages of this one: pip, then its tests, then every spec of it."""
    assert annpipe_here("new", "plugin", "tides", *ALL)[0] == 0
    python = environment(tmp_path / "venv")
    folder = tmp_path / "annpipe-tides"

    def call(*arguments: str) -> str:
        run = subprocess.run([python, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    call("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", ".")
    assert "TidesLayer" in call("annpipe", "list", "layer")
    listed = call("annpipe", "plugins", "list")
    assert "annpipe-tides 0.1.0" in listed
    assert " passed" in call("pytest", "-q")
    specs = [path.name for path in folder.glob("*.yaml")]
    assert call("annpipe", "validate", *specs).count(": ok") == len(KINDS)


def environment(folder: Path) -> str:
    """The Python of a new virtual environment in which the packages of this process can be imported."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    paths = [path for path in sys.path if path and Path(path).is_dir()]
    (site / "of_the_tests.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return str(folder / "bin" / "python")
