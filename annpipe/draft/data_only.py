"""Drafts the data component alone, for commands that look at the data before the rest of the spec is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from annpipe.draft.component import Component
from annpipe.draft.named_files import add_plugins, file_faults, plugin_files
from annpipe.draft.options import Resolving
from annpipe.errors import Place, Problem, SpecError
from annpipe.files.limits import Stance
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import Spec
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node

NEEDED = ("version", "name", "data")  # sections that the data cannot be made without
READ = ("version", "name", "seed", "plugins", "data")


@dataclass(frozen=True)
class DataDraft:
    """The data component of a spec with its options checked, and the registry that it comes from."""

    spec: Spec
    registry: Registry
    data: Component
    stance: Stance | None = None


def draft_data(spec: Spec, registry: Registry, *, project: Path, untrusted: bool = False) -> DataDraft:
    """Resolves the data component; raises SpecError for what is wrong with it or before it, and for nothing else.

    No plugin of an untrusted spec is imported, and nothing outside its folder is read.
    """
    files, problems = plugin_files(spec, project)
    problems += [] if untrusted else add_plugins(files, registry)
    resolving = Resolving(registry, within=spec.folder if untrusted else None)
    data = resolving.component(spec.data, "data") if spec.data.name else None
    problems += file_faults(spec, resolving.stance)
    read = {place for name in READ for place in _places(name, spec)}
    problems += [problem for problem in spec.problems if _is_missing(problem) or problem.place in read]
    problems += [] if problems else resolving.problems
    if problems or data is None:
        raise SpecError(problems or spec.problems)
    return DataDraft(spec, registry, data, resolving.stance)


def _is_missing(problem: Problem) -> bool:
    return problem.code == "missing-section" and any(f"'{name}'" in problem.message for name in NEEDED)


def _places(section: str, spec: Spec) -> Iterator[Place]:
    """Where the values of a section and the keys inside it stand; its own key may be where the whole spec begins."""
    node = spec.root.get(section)
    if node is not None:
        yield from _below(node)


def _below(node: Node) -> Iterator[Place]:
    yield node.place
    match node:
        case ListNode(items=items):
            for item in items:
                yield from _below(item)
        case MappingNode(pairs=pairs):
            for key, value in pairs:
                yield key.place
                yield from _below(value)
