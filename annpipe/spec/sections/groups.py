"""Reads `optimizer.groups`: patterns over parameter names, each group with options of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from annpipe.errors import Place, Problem
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words

KEY = "groups"
PATTERNS = "params"  # torch's own word for them
EXAMPLE = 'write `groups: [{params: "*.bias", weight_decay: 0}]`'


@dataclass(frozen=True)
class GroupCall:
    """One group as a spec writes it: its patterns, each with its place, and the node of its options."""

    patterns: tuple[tuple[str, Place], ...]
    options: MappingNode


def read_groups(node: Node | None) -> tuple[list[GroupCall], list[Problem]]:
    """Reads a list of mappings, each with `params`: one pattern or a list of them."""
    if node is None or (isinstance(node, ScalarNode) and node.value is None):
        return [], []
    if not isinstance(node, ListNode):
        message = f"`optimizer.{KEY}` must be a list; found {in_words(node)}"
        return [], [Problem("not-a-list", message, node.place, EXAMPLE)]
    read = [_group(item, f"`optimizer.{KEY}` number {number}") for number, item in enumerate(node.items, start=1)]
    return [r for r in read if isinstance(r, GroupCall)], [r for r in read if isinstance(r, Problem)]


def _group(node: Node, what: str) -> GroupCall | Problem:
    if not isinstance(node, MappingNode):
        return Problem("not-a-mapping", f"{what} must be a mapping; found {in_words(node)}", node.place, EXAMPLE)
    node_of_patterns = node.get(PATTERNS)
    if node_of_patterns is None:
        return Problem("missing-option", f"{what} says no `{PATTERNS}`", node.place, EXAMPLE)
    items = node_of_patterns.items if isinstance(node_of_patterns, ListNode) else (node_of_patterns,)
    for item in items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str) or not item.value:
            message = (
                f"`{PATTERNS}` must be a pattern over names of parameters, or a list of them; found {in_words(item)}"
            )
            return Problem("wrong-type", message, item.place, 'for example `params: "*.bias"`')
    if not items:
        return Problem("wrong-type", f"{what} has an empty list of `{PATTERNS}`", node_of_patterns.place, EXAMPLE)
    patterns = tuple((item.text if isinstance(item, ScalarNode) else "", item.place) for item in items)
    pairs = tuple(pair for pair in node.pairs if pair[0].value != PATTERNS)
    if not pairs:
        return Problem("missing-option", f"{what} gives its parameters no option of their own", node.place, EXAMPLE)
    return GroupCall(patterns, replace(node, pairs=pairs))
