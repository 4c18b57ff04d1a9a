"""The structure of annpipe: its imports have no circles, reading a spec loads no torch, and names in texts exist.

The order of the layers is import-linter's (`pyproject.toml`); what it does not see is here.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Graph = Mapping[str, frozenset[str]]

KNOWN_CIRCLES: tuple[frozenset[str], ...] = ()
"""Circles of folders that are still to be opened: nothing may be added, and each goes once it is opened."""

WITHOUT_TORCH = (
    "errors",
    "files",
    "portable",
    "expression",
    "registry",
    "spec",
    "schema",
    "draft",
    "observer",
    "contract",
    "cli",
)
OF_TORCH = frozenset(
    {
        "annpipe.files.nested_state",  # writes tensors
        "annpipe.cli.views.sweep_display",  # of a sweep that trains, which imports it only then
        *(f"annpipe.portable.{name}" for name in ("columns", "heads", "network", "stack", "taps")),  # modules of torch
    }
)

NO_MODULES = frozenset(
    {
        "annpipe.plugins",  # the group of entry points
        *("annpipe.schema.json", "annpipe.fish"),  # files
        *(  # tags of runs
            f"annpipe.{tag}"
            for tag in (
                *(
                    "best_trial",
                    "cpu",
                    "device",
                    "device_name",
                    "gear",
                    "git.dirty",
                    "host",
                    "names",
                    "plugin",
                    "pruned",
                ),
                *("pruned", "from", "from.digest", "from.mlflow_run", "length", "schedule"),
                *(
                    "pruned",
                    "python",
                    "run_id",
                    "seed",
                    "shifts",
                    "skipped_steps",
                    "threads",
                    "torch",
                    "trials",
                    "version",
                ),
            )
        ),
    }
)
DOTTED = re.compile(r"\bannpipe(?:_std)?(?:\.[A-Za-z_]\w*)+(?::[A-Za-z_][\w.]*)?")


@cache
def modules() -> dict[str, Path]:
    """Every module of annpipe by name."""
    files = sorted((ROOT / "annpipe").rglob("*.py"))
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files)
    return dict(zip(names, files, strict=True))


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(file: Path) -> Iterator[str]:
    """The modules of annpipe that a file imports.

    Imports inside functions count, since they bind modules to each other as much as those at the top; and so do those
    for annotations (`TYPE_CHECKING`), since who reads one module has to read the other.
    """
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module in modules():
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules() else str(node.module) for name in full)


def of_files() -> Graph:
    """The imports of each file; without those of `annpipe` itself, which has the public names of all packages."""
    return {name: frozenset(imported(file)) - {name} for name, file in modules().items() if name != "annpipe"}


def folder(module: str) -> str:
    """The folder of a module; the few files at the top are each a folder of their own."""
    if modules()[module].name == "__init__.py" or module.count(".") == 1:
        return module
    return module.rpartition(".")[0]


def package(module: str) -> str:
    """The package of a module, directly below `annpipe`."""
    return ".".join(module.split(".")[:2])


def grouped(graph: Graph, group: Callable[[str], str]) -> Graph:
    """The same imports between groups of modules."""
    edges: dict[str, set[str]] = {}
    for module, others in graph.items():
        edges.setdefault(group(module), set()).update(group(other) for other in others)
    return {name: frozenset(others - {name}) for name, others in edges.items()}


def circles(graph: Graph) -> list[frozenset[str]]:
    """The groups of nodes that reach each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[frozenset[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = frozenset(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(component) > 1:
                components.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return components


def test_circles_are_found() -> None:
    graph = {"a": "b", "b": "c", "c": "a", "d": "a", "e": "f", "f": "e"}
    found = circles({node: frozenset(others) for node, others in graph.items()})
    assert sorted(map(sorted, found)) == [["a", "b", "c"], ["e", "f"]]


def test_files_import_each_other_in_one_direction() -> None:
    assert len(modules()) > 300
    assert circles(of_files()) == []


def test_packages_import_each_other_in_one_direction() -> None:
    assert circles(grouped(of_files(), package)) == []


def test_folders_import_each_other_in_one_direction() -> None:
    """A folder is the files directly in it: what stands in a folder inside it is another one."""
    found = circles(grouped(of_files(), folder))
    new = [sorted(circle) for circle in found if not any(circle <= known for known in KNOWN_CIRCLES)]
    assert new == []
    opened = [sorted(known) for known in KNOWN_CIRCLES if not any(circle <= known for circle in found)]
    assert opened == [], "these circles are gone: take them out of KNOWN_CIRCLES"


WATCH = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded = [heavy for heavy in ("torch", "mlflow", "optuna", "matplotlib") if heavy in sys.modules]
    if loaded:
        sys.exit(f"{name} imports {', '.join(loaded)}")
"""


def light_modules() -> list[str]:
    """The modules that must not import torch, the lowest layers first."""
    names = [name for part in WITHOUT_TORCH for name in modules() if package(name) == f"annpipe.{part}"]
    return ["annpipe", *(name for name in names if name not in OF_TORCH)]


def test_a_spec_is_read_and_drafted_without_torch() -> None:
    """Module by module: a command that only reads specs answers at once."""
    assert len(light_modules()) > 100
    done = subprocess.run([sys.executable, "-c", WATCH, *light_modules()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file with their lines: strings, parts of f-strings, and docstrings."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def exists(name: str) -> bool:
    """Whether a dotted name, as `annpipe.x.y`, `annpipe.x.y.Class` or `annpipe.x.y:function`, can be imported."""
    path, _, attribute = name.partition(":")
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        try:
            for part in [*parts[count:], *(attribute.split(".") if attribute else ())]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


def sources() -> list[Path]:
    """The files of annpipe and of its plugins."""
    return [*modules().values(), *sorted((ROOT / "plugins").rglob("*.py"))]


def test_names_of_modules_in_texts_exist() -> None:
    """Strings bind modules where no import shows it: a module that moves takes them along."""
    named: dict[str, str] = {}
    for file in sources():
        for line, text in texts(file):
            for match in DOTTED.finditer(text):
                named.setdefault(match[0], f"{file.relative_to(ROOT)}:{line}")
    assert len(named) > 50
    assert {name: place for name, place in named.items() if name not in NO_MODULES and not exists(name)} == {}
    assert sorted(NO_MODULES - named.keys()) == [], "listed in NO_MODULES and named nowhere"


@pytest.mark.parametrize("name", ["annpipe.nowhere", "annpipe.errors.nothing", "annpipe.draft.losses:nothing"])
def test_a_name_of_nothing_is_noticed(name: str) -> None:
    assert not exists(name)


def path_of(node: ast.expr, file: Path) -> Path | None:
    """The path that an expression over `Path(__file__)` gives; None for any other."""
    match node:
        case ast.Call(func=ast.Name(id="Path"), args=[ast.Name(id="__file__")]):
            return file
        case ast.Call(func=ast.Attribute(value=inner, attr="resolve"), args=[]):
            return path_of(inner, file)
        case ast.Call(func=ast.Attribute(value=inner, attr="with_name"), args=[ast.Constant(value=str(name))]):
            below = path_of(inner, file)
            return below and below.with_name(name)
        case ast.Attribute(value=inner, attr="parent"):
            below = path_of(inner, file)
            return below and below.parent
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(number))):
            below = path_of(inner, file)
            return below and below.parents[number]
        case ast.BinOp(left=inner, op=ast.Div(), right=ast.Constant(value=str(name))):
            below = path_of(inner, file)
            return below and below / name
    return None


def test_files_beside_modules_exist() -> None:
    """A path from `Path(__file__)` leads to a file or folder of annpipe, or to the folder that holds annpipe."""
    paths: dict[tuple[Path, int], Path] = {}
    for file in sources():
        for node in ast.walk(tree(file)):  # breadth first: of nested expressions the outermost
            if isinstance(node, ast.expr) and (path := path_of(node, file)) is not None:
                paths.setdefault((file, node.lineno), path)
    assert len(paths) > 3
    assert [path for path in paths.values() if not path.exists()] == []
    assert all(path.is_relative_to(ROOT) for path in paths.values())
