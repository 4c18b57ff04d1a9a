"""What Tab answers, asked as the shells ask: a process, its environment, and in bash the sourced script itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annpipe.cli import COMMANDS
from annpipe.cli.completion import components
from annpipe.record.journal.events import RunBegun, RunEnded
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry

ROOT = Path(__file__).parents[3]
SPEC = """\
version: 1
name: small
data: {formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 4, ReLU, Linear: {out_features: 1}]
loss: L1Loss
optimizer: {Adam: {lr: 1e-3}}
train: {epochs: 2}
metrics: [R2Score]
"""
Tab = Callable[..., list[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with specs, a plugin file, a folder with a blank in its name and what is none of these."""
    (tmp_path / "small.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("optimizer: {Adam: [[[[", encoding="utf-8")
    (tmp_path / "swish.py").write_text("open('imported', 'w')\n", encoding="utf-8")
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "my specs").mkdir()
    (tmp_path / "my specs" / "a b.yml").write_text(SPEC, encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment(project: Path) -> dict[str, str]:
    """An environment in which `annpipe` is the program as pip installs it."""
    programs = project / ".hidden" / "bin"
    programs.mkdir()
    (programs / "annpipe").write_text(f"#!{sys.executable}\nfrom annpipe.cli import main\nmain()\n", encoding="utf-8")
    (programs / "annpipe").chmod(0o755)
    found = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": found, "PYTHONWARNINGS": "default"}


@pytest.fixture
def tab(project: Path, environment: dict[str, str]) -> Tab:
    """The words that a shell is told for a line whose last word, maybe empty, is being typed."""

    def tab(line: str, shell: str = "bash", **more: str) -> list[str]:
        *before, typed = line.split(" ")
        asked = {"COMP_WORDS": line, "COMP_CWORD": typed if shell == "fish" else str(len(before))}
        done = subprocess.run(
            ["annpipe"],
            env={**environment, **asked, "_ANNPIPE_COMPLETE": f"{shell}_complete", **more},
            cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert not (project / "imported").exists()
        lines = done.stdout.splitlines()
        if shell == "zsh":
            return lines[1::3]
        return [line.partition(",")[2].partition("\t")[0] for line in lines if line]

    return tab


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_told_the_same(shell: str, tab: Tab) -> None:
    assert tab("annpipe ", shell) == list(COMMANDS)
    assert tab("annpipe sh", shell) == ["show"]
    assert tab("annpipe runs --j", shell) == ["--json"]
    assert tab("annpipe show optimizer AdamW", shell) == ["AdamW"]


def test_kinds_and_names_come_from_the_index(tab: Tab, registry_entries: Registry) -> None:
    """All of them: a kind, a name alone, a name of a kind."""
    assert set(tab("annpipe list ")) == set(KINDS)
    optimizers = [entry.name for entry in registry_entries.entries("optimizer")]
    assert sorted(tab("annpipe show optimizer "), key=str.casefold) == sorted(optimizers, key=str.casefold)
    either = tab("annpipe show ")
    assert {*optimizers, *KINDS} <= set(either)
    assert len(either) == len(set(either))
    assert tab("annpipe show nothing ") == []


def test_meanings_go_to_shells_that_show_them(environment: dict[str, str], project: Path) -> None:
    asked = {"COMP_WORDS": "annpipe show optimizer AdamW", "COMP_CWORD": "AdamW", "_ANNPIPE_COMPLETE": "fish_complete"}
    done = subprocess.run(["annpipe"], env={**environment, **asked}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("plain,AdamW\t")
    assert len(done.stdout.strip()) > len("plain,AdamW\t")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "validate", "plan"])
def test_specs_are_yaml_files_and_folders(command: str, tab: Tab) -> None:
    """Nothing hidden, nothing else; a folder ends in a slash, so that one goes on typing."""
    assert tab(f"annpipe {command} ") == ["broken.yaml", "my specs/", "small.yaml"]
    assert tab(f"annpipe {command} sm") == ["small.yaml"]
    assert tab(f"annpipe {command} ./sm") == ["./small.yaml"]
    assert tab(f"annpipe {command} nowhere/") == []


def test_plugin_files_are_python_files(tab: Tab) -> None:
    assert tab("annpipe list --plugin s") == ["swish.py"]


@pytest.mark.parametrize(
    ("typed", "answers"),
    [
        ("tr", ["train.", "tracking."]),
        ("train.e", ["train.epochs=", "train.evaluate_every="]),
        ("device.t", ["device.type=", "device.threads="]),
        ("data.", ["data.formula.", "data.split.", "data.transforms."]),
        ("data.split.t", ["data.split.test=", "data.split.test_rows="]),
        ("data.formula.inputs.x.", ["data.formula.inputs.x.Uniform."]),
        ("optimizer.", ["optimizer.Adam.", "optimizer.groups+="]),
        ("optimizer.Adam.l", ["optimizer.Adam.lr="]),
        ("loss.", ["loss.L1Loss."]),
        ("loss.L1Loss.r", ["loss.L1Loss.reduction="]),
        (
            "model.",
            [f"model.{part}" for part in ("0.", "1.", "2.", "freeze=", "from=", "init.", "inputs.", "outputs.")],
        ),
        ("model.0.", ["model.0.Linear."]),
        ("model.2.Linear.", ["model.2.Linear.out_features=", "model.2.Linear.bias="]),
    ],
)
def test_set_completes_paths_of_the_spec_on_the_line(typed: str, answers: list[str], tab: Tab) -> None:
    """Sections, then what the spec has, then the options of its components; `=` where a value follows."""
    assert sorted(tab(f"annpipe plan small.yaml --set {typed}")) == sorted(answers)


def test_a_path_to_leave_out_has_no_value(tab: Tab) -> None:
    assert tab("annpipe plan small.yaml --unset optimizer.Adam.l") == ["optimizer.Adam.lr"]


def test_a_broken_spec_still_offers_the_sections(tab: Tab) -> None:
    assert tab("annpipe run broken.yaml --set tr") == ["train.", "tracking."]
    assert tab("annpipe run broken.yaml --set optimizer.") == ["optimizer.groups+="]


def test_devices_and_codes(tab: Tab) -> None:
    assert {"auto", "cpu", "cuda", "mps"} <= set(tab("annpipe run small.yaml --device "))
    assert "unknown-section" in tab("annpipe explain unknown-")


def test_runs_come_latest_first_and_resume_offers_those_not_finished(tab: Tab, project: Path) -> None:
    """By their folder's name, with or without `runs/` before it."""
    from annpipe.record.journal.journal import Journal

    for number, (name, status) in enumerate([("a", "FINISHED"), ("b", "KILLED"), ("c", "FAILED")]):
        folder = project / "runs" / f"{name}-20250101-000000-abcd"
        folder.mkdir(parents=True)
        journal = Journal.create(folder)
        journal.write(RunBegun(id=folder.name, name=name, time=number))
        journal.write(RunEnded(status=status, time=number, error=None))
        journal.close()
    shown = [f"{name}-20250101-000000-abcd" for name in "cba"]
    assert tab("annpipe sync ") == shown
    assert tab("annpipe sync runs/") == [f"runs/{name}" for name in shown]
    assert tab("annpipe resume ") == shown[:2]
    (project / "rows.parquet").touch()
    for command in ("predict", "evaluate"):
        assert tab(f"annpipe {command} ") == shown
        assert tab(f"annpipe {command} {shown[0]} r") == ["runs/", "rows.parquet"][::-1]


def test_a_plugin_is_never_imported_and_a_broken_one_costs_only_itself(tab: Tab, project: Path) -> None:
    """Two installed plugins without an index: one that would leave a mark, one whose package is not there."""
    for name, point in (("marking", "marking"), ("absent", "no_such_module")):
        info = project / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[annpipe.plugins]\n{name} = {point}\n", encoding="utf-8")
    (project / "marking.py").write_text("open('imported', 'w')\n", encoding="utf-8")
    found = os.pathsep.join([str(project), str(ROOT), str(ROOT / "plugins")])
    cache = str(project / ".hidden")
    assert tab("annpipe show optimizer AdamW", PYTHONPATH=found, XDG_CACHE_HOME=cache) == ["AdamW"]
    assert tab("annpipe show --plugin swish.py layer Swi", XDG_CACHE_HOME=cache) == []


def test_names_from_plugin_files_are_known_once_a_command_has_read_them(tab: Tab, tmp_path: Path) -> None:
    """The cache that `annpipe list --plugin` leaves is enough."""
    plugin = tmp_path / "wave.py"
    plugin.write_text("import torch\nfrom annpipe import layer\n\n\n@layer\nclass Wave(torch.nn.Module):\n    pass\n")
    assert [one for one in components.known_components([plugin]) if one.name == "Wave"] == []
    Registry().add_file(plugin)
    assert tab("annpipe show --plugin wave.py layer Wav") == ["Wave"]


def test_nonsense_is_answered_with_nothing(tab: Tab) -> None:
    for line in ("annpipe nothing x", "annpipe run --nothing x --set a", "annpipe sync 'x", "annpipe show a b c d "):
        tab(line)


def test_little_is_imported_for_an_answer(environment: dict[str, str], project: Path) -> None:
    """A shell starts the program at each Tab: neither torch nor pydantic nor the registry itself may be needed."""
    asked = {"COMP_WORDS": "annpipe show optimizer A", "COMP_CWORD": "3", "_ANNPIPE_COMPLETE": "bash_complete"}
    script = project / ".hidden" / "bin" / "annpipe"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(script)],
        env={**environment, **asked}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "plain,Adam" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "annpipe.cli.completion.words" in imported
    assert not {"torch", "mlflow", "pydantic", "yaml", "numpy", "annpipe.registry", "annpipe.spec"} & imported


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_and_the_shell_takes_it(
    shell: str, environment: dict[str, str], project: Path, annpipe: Any
) -> None:
    """--help says where it goes; the shell itself finds no fault with it."""
    printed = annpipe("completion", shell)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert f"annpipe completion {shell}" in annpipe("completion", "--help").stdout
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed here")
    checked = subprocess.run([shell, "-n"], input=printed.stdout, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


REPLY = r"""
source <(annpipe completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<< "${1//=/ = }"
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_annpipe annpipe
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed here")
@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("annpipe sh", ["show"]),
        ("annpipe show optimizer AdamW", ["AdamW"]),
        ("annpipe completion z", ["zsh"]),
        ("annpipe list --plugin=sw", ["swish.py"]),
        ("annpipe run my", [r"my\ specs/"]),
        ("annpipe run --set train.epochs=3 sm", ["small.yaml"]),
        ("annpipe run small.yaml --set optimizer.Adam.l", ["optimizer.Adam.lr="]),
        ("annpipe run small.yaml --set seed=1 --device cp", ["cpu"]),
    ],
)
def test_bash_gets_its_reply(line: str, answers: list[str], environment: dict[str, str], project: Path) -> None:
    """The sourced function, with the words as bash breaks them: at `=` too."""
    done = subprocess.run(
        ["bash", "--norc", "-c", REPLY, "bash", line],
        env=environment, cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.splitlines(), done.stderr) == (answers, "")
