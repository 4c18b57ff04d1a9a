"""`annpipe explain`: a page for every code, and no page that lies.

The codes are read off the sources. Each example of each page is put into a small spec and given to the command line: a
wrong one must be answered with the page's code, a right one must pass.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from annpipe.cli import outcome
from annpipe.cli.commands import explain

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "annpipe").rglob("*.py")) + sorted((ROOT / "plugins" / "annpipe_std").rglob("*.py"))
Cli = Callable[..., subprocess.CompletedProcess[str]]

BASE = {
    "version": "version: 1",
    "name": "name: lines",
    "data": "data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}",
    "model": "model: [Linear: 1]",
    "loss": "loss: L1Loss",
    "optimizer": "optimizer: {SGD: {lr: 0.1}}",
    "train": "train: {epochs: 1}",
}
WHOLE = "\n".join(BASE.values()) + "\n"
WARNINGS = (
    *("absent-class", "activation-and-loss", "constant-column", "goal-of-scheduler", "leak", "linear-collapse"),
    *("clipped-curvature", "memory", "numbers-as-words", "schedule", "steps-for-channels", "metric-of-classes"),
    *("renamed", "unchecked"),
)
# what a page can only describe
DESCRIBED: dict[str, str | bytes] = {
    "not-a-mapping": "- Linear: 8\n- ReLU\n",
    "not-utf8": WHOLE.replace("lines", "회귀").encode("euc-kr"),
    "number-too-long": f"{WHOLE}seed: {'1' * 5000}\n",
    "spec-too-deep": f"{WHOLE}tags: {'[' * 70}{']' * 70}\n",
    "yaml-character": WHOLE.replace("L1Loss", "L1\u00a0Loss").replace("loss: ", "loss\u00a0"),
    "yaml-directive": f"%YAML 1.1\n---\n{WHOLE}",
    "spec-too-large": f"{WHOLE}description: {'x' * 2**20}\n",
}


# --- the pages against the sources


def test_every_code_of_the_sources_has_a_page_and_no_page_is_left_over() -> None:
    assert set(explain.pages()) == set(codes())


def codes() -> dict[str, str]:
    """Each code that annpipe or its built-in library can report, with a place where it is made.

    A code is the first argument of `Problem`, or of a function that passes that parameter on to `Problem`.
    """
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    constants = dict(pair for tree in trees.values() for pair in _constants(tree))
    builders = {"Problem": ("code", 0), "replace": ("code", 99)}
    found: dict[str, str] = {}
    done: set[str] = set()
    while set(builders) - done:
        done = set(builders)
        for path, tree in trees.items():
            for function, call in _calls(tree, builders):
                for part in _parts(_code_of(call, *builders[_name(call.func)]), constants):
                    where = f"{path.relative_to(ROOT)}:{call.lineno}"
                    match part:
                        case ast.Constant(value=str() as code):
                            found.setdefault(code, where)
                        case ast.Name(id=parameter) if function and parameter in _parameters(function):
                            builders[function.name] = (parameter, _parameters(function).index(parameter))
                        case _:
                            pytest.fail(f"{where}: a test cannot read the code of this Problem; write it as a string")
    return found


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _calls(
    node: ast.AST, names: dict[str, tuple[str, int]], inside: Function | None = None
) -> Iterator[tuple[Function | None, ast.Call]]:
    """The calls of functions of these names, each with the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and _name(child.func) in names:
            yield inside, child
        yield from _calls(child, names, child if isinstance(child, Function) else inside)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _parameters(function: Function) -> list[str]:
    """The parameters as a call gives them, without `self`."""
    arguments = function.args
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The strings that a module gives names to: `UNCHECKED = "unchecked"`."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str()) as value):
                yield name, value


def _code_of(call: ast.Call, keyword: str, position: int) -> ast.expr | None:
    named = next((argument.value for argument in call.keywords if argument.arg == keyword), None)
    return named or (call.args[position] if position < len(call.args) else None)


def _parts(node: ast.expr | None, constants: Mapping[str, ast.expr]) -> list[ast.expr]:
    """Both sides of `a if c else b`; what a constant stands for; nothing where no code is given."""
    match node:
        case None:
            return []
        case ast.IfExp():
            return [*_parts(node.body, constants), *_parts(node.orelse, constants)]
        case ast.Name(id=name) if name in constants:
            return [constants[name]]
        case _:
            return [node]


@pytest.mark.slow
def test_the_finder_follows_a_code_through_the_function_that_passes_it_on() -> None:
    """The reader stops through a function of its own; its codes must not escape the test above."""
    assert {"several-documents", "yaml-indent", "formula", "plugin-name-taken", "no-such-device", "unchecked"} <= set(
        codes()
    )


# --- the form of a page


@pytest.mark.parametrize(("code", "text"), explain.pages().items(), ids=list(explain.pages()))
def test_a_page_says_what_why_and_shows_both_ways_briefly(code: str, text: str) -> None:
    lines = text.splitlines()
    assert lines[0] == f"# {code}"
    assert lines[1] == ""
    assert lines[2].endswith((".", ":"))
    assert len(lines[2]) <= 120
    assert [line for line in lines if line.startswith("## ")] == ["## Why", "## Wrong", "## Right"]
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 120


# --- the examples


Said = tuple[int, str]


@pytest.fixture
def in_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs `annpipe …` in this process, in an empty project: exit code and what stands on stderr."""

    def call(*arguments: str) -> Said:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["annpipe", *arguments])
        code = outcome()
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("code", [code for code in explain.pages() if code != "no-such-device"])
def test_the_wrong_example_is_answered_with_the_code(
    code: str, in_project: Callable[..., Said], tmp_path: Path
) -> None:
    status, said = in_project(*_set_up(code, "Wrong", tmp_path))
    assert re.search(rf"^(error|warning)\[{code}\]", said, re.M), said
    assert status == (0 if code in WARNINGS else 3), said


@pytest.mark.slow
def test_a_device_that_is_not_here_is_told_when_the_run_starts(annpipe: Cli, tmp_path: Path) -> None:
    """A spec may be checked on a computer that lacks its device."""
    assert _set_up("no-such-device", "Wrong", tmp_path) == ["validate", "spec.yaml"]
    said = annpipe("run", "spec.yaml", CUDA_VISIBLE_DEVICES="")
    assert "error[no-such-device]" in said.stderr
    assert said.returncode == 3


@pytest.mark.parametrize("code", explain.pages())
def test_the_right_example_passes(code: str, in_project: Callable[..., Said], tmp_path: Path) -> None:
    status, said = in_project(*_set_up(code, "Right", tmp_path))
    assert status == 0, said
    assert f"[{code}]" not in said


def _set_up(code: str, heading: str, folder: Path) -> list[str]:
    """Writes what the examples under the heading show, and gives the command that they show (else `validate`)."""
    section = explain.pages()[code].partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```(\w+)\n(.*?)\n```", section, re.S)
    assert blocks
    command = "validate spec.yaml"
    (folder / "spec.yaml").write_text(WHOLE, encoding="utf-8")
    for language, text in blocks:
        named = re.match(r"# (\S+\.(py|yaml))\n", text)
        if language == "console":
            command = text.removeprefix("$ annpipe ")
        elif named:
            (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named[1]).write_text(text + "\n", encoding="utf-8")
        elif language == "yaml":
            (folder / "spec.yaml").write_text(_in_base(text), encoding="utf-8")
        elif heading == "Wrong":
            described = DESCRIBED[code]
            (folder / "spec.yaml").write_bytes(described.encode() if isinstance(described, str) else described)
    return [part for word in shlex.split(command) for part in _as_shell(word, folder)]


def _as_shell(word: str, folder: Path) -> list[str]:
    """`*.yaml` as a shell would fill it in."""
    return sorted(path.name for path in folder.glob(word)) if word.startswith("*") else [word]


def _in_base(fragment: str) -> str:
    """The base spec with the fragment's sections in place of its own."""
    given = set(re.findall(r"^(\w+):", fragment, re.M))
    given |= {"loss"} if re.search(r"^  outputs:", fragment, re.M) else set()  # whose heads have losses of their own
    return "\n".join([text for name, text in BASE.items() if name not in given] + [fragment, ""])


# --- the command


def test_a_code_prints_its_page_on_stdout(annpipe: Cli) -> None:
    said = annpipe("explain", "duplicate-key")
    assert said.returncode == 0
    assert said.stdout == explain.pages()["duplicate-key"]


def test_a_code_may_be_copied_from_a_report_as_it_stands_there(annpipe: Cli) -> None:
    assert annpipe("explain", "error[wrong-type]").stdout == explain.pages()["wrong-type"]


def test_without_a_code_all_are_listed_with_a_line_each(annpipe: Cli) -> None:
    lines = annpipe("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(explain.pages())
    assert all(len(line.split()) > 3 for line in lines)


def test_an_unknown_code_suggests_the_nearest(annpipe: Cli) -> None:
    said = annpipe("explain", "unknown-opton")
    assert said.returncode == 2
    assert said.stdout == ""
    assert "did you mean 'unknown-option'" in said.stderr


def test_explaining_imports_neither_torch_nor_the_registry(annpipe: Cli) -> None:
    program = "import sys; from annpipe.cli import outcome; outcome(); print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program, "explain", "shape"], capture_output=True, text=True, check=True, timeout=300
    )
    imported = set(said.stdout.splitlines()[-1].split())
    assert "annpipe.cli.commands.explain" in imported
    assert not imported & {"torch", "mlflow", "annpipe.registry.registry"}
