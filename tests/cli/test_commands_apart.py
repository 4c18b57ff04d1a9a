"""Commands of the command line import no other command: what two of them share stands in `annpipe.cli`."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import annpipe.cli

COMMANDS = Path(annpipe.cli.__file__).parent / "commands"


GROUPS = ("new", "plugins")


@pytest.mark.parametrize("file", sorted(COMMANDS.rglob("[!_]*.py")), ids=lambda file: file.stem)
def test_a_command_imports_no_other_command(file: Path) -> None:
    """At its head or in a function."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [module for module in modules if module.startswith("annpipe.cli.commands")]


def test_every_command_has_a_file() -> None:
    """And every file a command, in groups, too."""
    files = {path.stem for path in COMMANDS.glob("*.py")} - {"__init__"}
    assert files | set(GROUPS) == set(annpipe.cli.COMMANDS)
    for group in GROUPS:
        module = importlib.import_module(f"annpipe.cli.commands.{group}")
        files = {path.stem for path in (COMMANDS / group).glob("*.py")} - {"__init__"}
        assert files == set(module.COMMANDS)
