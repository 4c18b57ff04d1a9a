"""Rewrites earlier names in the text of a spec, and nothing else: comments, layout and line ends stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from annpipe.errors import Place, Problem, SpecError
from annpipe.spec.sections.axes import Axis
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, descend
from annpipe.spec.yaml.reader import read_text
from annpipe.spec.yaml.source import Source


@dataclass(frozen=True)
class MigratedText:
    """The new text, the problems that it is rid of, and those whose name is to be changed by hand."""

    text: str
    changed: tuple[Problem, ...]
    by_hand: tuple[Problem, ...]


def migrated(text: str, file: str, problems: Iterable[Problem]) -> MigratedText:
    """The text with the fix of each problem at its place; one that cannot be applied without a doubt is not applied.

    `file` is what the places of the problems call the text. That nothing but the names changes is held against the
    nodes of both texts.
    """
    source = Source(text, file)
    spans: dict[tuple[int, int], Problem] = {}
    by_hand = []
    for problem in problems:
        span = _span(source, problem)
        if span is None:
            by_hand.append(problem)
        else:
            spans[span] = problem
    for (start, end), problem in sorted(spans.items(), reverse=True, key=lambda item: item[0]):
        assert problem.fix
        text = text[:start] + problem.fix[1] + text[end:]
    if not _differs_in_names_only(source.text, text, file, list(spans.values())):
        return MigratedText(source.text, (), (*spans.values(), *by_hand))
    return MigratedText(text, tuple(spans.values()), tuple(by_hand))


def in_paths(axes: Iterable[Axis], root: MappingNode, notices: Iterable[Problem]) -> Iterator[Problem]:
    """Earlier names in the paths that a sweep goes over, where they lead through keys of earlier names."""
    by_place = {notice.place: notice for notice in notices}
    for axis in axes:
        node: Node | None = root
        for step in axis.path.split("."):
            pairs = node.pairs if isinstance(node, MappingNode) else ()
            earlier = next((by_place[key.place] for key, _ in pairs if _was(step, by_place.get(key.place))), None)
            if earlier is not None and earlier.fix:
                yield replace(earlier, place=axis.place)
                step = earlier.fix[1]
            node = descend(node, [int(step) if step.isdecimal() else step])[0] if node is not None else None


def _was(step: str, notice: Problem | None) -> bool:
    return notice is not None and notice.fix is not None and notice.fix[0] == step


def _span(source: Source, problem: Problem) -> tuple[int, int] | None:
    """Where the earlier name stands; None where the place does not show it once, as a whole word."""
    if problem.fix is None or problem.place is None:
        return None
    start, end = _bounds(source, problem.place)
    matches = list(_word(problem.fix[0]).finditer(source.text[start:end]))
    if len(matches) != 1:
        return None
    return start + matches[0].start(), start + matches[0].end()


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")


def _bounds(source: Source, place: Place) -> tuple[int, int]:
    start = source.line_start(place.line - 1) + place.column - 1
    return start, min(start + place.length, source.line_end(start))


def _differs_in_names_only(before: str, after: str, file: str, problems: Sequence[Problem]) -> bool:
    """Whether the texts have the same scalars in the same order, but for the names."""
    try:
        scalars = [list(_scalars(read_text(text, file))) for text in (before, after)]
    except SpecError:  # a key stands twice now
        return False
    names = {problem.fix for problem in problems}
    changed = [(old, new) for old, new in zip(*scalars, strict=False) if old != new]
    are_names = all(any(name and _word(name[0]).sub(name[1], old) == new for name in names) for old, new in changed)
    return are_names and len(scalars[0]) == len(scalars[1])


def _scalars(node: Node) -> Iterator[str]:
    """The texts of all keys and values, with marks where lists and mappings begin and end."""
    match node:
        case ScalarNode():
            yield f"{type(node.value).__name__} {node.value}"
        case ListNode(items=items):
            yield "["
            for item in items:
                yield from _scalars(item)
            yield "]"
        case MappingNode(pairs=pairs):
            yield "{"
            for key, value in pairs:
                yield from (*_scalars(key), *_scalars(value))
            yield "}"
