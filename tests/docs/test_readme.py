"""The README's spec, commands, error and plugin, and what docs/ say that needs a test of its own.

Every block of code on every page is tried by tests/docs; here stands what is compared in more detail.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from annpipe.backend.instantiate import instantiate
from annpipe.cli import COMMANDS
from annpipe.draft.draft import draft
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.spec.sections.spec import TOP_KEYS
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file, read_text
from tests.docs.pages import the_block

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
Cli = Callable[..., subprocess.CompletedProcess[str]]
CliHere = Callable[..., tuple[int, str, str]]


def block(language: str, containing: str, page: str = "README.md") -> str:
    """The one code block of a page in a language that contains some words."""
    return the_block(page, language, containing)


def test_the_readme_is_short() -> None:
    """What is more than a first look stands below docs/."""
    assert len(README.splitlines()) <= 200


def test_the_marked_command_is_the_one_for_the_tests() -> None:
    """`.ci/run` reads it by its marker."""
    marked = re.search(r"<!-- test command -->\s*```\w*\n(.*?)\n```", README, re.S)
    assert marked
    assert marked[1] + "\n" == block("sh", "pytest")


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
    for page in ("README.md", "docs/spec.md"):
        assert block("text", "error[unknown-component]", page) in done.stderr


@pytest.mark.slow
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


def test_the_extending_spec_of_the_pages_works(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Pasted beside the seed; its width comes from the variable and its rate from its own optimizer."""
    shutil.copy(ROOT / "pipelines" / "quadratic.yaml", tmp_path)
    (tmp_path / "wide.yaml").write_text(block("yaml", "extends: quadratic.yaml", "docs/spec.md"), encoding="utf-8")
    code, out, said = annpipe_here("plan", "wide.yaml", "--json")
    assert code == 0, said
    plan = json.loads(out)
    assert plan["name"] == "wide"
    assert plan["model"][0]["Linear"]["out_features"] == 200
    assert plan["optimizer"]["Adam"]["lr"] == 1e-3
    assert plan["train"]["epochs"] == 10_000


def test_the_warm_up_of_the_pages_warms_up(tmp_path: Path, registry_entries: Registry) -> None:
    """Laid over the seed: five epochs up to the optimizer's rate from a hundredth of it, then down to nothing."""
    shutil.copy(ROOT / "pipelines" / "quadratic.yaml", tmp_path)
    text = "extends: quadratic.yaml\n" + block("yaml", "SequentialLR", "docs/training.md")
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    drafted = draft(load_spec(tmp_path / "spec.yaml"), registry_entries.copy())
    assert drafted.scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = instantiate(drafted.scheduler, optimizer=optimizer)
    rates = []
    for _ in range(drafted.spec.train.epochs or 0):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    up, down = [0.01 + 0.99 * n / 5 for n in range(5)], [(1 + math.cos(math.pi * n / 95)) / 2 for n in range(95)]
    assert rates == pytest.approx(up + down)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_is_in_the_readme(command: str) -> None:
    """And has help of its own."""
    assert f"`annpipe {command}" in README


def test_every_section_is_in_the_table_of_sections() -> None:
    """In docs/spec.md, to which the README leads."""
    page = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    table = page[page.index("| section | content") :].partition("\n\n")[0]
    assert not [section for section in TOP_KEYS if f"`{section}`" not in table]


@pytest.mark.slow
def test_specs_under_the_project_read(annpipe: Cli) -> None:
    """`annpipe validate` takes all of the gallery in one call."""
    specs = sorted((ROOT / "pipelines").rglob("*.yaml"))
    done = annpipe("validate", *specs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": ok") == len(specs)
