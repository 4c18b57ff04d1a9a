"""Each example does what its header says, from the command line; its saved model needs no annpipe."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal import journal
from annpipe.record.journal.location import embedded_uri
from annpipe.record.journal.state import read_state
from annpipe.record.store.client import Store
from tests.conftest import wait_until_recorded

# MLflow warns of its own use of pandas and SQLAlchemy.
pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SPECS = sorted(EXAMPLES.rglob("*.yaml"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a copy of the examples, and with a store: made here, before anything trains beside it."""
    folder = tmp_path_factory.mktemp("examples")
    assert Store(embedded_uri(folder)).answers()
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def final(folder: Path) -> dict[str, float]:
    """The final values of a run, by key without `final/`."""
    points = [point for event in journal.read(folder) for point in journal.points(event)]
    return {key.removeprefix("final/"): value for key, _, value, _ in points if key.startswith("final/")}


def run(annpipe: Any, project: Path, spec: Path, **environment: str) -> Path:
    """Types the command of a spec's header; gives the run's folder once its record is complete."""
    shown = spec.relative_to(ROOT)
    assert f"#   annpipe run {shown}\n" in spec.read_text(encoding="utf-8")
    done = annpipe("run", shown, "--json", cwd=project, **environment)
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout)["folder"])
    wait_until_recorded(folder)
    return folder


def predictions(folder: Path, project: Path, column: str, values: list[float], *blocked: str) -> list[float]:
    """What the run's model answers, loaded by MLflow in a process where the blocked modules cannot be imported."""
    code = (
        "import json, sys\n"
        "for name in sys.argv[3:]: sys.modules[name] = None\n"
        "import mlflow.pyfunc, pandas\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print(json.dumps(model.predict(pandas.DataFrame({sys.argv[2]: json.load(sys.stdin)}))['y'].tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"models:/{read_state(folder).model_id}", column, *blocked],
        input=json.dumps(values), capture_output=True, text=True, check=False, cwd=project,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[float] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_every_example_is_tested_here() -> None:
    """Three specs, each with command, expectation and time in its header."""
    assert [spec.relative_to(EXAMPLES).as_posix() for spec in SPECS] == [
        "custom_plugin/spec.yaml",
        "plugin_distribution/spec.yaml",
        "watching/spec.yaml",
        "whole_model/spec.yaml",
    ]
    for spec in SPECS:
        assert re.search(r"# Expect: .*\n(#  .*\n)*# Takes: .*second", spec.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_components_of_a_local_file_train_to_the_promised_result(annpipe: Any, project: Path) -> None:
    """A layer, a data generator and a loss; MLflow loads the model without annpipe."""
    folder = run(annpipe, project, EXAMPLES / "custom_plugin" / "spec.yaml")
    values = final(folder)
    assert values["train/loss"] < 0.02
    assert values["train/r2_score"] > 0.85
    assert values["val/r2_score"] > 0.85
    t = [0.1 * step for step in range(100)]
    answers = predictions(folder, project, "t", t, "annpipe", "annpipe_std")
    errors = [abs(y - math.exp(-0.2 * at) * math.sin(3 * at)) for at, y in zip(t, answers, strict=True)]
    assert sum(errors) / len(errors) < 0.15


@pytest.mark.slow
def test_one_layer_is_the_whole_model(annpipe: Any, project: Path) -> None:
    """What it holds fixed travels with its weights; the model is loaded where annpipe cannot be imported."""
    folder = run(annpipe, project, EXAMPLES / "whole_model" / "spec.yaml")
    assert final(folder)["test/r2_score"] > 0.95
    code = (
        "import sys\n"
        "sys.modules['annpipe'] = sys.modules['annpipe_std'] = None\n"
        "import torch, network\n"
        "from safetensors.torch import load_file\n"
        "model = network.build()\n"
        "model.load_state_dict(load_file('weights.safetensors'))\n"
        "a, b = torch.meshgrid(torch.linspace(-1.5, 1.5, 9), torch.linspace(-1.5, 1.5, 9), indexing='ij')\n"
        "y = model(torch.stack([a.flatten(), b.flatten()], 1))[:, 0]\n"
        "print(float((y - torch.sin(2 * a.flatten()) * torch.cos(b.flatten())).abs().mean()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "model", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.1


@pytest.mark.slow
def test_what_watches_a_run_may_be_a_plugin(annpipe: Any, project: Path) -> None:
    """The metric has its value, the callback ends the run and leaves its table, the plot is drawn."""
    folder = run(annpipe, project, EXAMPLES / "watching" / "spec.yaml")
    assert final(folder)["train/within"] > 0.99
    header, *rows = (folder / "artifacts/looks/gradient_norms.csv").read_text(encoding="utf-8").splitlines()
    epochs, norms = zip(*(map(float, row.split(",")) for row in rows), strict=True)
    assert header == "epoch,norm"
    assert list(epochs) == [50.0 * n for n in range(1, len(epochs) + 1)]
    assert epochs[-1] < 2000
    assert norms[-1] < 3e-4 <= min(norms[:-1])
    assert (folder / "artifacts/plots/error_over_input.svg").is_file()


@pytest.mark.slow
def test_the_plot_of_the_example_refuses_what_it_cannot_draw(annpipe: Any, project: Path) -> None:
    """Two inputs have no one axis: at its line, before anything runs."""
    two = "data.formula.inputs.z={Uniform: [0, 1]}"
    done = annpipe("plan", EXAMPLES / "watching" / "spec.yaml", "--set", two, cwd=project)
    assert done.returncode == 3
    assert "`error_over_input`: it draws over the only input, a number" in done.stderr
    assert "watching/spec.yaml:28:25" in done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The third-party distribution, built and installed into a folder of its own, without any download."""
    source = tmp_path_factory.mktemp("source") / "plugin_distribution"
    shutil.copytree(EXAMPLES / "plugin_distribution", source, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--no-build-isolation", "--target", str(target), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


@pytest.mark.slow
def test_an_installed_plugin_is_listed_with_its_origin(annpipe: Any, installed: Path) -> None:
    """Name and version of the distribution, and the options out of the signature; without it, the name is unknown."""
    version = tomllib.loads((EXAMPLES / "plugin_distribution/pyproject.toml").read_text())["project"]["version"]
    shown = annpipe("show", "layer", "RadialBasis", PYTHONPATH=str(installed))
    assert shown.returncode == 0, shown.stderr
    assert f"annpipe-rbf {version}" in shown.stdout
    assert "How many bells" in shown.stdout
    without = annpipe("show", "layer", "RadialBasis")
    assert without.returncode == 2


@pytest.mark.slow
def test_components_of_an_installed_plugin_train_to_the_promised_result(
    annpipe: Any, project: Path, installed: Path
) -> None:
    """No `plugins:` list; the run names the plugin's version, the model the distribution that it needs."""
    folder = run(annpipe, project, EXAMPLES / "plugin_distribution" / "spec.yaml", PYTHONPATH=str(installed))
    values = final(folder)
    assert values["train/loss"] < 0.001
    assert values["train/max_error"] < 0.1
    assert journal.run_begun(folder).tags["annpipe.plugin.annpipe-rbf"] == "0.1.0"
    assert "annpipe-rbf==0.1.0" in json.loads((folder / "model/model.json").read_text())["requirements"]
