"""Merges a spec over the base that its `extends` names.

Mappings merge, key by key; lists and plain values replace. Where one component is wanted, another name in the
extending spec takes the place of the base's: see `component.read_call`.
"""

from __future__ import annotations

import os.path
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from annpipe.errors import Place, Problem, SpecError
from annpipe.files.limits import Stance, beyond, held_to, limit
from annpipe.files.named import NamedFault, problem_of, real_path
from annpipe.spec.yaml.merge import merge
from annpipe.spec.yaml.nodes import MappingNode, Node, ScalarNode, in_words
from annpipe.spec.yaml.reader import read_file

KEY = "extends"
MOST_BASES = 64  # one below the other; each may be as large as a spec is


def extended(root: MappingNode, path: Path, *, within: Path | None = None) -> MappingNode:
    """The spec with everything its chain of bases says beneath it; `within` is the only folder that may be read.

    Raises SpecError for a base that is absent, absolute, outside `within` or part of a cycle, and for a chain of more
    than MOST_BASES.
    """
    with held_to(Stance.below(within)):
        return _extended(root, path, [path.resolve()])


def _extended(root: MappingNode, path: Path, chain: list[Path]) -> MappingNode:
    node = root.get(KEY)
    extending = replace(root, pairs=tuple(pair for pair in root.pairs if pair[0].value != KEY))
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return extending
    base = _base_path(node, path, chain)
    try:
        below = _extended(read_file(base), base, [*chain, base.resolve()])
    except SpecError as error:
        raise SpecError([_noted(problem, node.place) for problem in error.problems]) from None
    merged = merge(below, extending)
    assert isinstance(merged, MappingNode)
    return merged


def _noted(problem: Problem, place: Place) -> Problem:
    """A fault of the base, with where it is extended."""
    if problem.place is None:
        return replace(problem, place=place)
    return replace(problem, related=(*problem.related, (place, "extended here")))


def _base_path(node: Node, path: Path, chain: list[Path]) -> Path:
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or not node.value:
        _refuse(
            f"`extends` must be the path of one spec; found {in_words(node)}",
            node.place,
            "write `extends: base.yaml`",
        )
    text = node.value
    if Path(text).is_absolute() or "://" in text or text.startswith("~"):
        help_ = "write a path that starts from this spec's folder, as in `extends: ../base.yaml`"
        _refuse(f"`extends` must be a relative path; found '{text}'", node.place, help_)
    base = Path(os.path.normpath(path.parent / text))
    try:
        real = real_path(base, text)
    except NamedFault as fault:
        raise SpecError([problem_of("extends", fault, node.place)]) from None
    most = limit("bases")
    if most is not None and len(chain) > most:
        message, help_ = beyond("bases", f"more than {most}")
        raise SpecError([Problem("untrusted-limit", message, node.place, help_)])
    if len(chain) > MOST_BASES:
        _refuse(f"more than {MOST_BASES} specs extend one another", node.place, "lay fewer specs over one another")
    if real in chain:
        circle = " -> ".join(p.name for p in [*chain[chain.index(real) :], real])
        _refuse(f"the specs extend one another in a circle: {circle}", node.place, "take one `extends` out")
    return base


def _refuse(message: str, place: Place, help_: str) -> NoReturn:
    raise SpecError([Problem("extends", message, place, help_)])
