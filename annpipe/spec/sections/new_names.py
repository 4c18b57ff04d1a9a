"""Earlier names of sections and options replaced by today's, with a problem at the line of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from annpipe.errors import Problem
from annpipe.registry.renames import RENAMED, Rename, notice, renames_of, sections_with_renames
from annpipe.spec.yaml.merge import merge
from annpipe.spec.yaml.nodes import MappingNode, ScalarNode


def with_new_names(root: MappingNode) -> tuple[MappingNode, list[Problem]]:
    """The spec with today's names of its sections and their options; problems are warnings where a name still works."""
    problems: list[Problem] = []
    root = _at(root, (), renames_of("", ""), problems)
    for section in sections_with_renames():
        root = _at(root, section.split("."), renames_of("", section), problems)
    return root, problems


def _at(root: MappingNode, path: Sequence[str], renames: Sequence[Rename], problems: list[Problem]) -> MappingNode:
    """The mapping with the names changed in the one that a path leads to, if it leads to one."""
    if not path:
        changed, more = with_new_keys(root, renames)
        problems += more
        return changed
    below = root.get(path[0])
    if not isinstance(below, MappingNode):
        return root
    changed = _at(below, path[1:], renames, problems)
    return replace(root, pairs=tuple((key, changed if value is below else value) for key, value in root.pairs))


def with_new_keys(node: MappingNode, renames: Sequence[Rename]) -> tuple[MappingNode, list[Problem]]:
    """A mapping with today's names for its keys, and what is said of the earlier ones.

    Where both names stand, the one that is laid over the other counts: the command line over files, a spec over its
    base. In one and the same file that is an error.
    """
    problems: list[Problem] = []
    for rename in renames:
        old, new = node.key(rename.old), node.key(rename.new)
        if old is None:
            continue
        problem = notice(rename, old.place)
        problems += [problem] if problem else []
        if new is not None and _rank(old, node) == _rank(new, node):
            message = f"{rename.what} is called '{rename.new}' now, which is said here, too"
            problems.append(
                Problem(RENAMED, message, new.place, "keep one of the two", ((old.place, "the earlier name"),))
            )
        node = _with_key(node, rename, old, new)
    return node, problems


def _with_key(node: MappingNode, rename: Rename, old: ScalarNode, new: ScalarNode | None) -> MappingNode:
    key = replace(old, value=rename.new)
    if new is None:
        return replace(node, pairs=tuple((key if name is old else name, value) for name, value in node.pairs))
    values = {name.value: value for name, value in node.pairs}
    lower, upper = (rename.old, rename.new) if _rank(old, node) <= _rank(new, node) else (rename.new, rename.old)
    both = (key if upper == rename.old else new, merge(values[lower], values[upper]))
    pairs = (both if name is new else (name, value) for name, value in node.pairs if name is not old)
    return replace(node, pairs=tuple(pairs))


def _rank(key: ScalarNode, node: MappingNode) -> int:
    """How far above the others a key was laid, or its value."""
    places = [place for name, value in node.pairs if name is key for place in (name.place, value.place)]
    return 2 if any(place.on_command_line for place in places) else int(key.place.file == node.place.file)
