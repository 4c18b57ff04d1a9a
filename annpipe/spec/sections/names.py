"""Checks that a run's name, experiment and tags are printable."""

from __future__ import annotations

from collections.abc import Iterator

from annpipe.errors import Problem, one_line, steering
from annpipe.spec.sections.checking import used_note
from annpipe.spec.yaml.nodes import MappingNode, Node, ScalarNode

JOINERS = "\u200c\u200d"  # letters and emoji that belong together are written with them
HELP = "leave it out: the name stands in lists, figures, files and the record"


def unprintable(root: MappingNode) -> Iterator[Problem]:
    """A problem for each name that holds what is obeyed or hidden instead of shown.

    A description and the value of a tag may have lines; the rest is one line.
    """
    tracking, tags = root.get("tracking"), root.get("tags")
    yield from _fault("name", root.get("name"))
    yield from _fault("description", root.get("description"), lines=True)
    if isinstance(tracking, MappingNode):
        yield from _fault("tracking.experiment", tracking.get("experiment"))
        yield from _fault("tracking.uri", tracking.get("uri"))
    if isinstance(tags, MappingNode):
        for key, value in tags.pairs:
            yield from _fault("tags", key)
            yield from _fault(f"tags.{key.value}", value, lines=True)


def fault_of(text: str, *, lines: bool = False) -> str | None:
    """What a name may not hold, in words; None where it holds nothing of the kind."""
    sign = steering("".join(char for char in text if char not in JOINERS), lines=lines)
    if sign is None:
        return None
    kind = "a line break" if sign == "\n" else "a tabulator" if sign == "\t" else "a character that is not printable"
    return f"{kind} (U+{ord(sign):04X})"


def _fault(path: str, node: Node | None, *, lines: bool = False) -> Iterator[Problem]:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        fault = fault_of(node.value, lines=lines)
        if fault is not None:
            message = f"`{path}` holds {fault}: '{one_line(node.value)}'"
            yield Problem("unprintable-name", message, node.place, HELP, used_note(node))
