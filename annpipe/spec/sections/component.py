"""Reads components in any of their four spellings (a name, a scalar, a list or a mapping), and groups of parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from annpipe.errors import Place, Problem
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words

GROUPS = "groups"
PATTERNS = "params"  # torch's own word for them
GROUP_HINT = 'write `groups: [{params: "*.bias", weight_decay: 0}]`'


@dataclass(frozen=True)
class Call:
    """A component as a spec writes it: its name and the node of its options (None: all defaults)."""

    name: str
    options: Node | None
    place: Place


KEEP_ONE = "keep one"
BEGIN_EACH = "begin `{name}` with `- `: it is a component of its own"
ONE_OR_EACH = "keep one, or begin each with `- ` where a list is meant"

_NAMES = re.compile(r"[^\W\d]\w*(?:, *[^\W\d]\w*)*\Z")
# how other tools name a component beside its options
_NAMING = ("_target_", "class_path", "class_name", "class", "type", "name")
_OPTIONS = ("init_args", "kwargs", "args", "config")


def read_call(node: Node, what: str, several: str = ONE_OR_EACH) -> Call | Problem:
    """Reads `ReLU`, `Linear: 100`, `Conv2d: [32, 3]` or `Linear: {out_features: 100}`.

    `what` names it in an error; `several` is the remedy where there are two.
    """
    match node:
        case ScalarNode(value=str() as name) if name:
            return Call(name, None, node.place)
        case MappingNode() if help_ := _other_form(node):
            message = f"{what} is not named by `{node.keys[0]}`"
            return Problem("not-a-component", message, node.pairs[0][0].place, help_)
        case MappingNode(pairs=((key, ScalarNode(value=None)),)):
            return Call(str(key.value), None, key.place)
        case MappingNode(pairs=((key, options),)):
            return Call(str(key.value), options, key.place)
        case MappingNode(pairs=(_, _, *_)) if extending := _extending(node):
            return read_call(extending, what, several)
        case MappingNode(pairs=(_, (second, _), *_)):
            shown = node.keys[:5] + ["…"] * (len(node.pairs) > 5)
            message = f"{what} is one component; found {len(node.pairs)} names: {', '.join(shown)}"
            return Problem("not-a-component", message, second.place, _one_of(node, several))
    help_ = "write a name, or `name: value`, or `name: {option: value}`"
    if isinstance(node, ListNode) and any(isinstance(read_call(item, what), Call) for item in node.items):
        keep = "keep one, and " if len(node.items) > 1 and several == KEEP_ONE else ""
        help_ = f"{keep}take the {'inner ' if several == BEGIN_EACH else ''}dash or brackets away"
    return Problem("not-a-component", f"{what} must be a component; found {in_words(node)}", node.place, help_)


def _other_form(node: MappingNode) -> str:
    """How `{_target_: torch.optim.Adam, lr: 0.1}` is written here; empty for a mapping of another form."""
    if not node.pairs or node.keys[0] not in _NAMING:
        return ""
    (_, value), *options = node.pairs
    if not isinstance(value, ScalarNode) or not isinstance(value.value, str):
        return ""
    name = value.value.rpartition(".")[2]
    if len(options) == 1 and options[0][0].value in _OPTIONS and isinstance(options[0][1], MappingNode):
        options = list(options[0][1].pairs)
    written = ", ".join(f"{key.value}: {v.text if isinstance(v, ScalarNode) else '…'}" for key, v in options)
    return f"write `{name}: {{{written}}}`" if options else f"write `{name}`"


def _one_of(node: MappingNode, several: str) -> str:
    """The remedy where several names stand at one level: options beside their component, or several components."""
    (first, value), *rest = node.pairs
    bare = isinstance(value, ScalarNode) and value.value is None
    beside = [str(key.value) for key, below in rest if bare or not isinstance(below, MappingNode)]
    options = [name for name in beside if name[:1].islower()]
    if options and len(options) == len(rest):
        return f"indent {', '.join(f'`{name}`' for name in options[:3])} below `{first.value}`"
    return several.format(name=rest[0][0].value)


def _extending(node: MappingNode) -> MappingNode | None:
    """The one component that the extending spec names where its base names another."""
    pairs = [pair for pair in node.pairs if pair[0].place.file == node.place.file]
    if len(pairs) != 1 or any(key.place.on_command_line for key, _ in node.pairs):
        return None
    return replace(node, pairs=tuple(pairs))


def read_calls(node: Node, what: str) -> tuple[list[Call], list[Problem]]:
    """Reads a list of components; a single one without a dash is not taken for a list."""
    if isinstance(node, ScalarNode) and node.value is None:
        return [], []
    if not isinstance(node, ListNode):
        help_ = "begin each component with `- `, or write [one, two]"
        if isinstance(node, ScalarNode) and _NAMES.match(node.text):
            help_ = f"write `{what}: [{node.text}]`"
        return [], [Problem("not-a-list", f"`{what}` must be a list; found {in_words(node)}", node.place, help_)]
    read = [read_call(item, f"`{what}` number {n}", BEGIN_EACH) for n, item in enumerate(node.items, start=1)]
    return [r for r in read if isinstance(r, Call)], [r for r in read if isinstance(r, Problem)]


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
        message = f"`optimizer.{GROUPS}` must be a list; found {in_words(node)}"
        return [], [Problem("not-a-list", message, node.place, GROUP_HINT)]
    read = [_group(item, f"`optimizer.{GROUPS}` number {number}") for number, item in enumerate(node.items, start=1)]
    return [r for r in read if isinstance(r, GroupCall)], [r for r in read if isinstance(r, Problem)]


def _group(node: Node, what: str) -> GroupCall | Problem:
    if not isinstance(node, MappingNode):
        return Problem("not-a-mapping", f"{what} must be a mapping; found {in_words(node)}", node.place, GROUP_HINT)
    node_of_patterns = node.get(PATTERNS)
    if node_of_patterns is None:
        return Problem("missing-option", f"{what} says no `{PATTERNS}`", node.place, GROUP_HINT)
    items = node_of_patterns.items if isinstance(node_of_patterns, ListNode) else (node_of_patterns,)
    for item in items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str) or not item.value:
            message = (
                f"`{PATTERNS}` must be a pattern over names of parameters, or a list of them; found {in_words(item)}"
            )
            return Problem("wrong-type", message, item.place, 'for example `params: "*.bias"`')
    if not items:
        return Problem("wrong-type", f"{what} has an empty list of `{PATTERNS}`", node_of_patterns.place, GROUP_HINT)
    patterns = tuple((item.text if isinstance(item, ScalarNode) else "", item.place) for item in items)
    pairs = tuple(pair for pair in node.pairs if pair[0].value != PATTERNS)
    if not pairs:
        return Problem("missing-option", f"{what} gives its parameters no option of their own", node.place, GROUP_HINT)
    return GroupCall(patterns, replace(node, pairs=pairs))
