"""Applies `--set PATH=VALUE`, `--set PATH+=VALUE` and `--unset PATH` to a spec.

Values are read by the spec's own YAML rules. Positions are those of the spec as written: `+=` adds at the end of a
list, and everything to be removed is looked up before anything is. What stands at a path beneath which something is
set is removed first, if there is something: `--unset data.split --set data.split.folds=5` leaves nothing else in
`split`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from annpipe.errors import COMMAND_LINE, Place, Problem, SpecError
from annpipe.spec.compose.change import Override, changed_at, look_up, with_change
from annpipe.spec.sections.spec import REQUIRED
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, plain

UNSET = "--unset "
DEVICE = "--device "


def override(root: MappingNode, text: str) -> MappingNode:
    """The spec with one value replaced or appended; keys of mappings may be new, positions in lists must exist."""
    return with_change(root, _parse(text))


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
    made = changed_at(root, change, 0)
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


def standing(root: MappingNode, paths: Iterable[str]) -> list[str]:
    """The paths at which something stands: there is nothing to remove at the others before something is set there."""
    here = []
    for path in paths:
        with suppress(SpecError):
            look_up(root, Override(_steps(path, UNSET), f"{UNSET}{path}"))
            here.append(path)
    return here


def unset(root: MappingNode, paths: Iterable[str]) -> MappingNode:
    """The spec without what stands at `paths`; each must be there."""
    parsed = [Override(_steps(path, UNSET), f"{UNSET}{path}") for path in paths]
    for change in parsed:
        look_up(root, change)
    changed = _without(root, {change.path: change.place() for change in parsed})
    assert isinstance(changed, MappingNode)
    emptied = [_emptied(change) for change in parsed if change.path[0] in REQUIRED and len(change.path) == 1]
    return replace(changed, pairs=(*changed.pairs, *dict(emptied).items()))


def _emptied(change: Override) -> tuple[ScalarNode, Node]:
    """What every spec needs stays there, empty, so that the command line is the place where it is missed."""
    place, name = change.place(), change.path[0]
    return ScalarNode(name, name, True, place), ScalarNode(None, "", True, place)


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
