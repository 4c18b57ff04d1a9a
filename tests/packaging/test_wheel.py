"""The wheel holds the engine and the built-in library and nothing else, and works where the repository is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = """
version: 1
name: wheel
data: {formula: {rows: 50, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x + 1}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 300}
metrics: [R2Score]
plots: [learning_curve]
tracking: {wait_seconds: 120}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the working tree without a download."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_two_packages_and_nothing_else(wheel: Path) -> None:
    """No top-level `plugins`, `pipelines` or `tests`; the index and the type marker are in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    tops = {name.partition("/")[0] for name in names}
    (information,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {"annpipe", "annpipe_std", information}
    kinds = {Path(name).suffix for name in names if not name.startswith(information)}
    assert kinds <= {".py", ".json", ".md", ".typed", ".txt", ".css", ".html"}
    assert "annpipe/scaffold/templates/test_layer.py" in names
    assert "annpipe/scaffold/distribution_files/pyproject.toml.txt" in names
    assert "annpipe/explanations/unknown-component.md" in names
    assert "annpipe_std/annpipe_index.json" in names
    assert f"{information}/licenses/LICENSE" in names
    assert "[annpipe.plugins]\nstd = annpipe_std" in entry_points
    assert "annpipe = annpipe.cli:main" in entry_points
    assert "[pytest11]\nannpipe.testing.pytest_options = annpipe.testing.pytest_options" in entry_points


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel, and the dependencies of this one.

    The dependencies come by a path file, which comes after the environment's own packages; path files in there, such
    as that of an editable install of annpipe, are not followed.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, system_site_packages=False, with_pip=False, symlinks=True)
    paths = {"base": str(home), "platbase": str(home)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    dependencies = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(home), "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-index", "--ignore-installed", str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    assert (site / "annpipe" / "__init__.py").is_file()
    return Path(sysconfig.get_path("scripts", "venv", paths))


@pytest.mark.slow
def test_a_spec_runs_from_the_wheel_where_the_repository_is_not(scripts: Path, tmp_path: Path) -> None:
    """Trained, recorded, drawn, saved; everything annpipe imported came out of the wheel."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    unwanted = ("MLFLOW", "ANNPIPE", "PYTHON", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    where = subprocess.run(
        [scripts / "python", "-c", "import annpipe, annpipe_std; print(annpipe.__file__, annpipe_std.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(Path(file).is_relative_to(scripts.parent) for file in where.stdout.split())
    done = subprocess.run(
        [scripts / "annpipe", "run", "spec.yaml", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["recorded"]) == ("FINISHED", True)
    assert result["values"]["train/r2_score"] > 0.99
    folder = Path(result["folder"])
    assert (folder / "artifacts/plots/learning_curve.svg").is_file()
    assert (folder / "model/weights.safetensors").is_file()
