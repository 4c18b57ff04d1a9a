"""The page for plugin authors: each of its components is found by discovery and does what is said of it."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from annpipe import Dataset, Look, OptionError, Registry, RunView
from annpipe.registry.kinds import KINDS
from tests.conftest import Cli
from tests.training import Go

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every component of the page by name, each block a plugin file of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry, found = Registry(), {}
    for number, block in enumerate(blocks("python")):
        file = tmp_path / f"block_{number}.py"
        file.write_text(block if "import" in block else "", encoding="utf-8")
        for entry in registry.add_file(file):
            found[entry.name] = registry.load(entry)
    return found


def test_every_block_is_a_component_that_discovery_finds(components: dict[str, Any]) -> None:
    """With the names that the page uses in its specs."""
    assert list(components) == [
        "Swish",
        "spiral",
        "max_abs",
        "signs_",
        "PinballLoss",
        "Lion",
        "InverseRoot",
        "PolynomialDecay",
        "Triangular",
        "WorstError",
        "GoodEnough",
        "error_histogram",
    ]


def test_the_layer_passes_its_own_test(components: dict[str, Any]) -> None:
    """Step five of the page."""
    scope: dict[str, Any] = {"torch": torch, "Swish": components["Swish"]}
    (test,) = (block for block in blocks("python") if block.startswith("def test_"))
    exec(test, scope)
    scope["test_swish_is_the_identity_far_to_the_right"]()


def test_the_data_generator_keeps_what_its_fields_say(components: dict[str, Any]) -> None:
    """The same columns, the same dtypes."""
    rows = components["spiral"](rows=10, generator=torch.Generator().manual_seed(0))
    assert list(rows.inputs) == ["x", "y"]
    assert rows.inputs["x"].dtype == torch.float64
    assert rows.targets["arm"].tolist() == [0, 1] * 5


def test_the_transform_divides_by_the_largest_and_back(components: dict[str, Any]) -> None:
    """A column that is 0 throughout stays so."""
    x = torch.tensor([[1.0, 0.0], [-4.0, 0.0]])
    max_abs = components["max_abs"]()
    max_abs.fit(x)
    assert max_abs(x).tolist() == [[0.25, 0.0], [-1.0, 0.0]]
    assert torch.equal(max_abs.inverse(max_abs(x)), x)


def test_the_initializer_takes_both_signs(components: dict[str, Any]) -> None:
    """About as many of one as of the other, and nothing between."""
    torch.manual_seed(0)
    tensor = torch.empty(1000)
    components["signs_"](tensor, size=0.25)
    assert tensor.unique().tolist() == [-0.25, 0.25]
    assert abs(float(tensor.mean())) < 0.05


def test_the_scheduler_falls_as_a_root(components: dict[str, Any]) -> None:
    """To half after three times `slow` steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    falling = components["InverseRoot"](optimizer, slow=1.0)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        falling.step()
    assert rates == pytest.approx([0.8 / (1 + step) ** 0.5 for step in range(4)])


def test_the_average_weighs_late_parameters_more(components: dict[str, Any]) -> None:
    """The closed form of polynomial decay for eta = 1 weighs the t-th value by t: (1 + 2*2 + 3*3) / 6 of 1, 2, 3."""
    model = nn.Linear(1, 1, bias=False)
    averaged = components["PolynomialDecay"](model, eta=1.0)
    for value in (1.0, 2.0, 3.0):
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
    assert averaged.module.weight.item() == pytest.approx(14 / 6)


def test_the_distribution_has_the_mean_of_a_triangle(components: dict[str, Any]) -> None:
    """A third of the sum of its corners; it refuses a peak outside, by the option's name."""
    torch.manual_seed(0)
    drawn = components["Triangular"](2.0, 0.5).sample((20_000,))
    assert float(drawn.mean()) == pytest.approx((0 + 2 + 0.5) / 3, abs=0.02)
    assert 0 <= float(drawn.min()) < float(drawn.max()) <= 2
    with pytest.raises(OptionError, match="between 0 and 1"):
        components["Triangular"](1.0, 1.5)


def test_the_loss_is_least_at_the_quantile(components: dict[str, Any]) -> None:
    """Over 0, 1, …, 100 that is 90 for 0.9."""
    target = torch.arange(101.0)
    losses = [float(components["PinballLoss"](0.9)(torch.full_like(target, n), target)) for n in range(101)]
    assert losses.index(min(losses)) == 90


def test_the_metric_is_the_worst_of_all_batches(components: dict[str, Any]) -> None:
    """And nan before the first."""
    worst = components["WorstError"]()
    assert math.isnan(worst.compute())
    worst.update(torch.tensor([[1.0]]), torch.tensor([[4.0]]))
    worst.update(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    assert worst.compute() == 3.0


def test_the_callback_stops_and_can_be_resumed(components: dict[str, Any]) -> None:
    """After three looks, broken off after two."""
    reasons: list[str] = []

    def look(epoch: int) -> Look:
        return Look(epoch, epoch, {"train/loss": 0.1}, reasons.append, reasons.append, reasons.append)

    first, second = components["GoodEnough"](0.5), components["GoodEnough"](0.5)
    first.on_look(look(1))
    first.on_look(look(2))
    second.load_state_dict(first.state_dict())
    assert not reasons
    second.on_look(look(3))
    assert reasons == ["train/loss was below 0.5 at 3 looks"]


def test_the_plot_draws_a_run(components: dict[str, Any], tmp_path: Path) -> None:
    """A histogram for each target."""
    train = Dataset({"x": torch.arange(5.0)}, {"y": torch.arange(5.0) * 2})
    view = RunView("toy", train, None, None, {}, lambda inputs: {"y": inputs["x"]}, nn.Identity(), "L1Loss")
    figure = components["error_histogram"](view)
    figure.savefig(tmp_path / "residuals.svg")
    assert len(figure.axes[0].patches) == 30


BASE = {
    "data": "data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [0, 1, 4, 9]}}}",
    "model": "model: [Linear: 2, Linear: 1]",
    "loss": "loss: MSELoss",
    "optimizer": "optimizer: {SGD: {lr: 0.01}}",
}


@dataclass(frozen=True)
class Example:
    """A component of the page, and the part of a spec below it that uses its name."""

    kind: str
    name: str
    source: str
    part: str


def examples() -> list[Example]:
    """Those of the page, in their order."""
    listed = []
    for text in PAGE.split("```python\n")[1:]:
        source, _, after = text.partition("```")
        marked = re.search(rf"^@({'|'.join(KINDS)})\b(?:\(.*?name=\"(\w+)\")?.*\n(?:class|def) (\w+)", source, re.M)
        if marked:
            kind, name = marked[1], marked[2] or marked[3]
            parts = re.findall(r"^`(\w+: [^`]+)`", after, re.M) + re.findall(r"^plugins: .*\n([^`]+)```", after, re.M)
            listed.append(Example(kind, name, source, next(part for part in parts if name in part)))
    return listed


def test_every_kind_has_an_example() -> None:
    """In the order of the page; a kind that is new needs one."""
    assert {example.kind for example in examples()} == set(KINDS)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_an_example_trains_by_the_part_of_a_spec_below_it(go: Go, tmp_path: Path, example: Example) -> None:
    """With sections for all that it does not say; data that it names come from their own example."""
    sections = {name: text for name, text in BASE.items() if not example.part.startswith(f"{name}:")}
    files = {example.name: example.source}
    if "spiral" in example.part and example.name != "spiral":
        files["spiral"] = next(other.source for other in examples() if other.name == "spiral")
    lines = ["version: 1", "name: page", "device: {type: cpu, threads: 1}", *sections.values(), "train: {epochs: 2}"]
    plugins = f"plugins: [{', '.join(f'./{name}.py' for name in files)}]"
    gone = go("\n".join([*lines, plugins, example.part]), **files)
    assert gone.outcome.status == "FINISHED", gone.said
    if example.kind == "plot":
        assert (gone.folder / "artifacts" / "plots" / f"{example.name}.svg").is_file()


def test_no_example_takes_the_name_of_a_component_that_is_there(registry_entries: Registry) -> None:
    """Neither on this page nor in the folder of examples: a spec would be refused."""
    registry = Registry()
    for file in sorted((ROOT / "examples").rglob("[!_]*.py")):
        registry.add_file(file)
    named = [(kind, entry.name) for kind in KINDS for entry in registry.entries(kind)]
    assert len(named) >= 5
    named += [(example.kind, example.name) for example in examples()]
    assert [(kind, name) for kind, name in named if registry_entries.find(kind, name)] == []


ONE_FILE = """
version: 1
name: page
seed: 1
plugins: [./page.py]
device: {type: cpu, threads: 1}
data: {spiral: {rows: 60}, transforms: {number: max_abs}}
model: {layers: [Linear: 6, Swish: {beta: 2.0}, Linear: 1], init: {weight: signs_}}
loss: {PinballLoss: 0.6}
optimizer: {Lion: {lr: 1e-3}}
scheduler: {InverseRoot: 5}
average: {PolynomialDecay: 5}
train: {epochs: 4}
metrics: [WorstError]
callbacks: [{GoodEnough: 0.001}]
plots: [error_histogram]
tracking: {wait_seconds: 60}
"""
ASK_BOTH = """
import sys
for name in ("annpipe", "annpipe_std", "pydantic"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
import torch, network
from safetensors.torch import load_file
model = network.build()
model.load_state_dict(load_file(sys.argv[1] + "/weights.safetensors"))
model.eval()
with torch.no_grad():
    print(float(model(torch.tensor([[0.5, -0.25]]))))
"""
ASK_MLFLOW = """
import sys, warnings
warnings.simplefilter("ignore")
sys.modules["annpipe"] = None
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(float(model.predict(pandas.DataFrame({"x": [0.5], "y": [-0.25]})).iloc[0, 0]))
"""


@pytest.mark.slow
def test_every_block_in_one_file_trains_and_its_model_answers_without_annpipe(annpipe: Cli, tmp_path: Path) -> None:
    """All components of the page in one plugin file: the run, `annpipe predict`, plain torch and MLflow agree."""
    file = "\n\n".join(block for block in blocks("python") if not block.startswith("def test_"))
    (tmp_path / "page.py").write_text(file, encoding="utf-8")
    (tmp_path / "page.yaml").write_text(ONE_FILE, encoding="utf-8")
    done = annpipe("run", "page.yaml", "--json")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    (tmp_path / "rows.csv").write_text("x,y\n0.5,-0.25\n", encoding="utf-8")
    told = annpipe("predict", run.name, "rows.csv")
    assert told.returncode == 0, told.stderr
    answers = [float(told.stdout.splitlines()[1].split(",")[0]), alone(ASK_BOTH, str(run / "model"))]
    (model,) = (tmp_path / "mlartifacts").rglob("MLmodel")
    answers.append(alone(ASK_MLFLOW, str(model.parent)))
    assert answers == pytest.approx([answers[1]] * 3, rel=1e-5)


def alone(program: str, folder: str) -> float:
    """What a program prints of a folder, in a process without annpipe."""
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_the_tables_name_every_kind_and_all_that_is_filled_in() -> None:
    """What the engine supplies stands on the page, kind by kind."""
    for kind in KINDS.values():
        assert f"| {kind.name} | `@{kind.name}`" in PAGE
        if kind.supplied:
            line = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind.name} | `") and "@" not in line)
            assert set(re.findall(r"`([a-z_]+)`", line)) == kind.supplied


def test_the_specs_and_the_packaging_on_the_page_can_be_read() -> None:
    """YAML is YAML, TOML is TOML."""
    assert [list(yaml.safe_load(block)) for block in blocks("yaml")] == [["plugins", "model"]]
    (packaging,) = map(tomllib.loads, blocks("toml"))
    assert packaging["project"]["entry-points"]["annpipe.plugins"] == {"swish": "annpipe_swish"}
