"""The built-in library is an ordinary plugin: it uses what `import annpipe` offers and nothing behind it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import annpipe

FOLDER = Path(__file__).parents[2] / "plugins" / "annpipe_std"
FILES = sorted(FOLDER.rglob("*.py"))
ALLOWED = {"annpipe_std", "torch", "numpy", "matplotlib", "pyarrow", "pydantic", *sys.stdlib_module_names}


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """Each module that the file imports from, and the name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_every_file_is_looked_at() -> None:
    """The glob reaches into the packages."""
    assert {"formula.py", "table.py", "regression.py", "best.py", "style.py"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_a_file_imports_public_names_only(file: Path) -> None:
    """Of annpipe what it lists in `__all__`, of others whole libraries, and never pyplot."""
    for module, name in imported(file):
        assert module != "matplotlib.pyplot"
        if module == "annpipe":
            assert name in annpipe.__all__
        else:
            assert module.partition(".")[0] in ALLOWED, f"{module}: {name}"
