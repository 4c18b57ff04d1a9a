"""Commands of the command line import no other command: what two of them share stands in `annpipe.cli`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import annpipe.cli

COMMANDS = Path(annpipe.cli.__file__).parent / "commands"


@pytest.mark.parametrize("name", annpipe.cli.COMMANDS)
def test_a_command_imports_no_other_command(name: str) -> None:
    """At its head or in a function."""
    tree = ast.parse((COMMANDS / f"{name}.py").read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [module for module in modules if module.startswith("annpipe.cli.commands")]


def test_every_command_has_a_file() -> None:
    """And every file a command."""
    assert {path.stem for path in COMMANDS.glob("*.py")} - {"__init__"} == set(annpipe.cli.COMMANDS)
