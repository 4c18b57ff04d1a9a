"""Lays one spec's nodes over another's: mappings merge key by key, everything else replaces."""

from __future__ import annotations

from dataclasses import replace

from annpipe.spec.yaml.nodes import MappingNode, Node


def merge(base: Node, over: Node) -> Node:
    """`over` laid on `base`: mappings merge key by key, everything else replaces.

    >>> from annpipe.spec.yaml.nodes import plain
    >>> from annpipe.spec.yaml.reader import read_text
    >>> plain(merge(read_text("a: {x: 1, y: [1, 2]}", ""), read_text("a: {y: [3], z: 0}", "")))
    {'a': {'x': 1, 'y': [3], 'z': 0}}
    """
    if not isinstance(over, MappingNode):
        return over
    if not isinstance(base, MappingNode):
        return replace(over, beneath=base)
    pairs_over = {key.value: (key, value) for key, value in over.pairs}
    pairs = []
    for key, value in base.pairs:
        if key.value in pairs_over:
            name, laid_over = pairs_over.pop(key.value)
            pairs.append((name, merge(value, laid_over)))
        else:
            pairs.append((key, value))
    return replace(over, pairs=(*pairs, *pairs_over.values()), beneath=base.beneath)
