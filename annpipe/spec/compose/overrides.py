"""Applies `--set PATH=VALUE`, `--set PATH+=VALUE` and `--unset PATH` to a spec.

Values are read by the spec's own YAML rules. Positions are those of the spec as written: `+=` adds at the end of a
list, and everything to be removed is looked up before anything is. What stands at a path beneath which something is
set is removed first: `--unset data.split --set data.split.folds=5` leaves nothing else in `split`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from annpipe.errors import COMMAND_LINE, Place, Problem, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.model_section import MODEL_KEYS
from annpipe.spec.sections.spec import REQUIRED, TOP_KEYS
from annpipe.spec.sections.table import LIST_SECTIONS, ONE_COMPONENT
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, plain

UNSET = "--unset "
DEVICE = "--device "
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


def override(root: MappingNode, text: str) -> MappingNode:
    """The spec with one value replaced or appended; keys of mappings may be new, positions in lists must exist."""
    return with_change(root, _parse(text))


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
    made = _changed(root, change, 0)
    assert isinstance(made, MappingNode)
    return made


def swept(root: MappingNode, pairs: Sequence[tuple[ScalarNode, Node]]) -> MappingNode:
    """The spec with more values to try in `sweep.over`; those of a path that it tries already take their place."""
    if not pairs:
        return root
    place = pairs[0][0].place
    for number, (path, _) in enumerate(pairs):
        if path.value in [known.value for known, _ in pairs[:number]]:
            message = f"`{path.value}` is swept over twice"
            raise SpecError([Problem("override", message, path.place, "give all of its values in one")])
    section, key = root.get("sweep"), ScalarNode("sweep", "sweep", True, place)
    if section is not None and not isinstance(section, MappingNode) and plain(section) is not None:
        return root  # said to be wrong when it is read
    old = section if isinstance(section, MappingNode) else MappingNode((), place)
    over = old.get("over")
    known = over if isinstance(over, MappingNode) else MappingNode((), place)
    paths = {path.value for path, _ in pairs}
    kept = tuple(pair for pair in known.pairs if pair[0].value not in paths)
    over_key = old.key("over") or ScalarNode("over", "over", True, place)
    merged = (over_key, replace(known, pairs=(*kept, *pairs)))
    section = replace(old, pairs=(merged, *(pair for pair in old.pairs if pair[0].value != "over")))
    others = tuple(pair for pair in root.pairs if pair[0].value != "sweep")
    return replace(root, pairs=(*others, (root.key("sweep") or key, section)))


def trial(root: MappingNode, values: Iterable[tuple[str, Node]]) -> MappingNode:
    """The spec of one trial: its values in their places, and no sweep."""
    root = replace(root, pairs=tuple(pair for pair in root.pairs if pair[0].value != "sweep"))
    for path, node in values:
        root = with_change(root, Override(tuple(path.split(".")), "", node, at=node.place))
    return root


def on_device(root: MappingNode, word: str) -> MappingNode:
    """The spec with another device and its other options kept: `--device cpu`."""
    argument = f"{DEVICE}{word}"
    value = ScalarNode(word, word, True, Place(argument, 1, len(DEVICE) + 1, max(1, len(word))))
    within = isinstance(root.get("device"), MappingNode)
    change = Override(("device", "type") if within else ("device",), argument, value)
    made = _changed(root, change, 0)
    assert isinstance(made, MappingNode)
    return made


def said_path(text: str) -> str:
    """The path of `PATH=VALUE` or `PATH+=VALUE`."""
    return text.partition("=")[0].removesuffix("+").strip()


def parted(paths: Iterable[str], changed: Iterable[str]) -> tuple[list[str], list[str]]:
    """What is removed before anything is set: where something is set beneath it; and what is removed in the end.

    Raises SpecError for a position of a list: what is set there would be what comes after it.

    >>> parted(["data.split", "model.1"], ["data.split.folds", "model.2"])
    (['data.split'], ['model.1'])
    """
    first: list[str] = []
    last: list[str] = []
    below = [*changed]
    for path in paths:
        beneath = next((other for other in below if f"{other}.".startswith(f"{path.strip()}.")), None)
        if beneath is not None and path.rpartition(".")[2].strip().isdecimal():
            message = f"`{beneath}` is set and left out at once"
            raise Override(_steps(path, UNSET), f"{UNSET}{path}").fault(message, "keep one of the two")
        (last if beneath is None else first).append(path)
    return first, last


def unset(root: MappingNode, paths: Iterable[str]) -> MappingNode:
    """The spec without what stands at `paths`; each must be there."""
    parsed = [Override(_steps(path, UNSET), f"{UNSET}{path}") for path in paths]
    for change in parsed:
        _look_up(root, change)
    changed = _without(root, {change.path: change.place() for change in parsed})
    assert isinstance(changed, MappingNode)
    emptied = [_emptied(change) for change in parsed if change.path[0] in REQUIRED and len(change.path) == 1]
    return replace(changed, pairs=(*changed.pairs, *dict(emptied).items()))


def _emptied(change: Override) -> tuple[ScalarNode, Node]:
    """What every spec needs stays there, empty, so that the command line is the place where it is missed."""
    place, name = change.place(), change.path[0]
    return ScalarNode(name, name, True, place), ScalarNode(None, "", True, place)


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


def _parse(text: str) -> Override:
    path, equals, value = text.partition("=")
    appends = path.endswith("+")
    if not equals or not path.removesuffix("+").strip():
        place = Place(f"{COMMAND_LINE}{text}", 1, len(COMMAND_LINE) + 1, len(text))
        help_ = "write PATH=VALUE, as in `--set optimizer.Adam.lr=1e-3`, or PATH+=VALUE to append to a list"
        raise SpecError([Problem("override", f"`{text}` is not an override", place, help_)])
    argument = f"{COMMAND_LINE}{text}"
    # spaces for what stands before the value, so that columns count in the command line
    before = len(argument) - len(value)
    change = Override(_steps(path.removesuffix("+"), COMMAND_LINE), argument, appends=appends)
    node = compose(" " * before + value, argument) or ScalarNode(None, "", True, change.place(len(change.path) - 1))
    return replace(change, value=node)


def _steps(path: str, option: str) -> tuple[str, ...]:
    steps = tuple(path.strip().split("."))
    if not all(steps):
        place = Place(f"{option}{path}", 1, len(option) + 1, max(1, len(path)))
        help_ = "write names and positions with single dots between them, as in model.2.Linear.out_features"
        raise SpecError([Problem("override", f"`{path}` is not a path", place, help_)])
    return steps


def _changed(node: Node, change: Override, depth: int) -> Node:
    assert change.value
    if depth == len(change.path):
        return _appended(node, change) if change.appends else change.value
    step = change.path[depth]
    match node:
        case MappingNode():
            return _in_mapping(node, change, depth)
        case ListNode(items=items) if step.isdecimal() or depth < 2:
            position = _position(items, change, depth)
            changed = _changed(items[position], change, depth + 1)
            return replace(node, items=(*items[:position], changed, *items[position + 1 :]))
        case ScalarNode(value=str() as name) if step == name:
            # `loss: L1Loss` and `--set loss.L1Loss.reduction=sum`: the bare name opens into a mapping
            return MappingNode(((node, _changed(MappingNode((), node.place), change, depth + 1)),), node.place)
        case ScalarNode(value=str() as name) if depth < 2:
            raise change.fault(f"there is no '{step}' here", _nearest(step, [name]), step=depth)
    # `Linear: 100` and `--set model.0.Linear.bias=false`: what stands by position stays beneath
    return _changed(MappingNode((), change.value.place, beneath=node), change, depth)


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
        return replace(node, pairs=(*node.pairs, (key, _changed(empty, change, depth + 1))))
    if isinstance(below, ScalarNode) and below.value is None and not is_last:
        below = MappingNode((), below.place)
    changed = _changed(below, change, depth + 1)
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


def _look_up(node: Node, change: Override) -> None:
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


def _without(node: Node, paths: Mapping[tuple[str, ...], Place]) -> Node:
    """The node without what is at `paths`; one that is emptied by them has its place in the command line."""
    heads = {path[0]: place for path, place in paths.items() if len(path) == 1}

    def below(step: str, value: Node) -> Node:
        deeper = {path[1:]: place for path, place in paths.items() if len(path) > 1 and path[0] == step}
        return _without(value, deeper) if deeper else value

    match node:
        case MappingNode(pairs=pairs):
            kept = [(key, below(str(key.value), value)) for key, value in pairs if key.value not in heads]
            return replace(node, pairs=tuple(kept), place=node.place if kept else _last(heads, node))
        case ListNode(items=items):
            numbered = ((str(number), item) for number, item in enumerate(items))
            left = [below(step, item) for step, item in numbered if step not in heads]
            return replace(node, items=tuple(left), place=node.place if left else _last(heads, node))
    return node


def _last(places: Mapping[str, Place], node: Node) -> Place:
    return [node.place, *places.values()][-1]
