"""Imports what an entry of the registry names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from annpipe.registry.discovery import import_file, import_installed
from annpipe.registry.entry import Entry
from annpipe.registry.marks import mark_of


def load(entry: Entry) -> Callable[..., Any]:
    """The component itself; raises PluginFault when its file fails to import."""
    return imported(entry.target) if entry.loaded is None else entry.loaded


def function_of(entry: Entry, trait: str) -> Callable[..., Any] | None:
    """The function that a trait names: by its own module where it stands apart, else the one in the component's mark.

    None where the component has no such function; raises PluginFault when its file fails to import.
    """
    named = getattr(entry.traits, trait)
    if isinstance(named, str):
        return imported(named)
    mark = mark_of(load(entry)) if named else None
    function: Callable[..., Any] | None = mark.traits[trait] if mark else None
    return function


def imported(target: str) -> Callable[..., Any]:
    """What `module:attribute` or `file.py:attribute` names; raises PluginFault when it fails to import."""
    where, _, attribute = target.rpartition(":")
    value: Any = import_file(Path(where)) if where.endswith(".py") else import_installed(where)
    for part in attribute.split("."):
        value = getattr(value, part)
    component: Callable[..., Any] = value
    return component
