"""`--set PATH=VALUE`: a value of the spec replaced from the command line, by the same YAML rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from annpipe.errors import COMMAND_LINE, Place, Problem, SpecError
from annpipe.registry.suggest import did_you_mean
from annpipe.spec.nodes import ListNode, MappingNode, Node, ScalarNode
from annpipe.spec.reader import read_text
from annpipe.spec.spec import SECTIONS


@dataclass(frozen=True)
class Override:
    """One `--set`: the path it names and the node of its value."""

    path: tuple[str, ...]
    value: Node
    text: str


def override(root: MappingNode, text: str) -> MappingNode:
    """The spec with one value replaced; keys of mappings may be new, positions in lists must exist."""
    parsed = _parse(text)
    section = parsed.path[0]
    if section == "device" and len(parsed.path) > 1:
        root = _opened_device(root)
    if section in SECTIONS and root.get(section) is None:
        key = ScalarNode(section, section, True, parsed.value.place)
        root = replace(root, pairs=(*root.pairs, (key, MappingNode((), parsed.value.place))))
    changed = _replaced(root, parsed.path, parsed)
    assert isinstance(changed, MappingNode)
    return changed


def _opened_device(root: MappingNode) -> MappingNode:
    """`device: cpu` as the mapping it is short for, `device: {type: cpu}`."""

    def opened(node: Node) -> Node:
        if not isinstance(node, ScalarNode) or node.value is None:
            return node
        return MappingNode(((ScalarNode("type", "type", True, node.place), node),), node.place)

    return replace(root, pairs=tuple((k, opened(v) if k.value == "device" else v) for k, v in root.pairs))


def _parse(text: str) -> Override:
    path, equals, value = text.partition("=")
    place = Place(f"{COMMAND_LINE}{text}", 1, len(COMMAND_LINE) + 1, len(text))
    if not equals or not path.strip():
        help_ = "write PATH=VALUE, as in `--set optimizer.Adam.lr=1e-3`"
        raise SpecError([Problem("override", f"`{text}` is not an override", place, help_)])
    # a key as long as what stands before the value, so that columns count in the command line
    key = "k" * (len(COMMAND_LINE) + len(path) - 1)
    node = read_text(f"{key}: {value}", place.file).get(key)
    assert node is not None
    return Override(tuple(path.strip().split(".")), node, text)


def _replaced(node: Node, path: tuple[str, ...], change: Override) -> Node:
    if not path:
        return change.value
    step, *rest = path
    match node:
        case MappingNode():
            return _in_mapping(node, step, tuple(rest), change)
        case ListNode(items=items):
            position = int(step) if step.isdecimal() else -1
            if not 0 <= position < len(items):
                raise _fault(change, f"'{step}' is no position of this list; it has 0 to {len(items) - 1}", "")
            changed = _replaced(items[position], tuple(rest), change)
            return replace(node, items=(*items[:position], changed, *items[position + 1 :]))
        case ScalarNode(value=str() as name) if step == name:
            # `loss: L1Loss` and `--set loss.L1Loss.reduction=sum`: the bare name opens into a mapping
            key = replace(node)
            return MappingNode(((key, _replaced(MappingNode((), node.place), tuple(rest), change)),), node.place)
    raise _fault(change, f"'{step}' leads into a plain value", "")


def _in_mapping(node: MappingNode, step: str, rest: tuple[str, ...], change: Override) -> MappingNode:
    below = node.get(step)
    if below is None and rest and node.pairs:
        raise _fault(
            change, f"there is no '{step}' here", did_you_mean(step, node.keys) or f"there is {', '.join(node.keys)}"
        )
    if below is None:
        key = ScalarNode(step, step, True, change.value.place)
        empty = MappingNode((), node.place)
        return replace(node, pairs=(*node.pairs, (key, _replaced(empty, rest, change))))
    pairs = tuple((key, _replaced(value, rest, change) if key.value == step else value) for key, value in node.pairs)
    return replace(node, pairs=pairs)


def _fault(change: Override, message: str, help_: str) -> SpecError:
    place = Place(f"{COMMAND_LINE}{change.text}", 1, len(COMMAND_LINE) + 1, len(".".join(change.path)))
    return SpecError([Problem("override", f"{'.'.join(change.path)}: {message}", place, help_ or None)])
