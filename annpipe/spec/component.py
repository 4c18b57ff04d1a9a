"""The one grammar of components: a name, a scalar, a list or a mapping."""

from __future__ import annotations

from dataclasses import dataclass, replace

from annpipe.errors import Place, Problem
from annpipe.spec.nodes import ListNode, MappingNode, Node, ScalarNode, found


@dataclass(frozen=True)
class Call:
    """A component as a spec writes it: its name and the node of its options (None: all defaults)."""

    name: str
    options: Node | None
    place: Place


def read_call(node: Node, what: str) -> Call | Problem:
    """Reads `ReLU`, `Linear: 100`, `Conv2d: [32, 3]` or `Linear: {out_features: 100}`; `what` names it in an error."""
    match node:
        case ScalarNode(value=str() as name) if name:
            return Call(name, None, node.place)
        case MappingNode(pairs=((key, ScalarNode(value=None)),)):
            return Call(str(key.value), None, key.place)
        case MappingNode(pairs=((key, options),)):
            return Call(str(key.value), options, key.place)
        case MappingNode(pairs=(_, _, *_)) if own := _extending(node):
            return read_call(own, what)
        case MappingNode(pairs=(_, (second, _), *_)):
            message = f"{what} is one component; found {len(node.pairs)} names: {', '.join(node.keys)}"
            help_ = "indent the options below the component's name, or begin each component with `- `"
            return Problem("not-a-component", message, second.place, help_)
    help_ = "write a name, or `name: value`, or `name: {option: value}`"
    return Problem("not-a-component", f"{what} must be a component; found {found(node)}", node.place, help_)


def _extending(node: MappingNode) -> MappingNode | None:
    """The one component that the extending spec names where its base names another."""
    own = [pair for pair in node.pairs if pair[0].place.file == node.place.file]
    others = [pair for pair in node.pairs if pair not in own]
    if len(own) != 1 or any(key.place.on_command_line for key, _ in others):
        return None
    return replace(node, pairs=tuple(own))


def read_calls(node: Node, what: str) -> tuple[list[Call], list[Problem]]:
    """Reads a list of components; a single one without a dash is not taken for a list."""
    if isinstance(node, ScalarNode) and node.value is None:
        return [], []
    if not isinstance(node, ListNode):
        help_ = "begin each component with `- `, or write [one, two]"
        return [], [Problem("not-a-list", f"`{what}` must be a list; found {found(node)}", node.place, help_)]
    read = [read_call(item, f"`{what}` number {number}") for number, item in enumerate(node.items, start=1)]
    return [r for r in read if isinstance(r, Call)], [r for r in read if isinstance(r, Problem)]
