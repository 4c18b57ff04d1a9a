"""Changes one value of a spec at a path: replaced, appended, or added with the mappings that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from annpipe.errors import Place, Problem, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.model_section import MODEL_KEYS
from annpipe.spec.sections.models import LIST_SECTIONS, ONE_COMPONENT
from annpipe.spec.sections.spec import TOP_KEYS
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode

LEFT_OUT = {"data": ("split", "transforms")}  # mappings inside a section that a spec may leave out


@dataclass(frozen=True)
class Override:
    """One `--set` or `--unset`: the path it names, the node of its value, and how the command line says it.

    `at` is the place of its path where no command line says it: a sweep's own.
    """

    path: tuple[str, ...]
    argument: str
    value: Node | None = None
    appends: bool = False
    at: Place | None = None

    def fault(self, message: str, help_: str | None = None, *, step: int | None = None) -> SpecError:
        """The error, its carets under the whole path or under the step at fault."""
        whole = ".".join(self.path)
        place = self.place(step)
        return SpecError([Problem("override", f"`{whole}`: {message}", place, help_ or None)])

    def place(self, step: int | None = None) -> Place:
        """The whole path in the command line, or one step of it."""
        if self.at is not None:
            return self.at
        start = self.argument.index(" ") + 2
        before = sum(len(part) + 1 for part in self.path[: step or 0])
        length = len(".".join(self.path)) if step is None else len(self.path[step])
        return Place(self.argument, 1, start + before, length)


def with_change(root: MappingNode, change: Override) -> MappingNode:
    """The spec with one value replaced or appended."""
    section = change.path[0]
    if section == "device" and len(change.path) > 1:
        root = _opened_device(root)
    if section == "model" and len(change.path) > 1 and change.path[1] in MODEL_KEYS:
        root = _opened_model(root, change)
    if section == "data" and len(change.path) > 1 and change.path[1] in LEFT_OUT["data"]:
        root = _opened_data(root)
    missing = root.get(section)
    if section in TOP_KEYS and (missing is None or (isinstance(missing, ScalarNode) and missing.value is None)):
        root = _with_section(root, change)
    made = changed_at(root, change, 0)
    assert isinstance(made, MappingNode)
    return made


def _opened_device(root: MappingNode) -> MappingNode:
    """`device: cpu` as the mapping it is short for, `device: {type: cpu}`."""

    def opened(node: Node) -> Node:
        if not isinstance(node, ScalarNode) or node.value is None:
            return node
        return MappingNode(((ScalarNode("type", "type", True, node.place), node),), node.place)

    return replace(root, pairs=tuple((k, opened(v) if k.value == "device" else v) for k, v in root.pairs))


def _opened_model(root: MappingNode, change: Override) -> MappingNode:
    """`model: [Linear: 1]` as the mapping it is short for, `model: {layers: [Linear: 1]}`, with a place for `init`."""
    place = change.place(1)
    empty: tuple[tuple[ScalarNode, Node], ...] = ((ScalarNode("init", "init", True, place), MappingNode((), place)),)

    def opened(node: Node) -> Node:
        if isinstance(node, ListNode):
            node = MappingNode(((ScalarNode("layers", "layers", True, node.place), node),), node.place)
        if isinstance(node, MappingNode) and change.path[1] == "init" and node.get("layers") and not node.get("init"):
            return replace(node, pairs=(*node.pairs, *empty))
        return node

    return replace(root, pairs=tuple((k, opened(v) if k.value == "model" else v) for k, v in root.pairs))


def _opened_data(root: MappingNode) -> MappingNode:
    """`data: spiral` as the mapping it is short for, `data: {spiral: }`, with a place for `split` and `transforms`."""

    def opened(node: Node) -> Node:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            return node
        return MappingNode(((node, MappingNode((), node.place)),), node.place)

    return replace(root, pairs=tuple((k, opened(v) if k.value == "data" else v) for k, v in root.pairs))


def _with_section(root: MappingNode, change: Override) -> MappingNode:
    """An empty section to set something in, where the spec has none."""
    assert change.value
    section, place = change.path[0], change.place(0)
    empty: Node = ListNode((), place) if section in LIST_SECTIONS else MappingNode((), place)
    pairs = tuple(pair for pair in root.pairs if pair[0].value != section)
    return replace(root, pairs=(*pairs, (ScalarNode(section, section, True, place), empty)))


def changed_at(node: Node, change: Override, depth: int) -> Node:
    assert change.value
    if depth == len(change.path):
        return _appended(node, change) if change.appends else change.value
    step = change.path[depth]
    match node:
        case MappingNode():
            return _in_mapping(node, change, depth)
        case ListNode(items=items) if step.isdecimal() or depth < 2:
            position = _position(items, change, depth)
            changed = changed_at(items[position], change, depth + 1)
            return replace(node, items=(*items[:position], changed, *items[position + 1 :]))
        case ScalarNode(value=str() as name) if step == name:
            # `loss: L1Loss` and `--set loss.L1Loss.reduction=sum`: the bare name opens into a mapping
            return MappingNode(((node, changed_at(MappingNode((), node.place), change, depth + 1)),), node.place)
        case ScalarNode(value=str() as name) if depth < 2:
            raise change.fault(f"there is no '{step}' here", _nearest(step, [name]), step=depth)
    # `Linear: 100` and `--set model.0.Linear.bias=false`: what stands by position stays beneath
    return changed_at(MappingNode((), change.value.place, beneath=node), change, depth)


def _appended(node: Node, change: Override) -> ListNode:
    assert change.value
    if isinstance(node, MappingNode) and not node.pairs:
        return ListNode((change.value,), change.value.place)
    if not isinstance(node, ListNode):
        raise change.fault("`+=` appends to a list, and this is none", f"write {'.'.join(change.path)}=VALUE")
    return replace(node, items=(*node.items, change.value))


def _in_mapping(node: MappingNode, change: Override, depth: int) -> MappingNode:
    assert change.value
    step, is_last = change.path[depth], depth == len(change.path) - 1
    below = node.get(step)
    if below is None and not is_last and node.pairs and not _may_be_left_out(change, depth):
        raise change.fault(f"there is no '{step}' here", _nearest(step, node.keys), step=depth)
    if below is None:
        key = ScalarNode(step, step, True, change.place(depth))
        empty = MappingNode((), change.place(depth))
        return replace(node, pairs=(*node.pairs, (key, changed_at(empty, change, depth + 1))))
    if isinstance(below, ScalarNode) and below.value is None and not is_last:
        below = MappingNode((), below.place)
    changed = changed_at(below, change, depth + 1)
    return replace(node, pairs=tuple((key, changed if key.value == step else value) for key, value in node.pairs))


def _may_be_left_out(change: Override, depth: int) -> bool:
    """Whether a step may name a mapping that the spec does not have: a part of a section, or an option's."""
    section, step = change.path[0], change.path[depth]
    if depth == 1:
        return step in LEFT_OUT.get(section, ())
    return depth == 2 and section in ONE_COMPONENT and change.path[1] not in LEFT_OUT.get(section, ())


def _position(items: Sequence[Node], change: Override, depth: int) -> int:
    step = change.path[depth]
    if step.isdecimal() and int(step) < len(items):
        return int(step)
    there = f"it has 0 to {len(items) - 1}" if items else "it is empty"
    append = f"`{'.'.join(change.path[:depth])}+=VALUE` appends" if change.value else None
    raise change.fault(f"'{step}' is no position of this list; {there}", append, step=depth)


def _nearest(step: str, keys: Sequence[str]) -> str:
    return did_you_mean(step, keys) or f"there is {', '.join(keys)}"


def look_up(node: Node, change: Override) -> None:
    """Follows the whole path, or says where it breaks off."""
    for depth, step in enumerate(change.path):
        match node:
            case MappingNode():
                below = node.get(step)
                if below is None:
                    raise change.fault(f"there is no '{step}' here", _nearest(step, node.keys), step=depth)
                node = below
            case ListNode(items=items):
                node = items[_position(items, change, depth)]
            case _:
                _no_way(change, depth)


def _no_way(change: Override, depth: int) -> NoReturn:
    above = ".".join(change.path[:depth])
    raise change.fault(f"'{change.path[depth]}' leads into a plain value", f"`--unset {above}` removes it", step=depth)
