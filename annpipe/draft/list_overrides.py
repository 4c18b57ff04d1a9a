"""Applies `--set model.2.residual.layers.0.Linear.bias=false` where the spec writes `residual: [Linear: 64, ReLU]`.

Which option a list fills is known to the registry alone, so an override reads `layers.0` as names, and lays a mapping
over the list; here its names become positions of the list again.
"""

from __future__ import annotations

from annpipe.errors import Problem
from annpipe.spec.yaml.merge import merge
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node


def settled(node: Node, below: Node | None = None) -> tuple[Node, list[Problem]]:
    """The list with what is laid over its positions, at every depth, and the positions that it does not have."""
    problems: list[Problem] = []
    return _settled(node, below, problems), problems


def _settled(node: Node, below: Node | None, problems: list[Problem]) -> Node:
    if isinstance(node, ListNode):
        return ListNode(tuple(_settled(item, None, problems) for item in node.items), node.place, node.used)
    if not isinstance(node, MappingNode):
        return node
    beneath = node.beneath if isinstance(node.beneath, ListNode) else below
    if not isinstance(beneath, ListNode) or not node.pairs or not all(key.isdecimal() for key in node.keys):
        return node
    items = list(beneath.items)
    for key, over in node.pairs:
        position = int(str(key.value))
        if position < len(items):
            items[position] = merge(items[position], over)
        else:
            message = f"'{position}' is no position of this list; it has 0 to {len(items) - 1}"
            problems.append(Problem("override", message, key.place))
    return ListNode(tuple(_settled(item, None, problems) for item in items), beneath.place, beneath.used)
