"""Changes one value of a spec at a path: replaced, appended, or added with the mappings that lead to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from annpipe.errors import Place, Problem, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.model_section import MODEL_KEYS
from annpipe.spec.sections.models import LIST_SECTIONS, ONE_COMPONENT
from annpipe.spec.sections.spec import TOP_KEYS
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, plain

BESIDE = {"data": ("split", "transforms"), "optimizer": ("groups",)}  # what may stand beside a section's component
OPTION_MAPPINGS = {  # that may be left out
    "sweep": ("over", "method", "prune"),
    "model": ("inputs", "outputs", "init", "from"),
}
CLOSED = ("device", "train", "tracking", "sweep", "model")  # sections whose keys are no names of the user's
LISTS = (  # where lists stand below a section; `*` is any one name
    *(("optimizer", "groups"), ("data", "transforms", "*"), ("blocks", "*"), ("model", "layers"), ("model", "freeze")),
    ("model", "from", "layers"),
    *(("model", "inputs", "*"), ("model", "outputs", "*", "layers"), ("model", "outputs", "*", "metrics")),
)


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
    if change.path[:2] == ("sweep", "over"):  # its keys are paths
        change = replace(change, path=tuple(filter(None, (*change.path[:2], ".".join(change.path[2:])))))
    section = change.path[0]
    if section == "device" and len(change.path) > 1:
        root = _opened_device(root)
    if section == "model" and len(change.path) > 1 and change.path[1] in MODEL_KEYS:
        root = _opened_model(root, change)
    if section == "data" and len(change.path) > 1 and change.path[1] in BESIDE["data"]:
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
            raise change.fault(f"there is no '{step}' here", _of_component(change, depth, name), step=depth)
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
    if below is None:
        _check_may_stand(node, change, depth)
        key = ScalarNode(step, step, True, change.place(depth))
        empty = MappingNode((), change.place(depth))
        return replace(node, pairs=(*node.pairs, (key, changed_at(empty, change, depth + 1))))
    if isinstance(below, ScalarNode) and below.value is None and not is_last:
        below = MappingNode((), below.place)
    changed = changed_at(below, change, depth + 1)
    return replace(node, pairs=tuple((key, changed if key.value == step else value) for key, value in node.pairs))


def _check_may_stand(node: MappingNode, change: Override, depth: int) -> None:
    """Refuses a step that the spec does not have, where nothing of that name may stand; says how it is written.

    Below a component everything may be an option: whether it is one, the registry knows.
    """
    path, step, is_last = change.path, change.path[depth], depth == len(change.path) - 1
    if not is_last and _is_list(path[: depth + 1]):
        message = f"'{path[depth + 1]}' is no position of this list; it is empty"
        raise change.fault(message, _to_append(change, depth + 1), step=depth + 1)
    if not node.pairs:
        return
    section = path[0]
    if depth and _holds_one_component(path[:depth]) and step not in (BESIDE.get(section, ()) if depth == 1 else ()):
        others = [key for key in node.keys if depth > 1 or key not in BESIDE.get(section, ())]
        if others:
            raise change.fault(f"there is no '{step}' here", _of_component(change, depth, others[0]), step=depth)
    elif depth == 0 and not is_last:
        raise change.fault(f"there is no '{step}' here", _whole_path(node, change), step=0)
    elif depth == 1 and not is_last and section in CLOSED and step not in OPTION_MAPPINGS.get(section, ()):
        raise change.fault(f"there is no '{step}' here", _nearest(step, node.keys), step=depth)


def _is_list(path: Sequence[str]) -> bool:
    """Whether a list stands at a path of a spec."""
    if len(path) == 1:
        return path[0] in LIST_SECTIONS
    return any(
        len(path) == len(form) and all(part in ("*", step) for part, step in zip(form, path, strict=True))
        for form in LISTS
    )


def _holds_one_component(path: Sequence[str]) -> bool:
    """Whether what stands at a path is one component: a section, an item of a list, the loss of a head."""
    is_head = path[:2] == ("model", "outputs") and len(path) == 4 and path[3] == "loss"
    is_item = path[-1].isdecimal() and path[:2] != ("optimizer", "groups") and path[:2] != ("model", "init")
    return (len(path) == 1 and path[0] in ONE_COMPONENT) or is_item or is_head


def _to_append(change: Override, depth: int) -> str:
    """How an item is added to a list that lacks the position at `depth`."""
    return f"`{'.'.join(change.path[:depth])}+={_spelled(change, depth + 1)}` appends"


def _of_component(change: Override, depth: int, there: str) -> str:
    """How an option of the component that is there is set, and how another one takes its place."""
    step, above = change.path[depth], ".".join(change.path[:depth])
    takes_place = f"`{above}={_spelled(change, depth)}` puts it in the place of {there}"
    if depth < len(change.path) - 1:
        return f"{did_you_mean(step, [there]) or f'there is {there};'} {takes_place}"
    return f"`{above}.{there}.{step}={_value(change)}` sets an option of {there}; {takes_place}"


def _whole_path(node: MappingNode, change: Override) -> str:
    """Where a name stands that is no section: inside one of them, as far as the spec tells."""
    rest = f"{'.'.join(change.path)}={_value(change)}"
    for section, names in BESIDE.items():
        if change.path[0] in names:
            return f"it stands in {section}: `{section}.{rest}`"
    for key, value in node.pairs:
        names = tuple(value.keys) if isinstance(value, MappingNode) else (plain(value),)
        if key.value in ONE_COMPONENT and change.path[0] in names:
            return f"it stands in {key.value}: `{key.value}.{rest}`"
    return _nearest(change.path[0], node.keys)


def _spelled(change: Override, depth: int) -> str:
    """The value with the names that lead to it from `depth` on, as one mapping: `{SGD: {lr: 0.1}}`."""
    text = _value(change)
    for step in reversed(change.path[depth:]):
        text = f"{{{step}: {text}}}"
    return text


def _value(change: Override) -> str:
    """The value as text that may stand inside a mapping."""
    assert change.value
    written = change.argument.partition("=")[2].strip()
    is_plain = written and not set(written) & set(",[]{}:#&*!|>'\"%@`")
    text = written if is_plain else json.dumps(plain(change.value), ensure_ascii=False, default=str)
    return f"[{text}]" if change.appends else text


def _position(items: Sequence[Node], change: Override, depth: int) -> int:
    step = change.path[depth]
    if step.isdecimal() and int(step) < len(items):
        return int(step)
    there = f"it has 0 to {len(items) - 1}" if items else "it is empty"
    append = _to_append(change, depth) if change.value else None
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
                    remedy = f"{_nearest(step, node.keys)}; there is nothing to remove"
                    raise change.fault(f"there is no '{step}' here", remedy, step=depth)
                node = below
            case ListNode(items=items):
                node = items[_position(items, change, depth)]
            case _:
                _no_way(change, depth)


def _no_way(change: Override, depth: int) -> NoReturn:
    above = ".".join(change.path[:depth])
    raise change.fault(f"'{change.path[depth]}' leads into a plain value", f"`--unset {above}` removes it", step=depth)
