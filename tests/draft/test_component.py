"""A resolved component carries its entry of the registry, so that nobody looks it up again."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import annpipe
from annpipe.draft.component import Component
from annpipe.registry.entry import UNKNOWN
from annpipe.registry.registry import Registry

SOURCES = sorted(Path(annpipe.__file__).parent.rglob("*.py"))
AROUND = ("cli", "scaffold", "testing")  # what looks at plugins, and is no part of a run


def _functions() -> Iterator[ast.FunctionDef]:
    folder = Path(annpipe.__file__).parent
    for file in (file for file in SOURCES if file.relative_to(folder).parts[0] not in AROUND):
        yield from (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))


def _parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def test_the_entry_does_not_count_in_what_a_component_is(registry_entries: Registry) -> None:
    bare = Component("layer", "ReLU", {"inplace": False})
    known = replace(bare, entry=registry_entries.entry("layer", "ReLU"))
    assert bare.entry is UNKNOWN
    assert known == bare
    assert hash(known) == hash(bare)
    assert known.to_data() == bare.to_data()
    assert repr(known) == repr(bare)


def test_a_component_with_other_options_keeps_its_entry(registry_entries: Registry) -> None:
    known = Component("layer", "ReLU", {}, entry=registry_entries.entry("layer", "ReLU"))
    assert known.with_options(inplace=True).entry is known.entry
    assert pickle.loads(pickle.dumps(known)).entry == known.entry  # written the moment before


def test_only_the_registry_and_the_draft_look_components_up() -> None:
    folder = Path(annpipe.__file__).parent
    found = [str(file.relative_to(folder)) for file in SOURCES if "registry.find(" in file.read_text()]
    assert {name.partition("/")[0] for name in found} - set(AROUND) <= {"registry", "draft"}


def test_few_functions_are_given_a_registry() -> None:
    """Those that resolve names, of what is part of a run."""
    given = [function.name for function in _functions() if "registry" in _parameters(function)]
    assert len(given) <= 22, given
