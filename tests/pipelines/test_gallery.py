"""The gallery: every spec says what it does, and does it when its own command is typed."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from annpipe.cli import outcome
from annpipe.datasets.steps.make import dataset_digest, make_dataset
from annpipe.datasets.steps.splits import split_dataset
from annpipe.draft.draft import draft
from annpipe.observer import SILENT
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.record.journal import journal
from annpipe.record.journal.events import DatasetUsed
from annpipe.record.journal.location import embedded_uri
from annpipe.record.journal.state import is_recorded, read_state
from annpipe.record.store.client import Store
from annpipe.registry.registry import Registry
from annpipe.runs.begin import begin
from annpipe.spec import load_spec
from tests.conftest import Cli, CliHere, unrecorded, wait_until_recorded
from tests.sampling import sample

# MLflow warns of its own use of pandas and SQLAlchemy.
pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "pipelines").rglob("*.yaml"))
NAMES = [
    "activations",
    "breast_cancer",
    "diabetes",
    "digits_convnet",
    "digits_mlp",
    "linear_collapse",
    "linear_regression",
    "moons",
    "multi_output",
    "penguins",
    "penguins_heads",
    "perceptron_and",
    "perceptron_xor",
    "quadratic",
    "residual_mlp",
    "sine_lstm",
    "spirals",
    "wine",
    "xor",
]
COMMAND = re.compile(r"^#   (annpipe run pipelines/\S+.*)$", re.MULTILINE)
NOISE_FLOOR = 5 * np.sqrt(2 / np.pi)


def header(spec: Path) -> str:
    """The comment at the top of a spec."""
    return spec.read_text(encoding="utf-8").partition("\nversion:")[0]


@dataclass(frozen=True)
class Ran:
    """A command of the gallery after its end."""

    folder: Path

    @property
    def final(self) -> dict[str, float]:
        """The final values, by key without `final/`."""
        points = [point for event in journal.read(self.folder) for point in journal.points(event)]
        return {key.removeprefix("final/"): value for key, _, value, _ in points if key.startswith("final/")}

    @property
    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        return load_file(self.folder / "model" / "weights.safetensors")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a copy of the gallery, where its commands are typed; in the end every run of it is recorded."""
    folder = tmp_path_factory.mktemp("gallery")
    assert Store(embedded_uri(folder)).answers()  # its store is made here, before anything trains beside it
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    yield folder
    record(folder)
    assert [run.name for run in (folder / "runs").iterdir() if not is_recorded(run)] == []


def in_this_process(project: Path, *words: str) -> str:
    """What a command prints that ends well; it is told `--json` and not to wait for a record."""
    printed, said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
        patch.chdir(project)
        for name in [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "ANNPIPE"))]:
            patch.delenv(name)
        patch.setattr(sys, "argv", ["annpipe", *words])
        code = outcome()
    assert code == 0, said.getvalue()
    return printed.getvalue()


def record(project: Path) -> None:
    """One command makes the records of all runs, which is what each run's own process would do beside it."""
    in_this_process(project, "sync")


Type = Callable[[str], Ran]


def quiet(project: Path, command: str) -> list[str]:
    """The words of a command that prints JSON and waits for no record."""
    program, *words = shlex.split(command)
    assert program == "annpipe"
    has_tracking = load_spec(project / words[1]).root.get("tracking") is not None
    not_waiting = "tracking.wait_seconds=0" if has_tracking else "tracking={wait_seconds: 0}"
    return [*words, "--set", not_waiting, "--json"]


@pytest.fixture(scope="module")
def type_in(project: Path) -> Type:
    """Types a command in the project, within this process."""

    def type_in(command: str) -> Ran:
        with unrecorded():
            printed = in_this_process(project, *quiet(project, command))
        return Ran(Path(json.loads(printed)["folder"]))

    return type_in


def the_command(name: str) -> str:
    """The one command in the header of a spec."""
    (command,) = COMMAND.findall(header(ROOT / "pipelines" / f"{name}.yaml"))
    return str(command)


@pytest.fixture
def run(type_in: Type) -> Type:
    """Types the one command in the header of a spec."""
    return lambda name: type_in(the_command(name))


def plan_of(name: str, *overrides: str) -> Plan:
    """The plan of a spec of the gallery."""
    spec = load_spec(ROOT / "pipelines" / f"{name}.yaml", overrides)
    return resolve(draft(spec, Registry.installed()))


def data_of(name: str, folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The x and y that a run was trained on: its record has the same digest."""
    plan = plan_of(name)
    dataset = make_dataset(plan.data, plan.head.seed)
    (event,) = (event for event in journal.read(folder) if isinstance(event, DatasetUsed))
    assert event.dataset["digest"] == dataset_digest(dataset)
    return dataset.inputs["x"].numpy(), dataset.targets["y"].numpy()


def test_the_gallery_is_whole() -> None:
    """Nineteen specs, each named like its file."""
    assert [spec.stem for spec in SPECS] == NAMES
    assert len(SPECS) == 19
    assert [load_spec(spec).head.name for spec in SPECS] == NAMES


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_a_header_has_command_purpose_expectation_and_time(spec: Path) -> None:
    """Before the spec begins, in this order."""
    text = header(spec)
    assert all(line.startswith("#") for line in text.strip().splitlines())
    parts = (f"#   annpipe run pipelines/{spec.name}", "# Shows:  ", "# Expect:  ", "# Takes:  ")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert re.search(r"# Takes: .*\bseconds?\b", text)


def test_every_spec_is_valid(annpipe_here: CliHere) -> None:
    """All in one command; only the stack of linear layers is warned of."""
    code, _, said = annpipe_here("validate", *SPECS)
    assert code == 0, said
    assert "error" not in said


@pytest.mark.slow
def test_quadratic_settles_at_the_noise_floor_and_its_saved_model_holds_the_curve(annpipe: Cli, project: Path) -> None:
    """All 10,000 epochs in a process with its shipper; MLflow loads the model where annpipe cannot be imported."""
    done = annpipe(*quiet(project, the_command("quadratic")), cwd=project)
    assert done.returncode == 0, done.stderr
    ran = Ran(Path(json.loads(done.stdout)["folder"]))
    assert 3.6 < ran.final["train/loss"] < 4.6
    assert ran.final["train/loss"] == pytest.approx(NOISE_FLOOR, rel=0.1)
    points = [point for event in journal.read(ran.folder) for point in journal.points(event)]
    assert [step for key, step, _, _ in points if key == "train/loss"] == list(range(1, 10_001))
    wait_until_recorded(ran.folder)
    x = np.linspace(-12, 12, 481)
    y = predicted(project, ran.folder, x)
    assert np.abs(y - (x**2 + 3)).mean() < 1.5
    figures = {path.name for path in (ran.folder / "artifacts" / "plots").iterdir()}
    assert figures == {"activations.svg", "data.svg", "learning_curve.svg", "network.svg", "predictions.svg"}


def predicted(project: Path, folder: Path, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the run's model in MLflow answers, asked in a process that has no annpipe."""
    code = (
        "import sys\n"
        "sys.modules['annpipe'] = sys.modules['annpipe_std'] = None\n"
        "import json, mlflow.pyfunc, pandas\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "table = pandas.DataFrame({'x': json.load(sys.stdin)})\n"
        "print(json.dumps(model.predict(table)['y'].tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"models:/{read_state(folder).model_id}"],
        input=json.dumps(x.tolist()), capture_output=True, text=True, check=False, cwd=project,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def test_linear_regression_finds_the_line_of_least_squares(run: Type) -> None:
    """Slope and intercept to three digits, held against the closed form on the same rows."""
    ran = run("linear_regression")
    found = float(ran.weights["0.weight"].item()), float(ran.weights["0.bias"].item())
    x, y = data_of("linear_regression", ran.folder)
    expected, *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
    assert found == pytest.approx(tuple(expected), abs=5e-4)
    assert [f"{value:.3f}" for value in found] == ["2.500", "-1.000"]


def test_a_perceptron_learns_and(run: Type) -> None:
    """All four rows."""
    assert run("perceptron_and").final["train/accuracy"] == 1.0


def test_a_perceptron_does_not_learn_xor(run: Type) -> None:
    """Half of the rows; the loss is that of guessing."""
    final = run("perceptron_xor").final
    assert final["train/accuracy"] == 0.5
    assert final["train/loss"] == pytest.approx(np.log(2), abs=1e-3)


@pytest.mark.parametrize("seed", [1, 4, 5, 9])
def test_no_seed_lets_a_perceptron_learn_xor(seed: int, tmp_path: Path) -> None:
    """No line separates the rows, wherever it starts."""
    plan = plan_of("perceptron_xor", f"seed={seed}", "plots=[]")
    outcome = begin(plan, tmp_path, SILENT, tracking_uri="", artifact_root=None).go()
    assert outcome.status == "FINISHED"
    assert outcome.values["train/accuracy"] == 0.5
    assert outcome.values["train/loss"] == pytest.approx(np.log(2), abs=1e-3)


def test_one_hidden_layer_learns_xor(run: Type) -> None:
    """All four rows."""
    assert run("xor").final["train/accuracy"] == 1.0


@pytest.mark.slow
def test_linear_layers_collapse_to_the_line_of_least_squares(run: Type) -> None:
    """No better than the line, and close to it: four layers are one."""
    ran = run("linear_collapse")
    x, y = data_of("linear_collapse", ran.folder)
    line = float(np.square(np.polyval(np.polyfit(x, y, 1), x) - y).mean())
    assert line * (1 - 1e-6) <= ran.final["train/mean_squared_error"] <= line * 1.005
    (expected,) = re.findall(r"about ([\d,]+)$", header(ROOT / "pipelines/linear_collapse.yaml"), re.MULTILINE)[:1]
    assert float(expected.replace(",", "")) == pytest.approx(line, rel=0.02)


def test_plan_warns_where_linear_layers_meet(annpipe_here: CliHere) -> None:
    """Three times, each at the second of two lines; no other spec is warned of."""
    spec = ROOT / "pipelines" / "linear_collapse.yaml"
    code, _, said = annpipe_here("plan", spec)
    assert code == 0, said
    lines = spec.read_text(encoding="utf-8").splitlines()
    layers = [number for number, line in enumerate(lines, start=1) if line.startswith("  - Linear")]
    warned = re.findall(r"warning\[linear-collapse\].*\n +┌─ \S+linear_collapse\.yaml:(\d+):5", said)
    assert [int(number) for number in warned] == layers[1:]
    assert len(warned) == 3
    assert not any(plan_of(name).warnings for name in NAMES if name != "linear_collapse")


ACTIVATIONS = COMMAND.findall(header(ROOT / "pipelines" / "activations.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("command", ACTIVATIONS, ids=[command.split()[4] for command in ACTIVATIONS])
def test_each_activation_learns_the_curve(command: str, type_in: Type) -> None:
    """The three commands of the header, each under its bound."""
    name = command.split()[4]
    ran = type_in(command)
    assert len(ACTIVATIONS) == 3
    source = (ran.folder / "model" / "network.py").read_text(encoding="utf-8")
    function = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}[name]
    assert re.findall(r"torch\.nn\.(\w+)\(\)", source) == [function, function]
    assert 0.35 < ran.final["train/loss"] < 0.45


@pytest.mark.slow
def test_diabetes_has_the_coefficients_of_scikit_learn(run: Type) -> None:
    """On the rows that the run trained on, each within a thousandth; so has it the same score on the others."""
    ran = run("diabetes")
    plan = plan_of("diabetes")
    splits = split_dataset(make_dataset(plan.data, plan.head.seed), plan.split, plan.head.seed)
    assert splits.test is not None
    x, y = (np.stack(list(columns.values()), axis=1) for columns in (splits.train.inputs, splits.train.targets))
    assert len(x) + splits.test.rows == len(load_diabetes().data)
    expected = LinearRegression().fit(x, y[:, 0])
    np.testing.assert_allclose(ran.weights["0.weight"][0], expected.coef_, rtol=1e-3)
    np.testing.assert_allclose(ran.weights["0.bias"][0], expected.intercept_, rtol=1e-3)
    test_x, test_y = (np.stack(list(part.values()), axis=1) for part in (splits.test.inputs, splits.test.targets))
    assert ran.final["test/r2_score"] == pytest.approx(expected.score(test_x, test_y[:, 0]), abs=1e-4)
    assert_as_expected("diabetes", "test/r2_score", ran)


@pytest.mark.parametrize(
    "name", [pytest.param("digits_convnet", marks=pytest.mark.slow), "digits_mlp", "moons", "penguins", "spirals"]
)
def test_a_classifier_has_the_accuracy_of_its_header(name: str, run: Type) -> None:
    """On the rows that it has not seen."""
    assert_as_expected(name, "test/accuracy", run(name))


@pytest.mark.slow
def test_each_head_of_penguins_learns_its_target(run: Type) -> None:
    """The classes as the header says, the mass better than its mean; a column for each in the saved model."""
    ran = run("penguins_heads")
    assert_as_expected("penguins_heads", "test/species/accuracy", ran)
    assert ran.final["test/body_mass_g/r2_score"] > 0.75
    described = json.loads((ran.folder / "model" / "model.json").read_text(encoding="utf-8"))
    names = [f"species_{number}" for number in range(3)]
    assert [item["name"] for item in described["outputs"]] == [*names, "body_mass_g"]


ASK = """
import json, sys
sys.modules["annpipe"] = sys.modules["annpipe_std"] = None
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = pandas.read_csv(sys.argv[2])
strange = rows.iloc[[0, 0]].assign(island="Atlantis", sex=None, bill_depth_mm=[float("nan"), 18.7])
answers = [model.predict(frame) for frame in (rows, strange)]
print(json.dumps([answer.to_numpy().tolist() for answer in answers]))
"""


@pytest.mark.slow
def test_the_saved_model_of_penguins_takes_raw_rows(run: Type, project: Path) -> None:
    """Every row of the CSV file as pandas reads it, an island never seen and missing values; annpipe is not there."""
    ran = run("penguins")
    record(project)
    model = _models(ran, project)[0]
    file = project / "pipelines" / "tables" / "penguins.csv"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, str(model), str(file)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, strange = json.loads(answer.stdout.splitlines()[-1])
    species = [line.partition(",")[0] for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    right = [answer[0] == truth for answer, truth in zip(rows, species, strict=True)]
    assert np.mean(right) >= 0.97
    assert [answer[0] for answer in strange] == ["Adelie", "Adelie"]
    assert [sum(answer[1:]) for answer in (*rows, *strange)] == pytest.approx([1.0] * (len(rows) + 2))


def _models(ran: Ran, project: Path) -> list[Path]:
    """The MLflow model of a run."""
    digest = (ran.folder / "model" / "weights.safetensors").read_bytes()
    found = (project / "mlartifacts").rglob("MLmodel")
    return [
        file.parent for file in found if digest in [w.read_bytes() for w in file.parent.rglob("weights.safetensors")]
    ]


@pytest.mark.parametrize("name", sample(["residual_mlp", "sine_lstm"], 3, first=2))
def test_a_curve_is_learnt_as_the_header_says(name: str, run: Type) -> None:
    """On the rows that it has not seen; the network is drawn."""
    ran = run(name)
    assert_as_expected(name, "test/r2_score", ran)
    assert (ran.folder / "artifacts" / "plots" / "network.svg").is_file()


@pytest.mark.slow
def test_breast_cancer_is_told_as_its_header_says(run: Type) -> None:
    """Both figures of the header; the figures in the run name the classes."""
    ran = run("breast_cancer")
    assert_as_expected("breast_cancer", "test/accuracy", ran)
    assert ran.final["val/auroc"] > 0.98
    plots = ran.folder / "artifacts" / "plots"
    assert {path.stem for path in plots.iterdir()} == {
        "columns", "learning_curve", "confusion_matrix", "roc_curve", "precision_recall_curve", "calibration"
    }  # fmt: skip


@pytest.mark.slow
def test_wine_has_the_accuracy_of_its_header_and_leaves_samples(run: Type) -> None:
    """A table at three looks, with the classes by name."""
    ran = run("wine")
    assert_as_expected("wine", "test/accuracy", ran)
    tables = sorted(ran.folder.glob("artifacts/looks/samples/*.csv"))
    assert [table.stem for table in tables] == ["epoch_20", "epoch_40", "epoch_60"]
    rows = tables[-1].read_text(encoding="utf-8").splitlines()
    assert rows[0].endswith("proline,y,y_predicted,y_probability")
    assert len(rows) == 11
    assert all("class_" in row for row in rows[1:])


@pytest.mark.slow
def test_several_targets_are_learnt_down_to_their_noise(run: Type) -> None:
    """E|N(0, 0.02)| is the least mean error that there can be; nobody gets below it but by chance."""
    ran = run("multi_output")
    assert_as_expected("multi_output", "test/r2_score", ran)
    floor = 0.02 * np.sqrt(2 / np.pi)
    assert 0.9 * floor < ran.final["test/mean_absolute_error"] < 1.25 * floor


def assert_as_expected(name: str, key: str, ran: Ran) -> None:
    """The final value lies between the two that the header gives."""
    ((low, high),) = re.findall(rf"final/{key} between ([\d.]+) and ([\d.]+)", header(ROOT / f"pipelines/{name}.yaml"))
    assert float(low) <= ran.final[key] <= float(high)
