"""Every command on the pages is tried: those of annpipe are run, of others the files and options are looked for."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from annpipe.cli import annpipe as command_line
from annpipe.cli import outcome
from tests.conftest import unrecorded
from tests.docs.pages import ROOT, command_lines, the_block, tried

CliHere = Callable[..., tuple[int, str, str]]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRIBUTING = ROOT / "docs" / "contributing.md"  # which has commands in a table, too
SWEPT = "\nsweep: {over: {seed: 2}}\n"
TABLE = re.findall(r"`((?:python|ruff|mypy|lint-imports|\.ci)[^`\n]*)`", CONTRIBUTING.read_text(encoding="utf-8"))
LINES = list(dict.fromkeys([*(line for b in tried("sh", "console") for line in command_lines(b)), *TABLE]))


def calls(line: str) -> list[list[str]]:
    """The words of each command of a line, without comment and redirection."""
    parts: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word)
    return [part[: part.index(">")] if ">" in part else part for part in parts]


OF_ANNPIPE = [(line, call[1:]) for line in LINES for call in calls(line) if call[0] == "annpipe"]
OF_OTHERS = [call for line in LINES for call in calls(line) if call[0] != "annpipe"]


def test_the_commands_are_found() -> None:
    """Lines of shell on the pages are not lost to the finder."""
    assert len(OF_ANNPIPE) >= 19
    assert len(OF_OTHERS) >= 7


# --- annpipe's own


PLANNED = ("run", "sweep")
USED = ("best", "predict", "evaluate", "runs", "compare")


@pytest.mark.parametrize(("line", "words"), OF_ANNPIPE, ids=[line for line, _ in OF_ANNPIPE])
def test_a_command_takes_these_words(line: str, words: list[str]) -> None:
    """It exists, with these options; those that are not run below are known."""
    command = command_line.get_command(None, words[0])  # type: ignore[arg-type]  # which needs no context
    assert command, words[0]
    with command.make_context(words[0], words[1:]):
        pass
    assert words[0] in (*PLANNED, *USED) or words in (["ui"], ["schema", "--install"], ["plugins", "check", "swish.py"])


@pytest.mark.parametrize("words", [words for _, words in OF_ANNPIPE if words[0] in PLANNED], ids=shlex.join)
def test_a_run_or_sweep_is_planned(words: list[str], annpipe_here: CliHere, tmp_path: Path) -> None:
    """On the seed, with a scheduler to leave out and a sweep of its own."""
    seed = (ROOT / "pipelines" / "quadratic.yaml").read_text(encoding="utf-8")
    (tmp_path / "pipelines").mkdir()
    for name in ("quadratic.yaml", "pipelines/quadratic.yaml"):
        (tmp_path / name).write_text(seed, encoding="utf-8")
    (tmp_path / "SPEC").write_text(f"{seed}\nscheduler: {{StepLR: 100}}\n{SWEPT}", encoding="utf-8")
    code, _, err = annpipe_here(*words, "--dry-run")
    assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for _, words in OF_ANNPIPE if words[0] in USED], ids=shlex.join)
def test_a_command_on_runs_does_what_it_says(
    words: list[str],
    used_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a project with runs of these names; a file that it writes is there."""
    sweep = next(path.name for path in (used_project / "runs").iterdir() if (path / "best.yaml").exists())
    monkeypatch.setattr(sys, "argv", ["annpipe", *(sweep if word == "SWEEP" else word for word in words)])
    with unrecorded():
        code = outcome()
    printed = capsys.readouterr()
    assert code == 0, printed.err
    written = [words[words.index("-o") + 1]] if "-o" in words else []
    assert printed.out or written
    assert all((used_project / name).stat().st_size for name in written)


def test_the_schema_is_installed_as_the_page_says(annpipe_here: CliHere, tmp_path: Path) -> None:
    """The file, and the line at the top of each spec."""
    shutil.copy(ROOT / "pipelines" / "quadratic.yaml", tmp_path)
    code, _, err = annpipe_here("schema", "--install")
    assert code == 0, err
    assert (tmp_path / "annpipe.schema.json").is_file()
    modeline = the_block("docs/editor.md", "text", "yaml-language-server")
    assert (tmp_path / "quadratic.yaml").read_text(encoding="utf-8").startswith(modeline)


@pytest.mark.slow
def test_the_saved_model_answers_in_mlflow(used_project: Path) -> None:
    """The page's program, with the id of a run, in a process without annpipe."""
    with closing(sqlite3.connect(used_project / "mlflow.db")) as store:
        ((run,),) = store.execute("select run_uuid from runs where name = 'lines'").fetchall()
    program = the_block("docs/use.md", "python", "mlflow.pyfunc").replace("<MLflow run id>", run)
    program = program.replace("<name of the run>", "lines")
    program = (
        program.replace("model.predict(", "answer = model.predict(") + "print(list(answer.columns), len(answer))\n"
    )
    head = "import sys\nsys.modules['annpipe'] = None\n"
    head += f"import mlflow\nmlflow.set_tracking_uri('sqlite:///{used_project}/mlflow.db')\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", head + program],
        cwd=used_project,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout == "['y'] 3\n", done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::mlflow")
def test_what_the_page_on_mlflow_asks_is_answered(used_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs by their best value, and models by theirs, the best first."""
    monkeypatch.chdir(used_project)
    names: dict[str, Any] = {}
    exec(_on_train("mlflow.search_runs"), names)
    best = names["runs"]["metrics.best.train.loss"].dropna().tolist()
    assert best
    assert best == sorted(best)
    exec(_on_train("search_logged_models"), names)
    values = [
        next((metric.value for metric in model.metrics if metric.key == "best.train.loss"), None)
        for model in names["ranked"]
    ]
    ranked = [value for value in values if value is not None]
    assert ranked
    assert ranked == sorted(ranked)


def _on_train(words: str) -> str:
    """The program of the page, for runs that hold out no rows."""
    return the_block("docs/mlflow.md", "python", words).replace("best.val.loss", "best.train.loss")


def test_the_members_of_a_stack_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the page on a sweep over two seeds."""
    seed = (ROOT / "pipelines" / "quadratic.yaml").read_text(encoding="utf-8")
    (tmp_path / "sweep.yaml").write_text(seed + SWEPT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(the_block("docs/contributing.md", "python", "compare_with_solo"), names)
    assert names["comparison"].is_equal


def test_the_component_of_the_guide_is_checked(
    annpipe_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command of the page, and as cases of pytest by its program: the layer of the guide has no fault."""
    (tmp_path / "swish.py").write_text(the_block("plugins/README.md", "python", "class Swish"), encoding="utf-8")
    line = the_block("docs/plugins.md", "sh", "plugins check")
    code, out, _ = annpipe_here(*shlex.split(line)[1:])
    assert (code, out.splitlines()[-1]) == (0, "1 component checked: none failed")
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(the_block("docs/plugins.md", "python", "component_tests"), names)
    (mark,) = names["test_swish"].pytestmark
    assert {case.id.rpartition("-")[0] for case in mark.args[1]} == {"layer/Swish"}


# --- those of others


@pytest.mark.parametrize("words", OF_OTHERS, ids=shlex.join)
def test_a_command_names_what_exists(words: list[str], tmp_path: Path) -> None:
    """Its modules, files, markers and options."""
    variables = [word.partition("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
    match words[len(variables) :]:
        case ["eval", script]:
            _completes(script, tmp_path)
        case ["python", "-m", "pytest", *arguments]:
            _pytest_would_find(arguments)
        case ["python", "-m", "pip", "install", "-c", file, "-e", ("." | ".[dev]")]:
            assert (ROOT / file).is_file()
            assert "dev" in PROJECT["project"]["optional-dependencies"]
        case ["python", "-m", module, *arguments]:
            path = ROOT / module.replace(".", "/")
            _mentions(path / "__main__.py" if path.is_dir() else path.with_suffix(".py"), arguments)
        case ["python", file, *arguments]:
            _mentions(ROOT / file, arguments)
        case [("ruff" | "mypy" | "lint-imports"), *_]:
            tool = words[0].replace("lint-imports", "import-linter")
            assert any(line.startswith(tool) for line in PROJECT["project"]["optional-dependencies"]["dev"])
        case ["rm", "-r", *folders]:
            assert folders == ["~/.cache/annpipe/rows", "~/.cache/annpipe/tables"]  # tests/train looks into both
        case [file] if file == ".ci/run":
            assert (ROOT / file).is_file()
        case other:
            pytest.fail(f"no test knows this command: {other}")
    for name in variables:
        assert any(name in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")), name


def _completes(script: str, folder: Path) -> None:
    """Bash has a completion for annpipe afterwards."""
    (folder / "annpipe").write_text(f'#!/bin/sh\nexec {sys.executable} -m annpipe "$@"\n')
    (folder / "annpipe").chmod(0o755)
    bash = f'PATH="{folder}:$PATH"; eval "{script}"; complete -p annpipe'
    done = subprocess.run(["bash", "-c", bash], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "annpipe" in done.stdout


def _pytest_would_find(arguments: list[str]) -> None:
    """Paths and tests exist, markers are registered."""
    markers = {line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    expected = iter(arguments)
    for word in expected:
        if word == "-m":
            assert next(expected) in markers
        elif word in ("-n", "-k"):
            assert next(expected)
        elif not word.startswith("-"):
            path, _, test = word.partition("::")
            assert (ROOT / path).exists(), path
            assert f"def {test}" in (ROOT / path).read_text("utf-8") if test else True


def _mentions(path: Path, arguments: list[str]) -> None:
    """The program has these options."""
    text = path.read_text(encoding="utf-8")
    assert not [word for word in arguments if word.startswith("--") and f'"{word}"' not in text]
