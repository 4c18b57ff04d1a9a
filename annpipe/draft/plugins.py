"""Adds the plugin files that a spec lists to its registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.draft.types import UNCHECKED
from annpipe.errors import Place, Problem
from annpipe.registry.discovery import PluginFault
from annpipe.registry.registry import Registry


def _not_imported(text: str, place: Place) -> Problem:
    message = f"the plugin '{text}' was not imported: the spec is untrusted"
    return Problem(UNCHECKED, message, place, "read the plugin, then check without --untrusted", severity="warning")


def add_plugins(files: Sequence[tuple[Path, str, Place]], registry: Registry) -> list[Problem]:
    """Imports plugin files into the registry, and gives what is wrong with them."""
    problems = []
    for path, _, place in files:
        try:
            registry.add_file(path)
        except PluginFault as fault:
            problems.append(replace(fault.problem, related=(*fault.problem.related, (place, "listed here"))))
    return problems
