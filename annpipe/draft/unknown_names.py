"""Words the fault of a component that no registry has: what may be meant, and where it may come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.discovery import may_define
from annpipe.registry.kinds import with_article
from annpipe.registry.other_tools.python_names import bare_name
from annpipe.registry.other_tools.words import component_word
from annpipe.registry.place import defined_at
from annpipe.registry.registry import Registry
from annpipe.spec.sections.component import Call


def unknown_component(call: Call, kind: str, registry: Registry, plugins: Sequence[Path]) -> Problem:
    """The problem of a name that is no component of a kind; `plugins` are the files that the spec lists."""
    names = [entry.name for entry in registry.entries(kind)]
    moved = component_word(kind, call.name, lambda name: registry.find(kind, name) is not None)
    hint = moved or did_you_mean(bare_name(call.name), names)
    message = f"there is no {'data component' if kind == 'data' else kind} '{call.name}'"
    if elsewhere := [other for other in registry.kinds_of(call.name) if other != kind]:
        hint = f"'{call.name}' is {with_article(elsewhere[0])}, not {with_article(kind)}"
    elif (problem := _defined_in_plugin(call, kind, message, registry, plugins)) is not None:
        return problem
    between = "" if not hint else " " if hint.endswith("?") else "; "
    listing = f"`annpipe list {kind}` shows all {len(names)}"
    broken = _broken(call.name, registry, is_near=bool(hint))
    return Problem("unknown-component", message, call.place, f"{hint}{between}{listing}{broken}")


def _defined_in_plugin(
    call: Call, kind: str, message: str, registry: Registry, plugins: Sequence[Path]
) -> Problem | None:
    """A class or function of that name in a plugin file, which has no mark or is marked with another name."""
    place = next((place for file in plugins if (place := defined_at(file, call.name))), None)
    if place is None:
        return None
    marked = [entry for entry in registry.entries(kind) if (entry.file, entry.line) == (place.file, place.line)]
    if marked:
        return Problem("unknown-component", message, call.place, f"its mark names it '{marked[0].name}'")
    help_ = f"write `@{kind}` above its definition, and `from annpipe import {kind}`"
    related = ((place, "defined here, without that mark"),)
    return Problem("unknown-component", message, call.place, help_, related)


def _broken(name: str, registry: Registry, *, is_near: bool) -> str:
    """The plugin that could not be used and defines a name; of a name like no other, any that may define it."""
    defining = [fault for fault in registry.faults if may_define(fault, name)]
    faults = defining or ([] if is_near else registry.faults)
    return f"; '{name}' may come from a plugin that could not be used: {faults[0]}" if faults else ""
