"""The README tells the truth: its spec, its commands, its error and its plugin are tried as they stand."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from annpipe.backend.instantiate import instantiate
from annpipe.cli import COMMANDS
from annpipe.draft.draft import draft
from annpipe.registry import Registry
from annpipe.spec import load_spec
from annpipe.spec.sections.spec import TOP_KEYS
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file, read_text

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```", README, re.S | re.M)
Cli = Callable[..., subprocess.CompletedProcess[str]]
CliHere = Callable[..., tuple[int, str, str]]


def block(language: str, containing: str) -> str:
    """The one code block of a language that contains some words."""
    found = [text for name, text in BLOCKS if name == language and containing in text]
    assert len(found) == 1, (language, containing, len(found))
    return found[0]


def test_the_spec_in_the_readme_is_the_main_job() -> None:
    """The same spec as pipelines/quadratic.yaml, its note aside."""
    shown = plain(read_text(block("yaml", "name: quadratic"), "README.md"))
    shipped = plain(read_file(ROOT / "pipelines" / "quadratic.yaml"))
    assert shipped.pop("description")
    assert shown == shipped


def test_the_first_command_names_files_that_exist() -> None:
    """The commands of the set-up are there, with constraints."""
    first = block("sh", "annpipe run pipelines/quadratic.yaml")
    assert first == "python -m pip install -c constraints.txt -e . && annpipe run pipelines/quadratic.yaml\n"
    assert block("sh", "pytest") == 'python -m pip install -c constraints.txt -e ".[dev]" && python -m pytest -n auto\n'
    assert (ROOT / "constraints.txt").is_file()


def test_the_error_shown_is_the_error_printed(annpipe: Cli, tmp_path: Path) -> None:
    """Word for word, on the spec with one letter too many."""
    (tmp_path / "pipelines").mkdir()
    text = (ROOT / "pipelines" / "quadratic.yaml").read_text(encoding="utf-8")
    (tmp_path / "pipelines" / "quadratic.yaml").write_text(text.replace("{Adam:", "{Adamm:"), encoding="utf-8")
    done = annpipe("validate", "pipelines/quadratic.yaml")
    assert done.returncode == 3
    assert block("", "error[unknown-component]") in done.stderr


def test_the_plugin_of_the_readme_works(annpipe: Cli, tmp_path: Path) -> None:
    """Pasted into swish.py, listed by a spec, run; its option is checked."""
    (tmp_path / "swish.py").write_text(block("python", "class Swish"), encoding="utf-8")
    spec = """
version: 1
name: swish
plugins: [./swish.py]
data: {table: {inputs: {x: [0, 1, 2]}, targets: {y: [0, 1, 4]}}}
model: [Linear: 4, Swish: 1.5, Linear: 1]
loss: L1Loss
optimizer: Adam
train: {epochs: 3}
"""
    (tmp_path / "spec.yaml").write_text(spec)
    done = annpipe("run", "spec.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "FINISHED"
    (tmp_path / "spec.yaml").write_text(spec.replace("Swish: 1.5", "Swish: fast"))
    assert "`Swish.beta` must be a number; found the word 'fast'" in annpipe("validate", "spec.yaml").stderr


def test_the_extending_spec_of_the_readme_works(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Pasted beside the seed; its width comes from the variable and its rate from its own optimizer."""
    shutil.copy(ROOT / "pipelines" / "quadratic.yaml", tmp_path)
    (tmp_path / "wide.yaml").write_text(block("yaml", "extends: quadratic.yaml"), encoding="utf-8")
    code, out, said = annpipe_here("plan", "wide.yaml", "--json")
    assert code == 0, said
    plan = json.loads(out)
    assert plan["name"] == "wide"
    assert plan["model"][0]["Linear"]["out_features"] == 200
    assert plan["optimizer"]["Adam"]["lr"] == 1e-3
    assert plan["train"]["epochs"] == 10_000


def test_the_warm_up_of_the_readme_warms_up(tmp_path: Path, registry_entries: Registry) -> None:
    """Laid over the seed: five epochs up to the optimizer's rate from a hundredth of it, then down to nothing."""
    shutil.copy(ROOT / "pipelines" / "quadratic.yaml", tmp_path)
    text = "extends: quadratic.yaml\n" + block("yaml", "SequentialLR")
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    drafted = draft(load_spec(tmp_path / "spec.yaml"), registry_entries.copy())
    assert drafted.scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = instantiate(drafted.scheduler, drafted.registry, optimizer=optimizer)
    rates = []
    for _ in range(drafted.spec.train.epochs or 0):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    up, down = [0.01 + 0.99 * n / 5 for n in range(5)], [(1 + math.cos(math.pi * n / 95)) / 2 for n in range(95)]
    assert rates == pytest.approx(up + down)


REST = "version: 1\nname: t\nloss: MSELoss\noptimizer: SGD\ntrain: {epochs: 1}\n"
TABLE = "data: {formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}, z: {Uniform: [-1, 1]}}, targets: {y: x*z}}}\n"
PICTURES = "data: {npz: {file: rows.npz, inputs: [image, age, cost, cost_2], targets: [age_2]}}\n"
PENGUINS = "data: {npz: {file: rows.npz, inputs: [age, cost], targets: [species, mass], labels: [species]}}\n"
ARRAYS = {name: np.arange(6.0) % 3 for name in ("age", "age_2", "cost", "cost_2", "species", "mass")}
ARRAYS |= {"image": np.ones((6, 1, 8, 8))}
SEQUENCES = "plugins: [./waves.py]\ndata: {waves: {rows: 40}}\n"


@pytest.mark.parametrize(
    ("containing", "data", "gives"),
    [
        ("- repeat: ", TABLE, [64, 64, 64, 16, 1]),
        ("encoder: [Linear: 32", TABLE, [32, 32, 1]),
        ("kaiming_normal_", TABLE, [32, 32, 1]),
        ("- tap: given", TABLE, [2, 16, 16, 16, 18, 16, 16, 34, 1]),
        ("output_of", SEQUENCES, [32, 1]),
        ("picture: {columns: image", PICTURES, [32, 32, 1]),
        ("species: {layers", PENGUINS, [32, 32]),
    ],
)
def test_the_models_of_the_readme_work(
    containing: str, data: str, gives: list[int], annpipe_here: CliHere, tmp_path: Path
) -> None:
    """Each on data of its kind; `plan` shows the widths that are told."""
    shutil.copy(ROOT / "pipelines" / "waves.py", tmp_path)
    np.savez(tmp_path / "rows.npz", **ARRAYS)
    rest = REST.replace("loss: MSELoss\n", "") if data == PENGUINS else REST
    (tmp_path / "spec.yaml").write_text(rest + data + block("yaml", containing), encoding="utf-8")
    code, printed, said = annpipe_here("plan", "spec.yaml")
    assert code == 0, said
    rows = [line for line in printed.splitlines() if re.match(r"\d+ ", line)]
    assert [int(re.findall(r"\(rows, (\d+)\)", row)[-1]) for row in rows] == gives


@pytest.mark.parametrize(
    "options",
    [
        line.partition("SPEC ")[2].partition("#")[0]
        for line in re.findall(r"^\$ annpipe run SPEC --.*$", README, re.MULTILINE)
    ],
)
def test_the_overrides_of_the_readme_work(annpipe_here: CliHere, tmp_path: Path, options: str) -> None:
    """Each line of them, on the seed with a scheduler to leave out."""
    seed = (ROOT / "pipelines" / "quadratic.yaml").read_text(encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(f"{seed}\nscheduler: {{StepLR: 100}}\n", encoding="utf-8")
    code, _, said = annpipe_here("run", "spec.yaml", *shlex.split(options), "--dry-run")
    assert code == 0, said


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_is_in_the_readme(command: str) -> None:
    """And has help of its own."""
    assert f"`annpipe {command}" in README


def test_every_section_is_in_the_readme() -> None:
    """The table of sections is complete."""
    table = README[README.index("| section | says") :]
    assert not [section for section in TOP_KEYS if f"`{section}`" not in table]


def test_links_and_images_lead_somewhere() -> None:
    """Every relative link of the Markdown pages is a file of the project."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "plugins" / "README.md"]
    assert len(pages) >= 3
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_specs_under_the_project_read(annpipe: Cli) -> None:
    """`annpipe validate` takes all of the gallery in one call."""
    specs = sorted((ROOT / "pipelines").rglob("*.yaml"))
    done = annpipe("validate", *specs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": ok") == len(specs)
