"""Reads what `model` says of parameters beside their initializers: `freeze`, also for some epochs only, and `from`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.section_reader import EXAMPLES, is_given, used_note
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words

THAW_KEYS = ("layers", "until")
FROM_KEYS = ("weights", "layers", "else", "digest")
INIT = "init"  # the one word after `else`


@dataclass(frozen=True)
class ThawCall:
    """Parameters by patterns that are frozen for the first epochs, `until` that one has passed."""

    patterns: tuple[ScalarNode, ...]
    until: int
    place: Place


@dataclass(frozen=True)
class FromCall:
    """The weights that a model begins with: a run, a folder or a file, and of which parameters; all without patterns.

    `or_init` says that what is not there, or has another shape, begins as it would without. `digest` is that of the
    weights, where a plan has it.
    """

    weights: ScalarNode
    patterns: tuple[ScalarNode, ...]
    or_init: bool
    digest: ScalarNode | None
    place: Place


def is_name(value: object) -> bool:
    """A word, or the number of a layer, with which the names of its parameters begin."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def read_freeze(node: Node) -> tuple[tuple[ScalarNode, ...], tuple[ThawCall, ...], list[Problem]]:
    """The patterns of parameters that are not trained, and of those that are not for some epochs."""
    items = node.items if isinstance(node, ListNode) else ()
    words = [item for item in items if isinstance(item, ScalarNode) and is_name(item.value)]
    thaws, problems = list[ThawCall](), list[Problem]()
    for item in items if isinstance(node, ListNode) else (node,):
        if isinstance(node, ListNode) and isinstance(item, MappingNode) and set(item.keys) & set(THAW_KEYS):
            thaw, faults = _read_thaw(item)
            thaws += [thaw] if thaw else []
            problems += faults
        elif item not in words:
            wanted = "names of parameters" if isinstance(node, ListNode) else "a list of names of parameters"
            verb = "holds" if isinstance(node, ListNode) else "must be"
            message = f"`model.freeze` {verb} {wanted}; found {in_words(item)}"
            problems.append(Problem("wrong-type", message, item.place, EXAMPLES["model.freeze"], used_note(item)))
    return tuple(words), tuple(thaws), problems


def _read_thaw(node: MappingNode) -> tuple[ThawCall | None, list[Problem]]:
    """`{layers: encoder, until: 5}`."""
    problems = _unknown_keys(node, THAW_KEYS, "model.freeze")
    patterns, faults = _patterns(node, "model.freeze.layers", "model.freeze")
    until = node.get("until")
    number = until.value if isinstance(until, ScalarNode) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        but = f"; found {in_words(until)}" if until is not None else ", which is missing"
        message = f"`model.freeze.until` must be a whole number of epochs, 1 or more{but}"
        place = until.place if until is not None else node.place
        faults.append(Problem("wrong-type", message, place, EXAMPLES["model.freeze"]))
    if problems or faults:
        return None, [*problems, *faults]
    assert isinstance(number, int)
    return ThawCall(patterns, number, node.place), []


def read_from(node: Node) -> tuple[FromCall | None, list[Problem]]:
    """`from: RUN`, or `from: {weights: RUN, layers: [encoder], else: init}`."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value:
        return FromCall(node, (), or_init=False, digest=None, place=node.place), []
    example = EXAMPLES["model.from"]
    if not isinstance(node, MappingNode):
        message = f"`model.from` must be a run, a folder or a file of weights; found {in_words(node)}"
        return None, [Problem("wrong-type", message, node.place, example, used_note(node))]
    problems = _unknown_keys(node, FROM_KEYS, "model.from")
    patterns, faults = _patterns(node, "model.from.layers", "model.from") if is_given(node.get("layers")) else ((), [])
    problems += faults
    weights, otherwise, digest = (node.get(name) for name in ("weights", "else", "digest"))
    if not isinstance(weights, ScalarNode) or not isinstance(weights.value, str) or not weights.value:
        but = f"; found {in_words(weights)}" if weights is not None else ", which is missing"
        message = f"`model.from.weights` must be a run, a folder or a file{but}"
        problems.append(Problem("wrong-type", message, weights.place if weights else node.place, example))
    if is_given(otherwise) and otherwise is not None and getattr(otherwise, "value", None) != INIT:
        message = f"`model.from.else` must be the word init; found {in_words(otherwise)}"
        problems.append(Problem("wrong-type", message, otherwise.place, example))
    if is_given(digest) and digest is not None and not isinstance(getattr(digest, "value", None), str):
        message = f"`model.from.digest` must be text; found {in_words(digest)}"
        problems.append(Problem("wrong-type", message, digest.place, "leave it out: a plan says it itself"))
    if problems or not isinstance(weights, ScalarNode):
        return None, problems
    known = digest if isinstance(digest, ScalarNode) and is_given(digest) else None
    return FromCall(weights, patterns, is_given(otherwise), known, node.place), []


def _patterns(node: MappingNode, path: str, example: str) -> tuple[tuple[ScalarNode, ...], list[Problem]]:
    """The names after `layers`: a list of them, or one alone."""
    value = node.get("layers")
    items: Sequence[Node] = value.items if isinstance(value, ListNode) else [value] if value is not None else []
    words = tuple(item for item in items if isinstance(item, ScalarNode) and is_name(item.value))
    wrong = [item for item in items if item not in words]
    problems = [
        Problem(
            "wrong-type", f"`{path}` holds names of parameters; found {in_words(item)}", item.place, EXAMPLES[example]
        )
        for item in wrong
    ]
    if not items:
        place = node.place if value is None else value.place
        problems.append(Problem("missing-option", f"`{path}` names no parameter", place, EXAMPLES[example]))
    return words, problems


def _unknown_keys(node: MappingNode, known: Sequence[str], path: str) -> list[Problem]:
    return [
        Problem(
            "unknown-option",
            f"`{path}` has no option '{key.value}'",
            key.place,
            did_you_mean(str(key.value), known) or f"`{path}` takes {', '.join(known)}",
        )
        for key, _ in node.pairs
        if key.value not in known
    ]
