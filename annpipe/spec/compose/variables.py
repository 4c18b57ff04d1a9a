"""Replaces `${name}` in a spec by the values in its `variables`.

A value that is `${name}` alone becomes the variable's value, of whatever type; inside other text it becomes the value's
text. `$${` writes `${` itself. A variable may use those before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from annpipe.errors import Place, Problem, Problems, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, in_words
from annpipe.spec.yaml.reader import MAX_DEPTH, MAX_NODES

KEY = "variables"
MAX_TEXT = 10_000  # characters of one value, so that variables made of variables cannot swell

_USE = re.compile(r"(\$?)\$\{([^{}]*)\}")
_ARITHMETIC = re.compile(r"\w\s*[-+*/%]+\s*\w")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class _Measured:
    """A node with the number of values in it and how deep they nest."""

    node: Node
    size: int = 1
    depth: int = 1


@dataclass(frozen=True)
class Filled:
    """A spec without variables; `unfilled` are the places of values whose variable is unknown."""

    root: MappingNode
    problems: tuple[Problem, ...]
    unfilled: frozenset[Place]


def substituted(root: MappingNode) -> Filled:
    """The spec with every `${name}` replaced and `variables` gone; raises SpecError where that would swell it."""
    filling = _Filling()
    section = root.get(KEY)
    if isinstance(section, MappingNode):
        filling.define(section)
    elif section is not None and not (isinstance(section, ScalarNode) and section.value is None):
        help_ = "for example `variables: {width: 32}`, used as `${width}`"
        filling.problems.append(
            Problem("wrong-type", f"`variables` must be a mapping; found {in_words(section)}", section.place, help_)
        )
    rest = replace(root, pairs=tuple(pair for pair in root.pairs if pair[0].value != KEY))
    node = filling.fill(rest).node
    assert isinstance(node, MappingNode)
    return Filled(node, tuple(filling.problems), frozenset(filling.unfilled))


def escaped(text: str) -> str:
    """The text as a spec writes it so that nothing in it is taken for a variable.

    >>> escaped("costs ${x}")
    'costs $${x}'
    """
    return re.sub(r"\$\{(?=[^{}]*\})", "$${", text)


class _Filling:
    """Replaces variables, gathers problems, and keeps what comes out within the reader's limits."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.unfilled: set[Place] = set()
        self._values: dict[str, _Measured] = {}
        self._coming: dict[str, Place] = {}  # variables whose definition is not read yet

    def define(self, section: MappingNode) -> None:
        """Takes each variable in turn; it sees those before it."""
        self._coming = {str(key.value): key.place for key, _ in section.pairs}
        for key, value in section.pairs:
            name = str(key.value)
            if not _NAME.match(name):
                message = f"'{name}' cannot name a variable"
                self.problems.append(Problem("wrong-value", message, key.place, "use letters, digits and _"))
            self._values[name] = self.fill(value)
            del self._coming[name]

    def fill(self, node: Node) -> _Measured:
        match node:
            case ScalarNode(value=str() as text) if "${" in text:
                return self._filled_text(node, text)
            case ScalarNode():
                return _Measured(node)
            case ListNode(items=items):
                parts = [self.fill(item) for item in items]
                return self._whole(replace(node, items=tuple(part.node for part in parts)), parts)
            case MappingNode(pairs=pairs):
                for key, _ in pairs:
                    self._refuse_key(key)
                parts = [self.fill(value) for _, value in pairs]
                filled = tuple((key, part.node) for (key, _), part in zip(pairs, parts, strict=True))
                beneath = self.fill(node.beneath).node if node.beneath else None
                return self._whole(replace(node, pairs=filled, beneath=beneath), parts)

    def _refuse_key(self, key: ScalarNode) -> None:
        use = _USE.fullmatch(key.text)
        if use and not use[1]:
            self.unfilled.add(key.place)
            message = f"`{use[0]}` stands for a key, and a variable is no key"
            help_ = "write the name itself here; a variable takes the place of a value"
            self.problems.append(Problem("unknown-variable", message, key.place, help_))

    def _whole(self, node: Node, parts: list[_Measured]) -> _Measured:
        size = 1 + sum(part.size for part in parts)
        depth = 1 + max((part.depth for part in parts), default=0)
        if size > MAX_NODES:
            message = f"with its variables the spec has more than {MAX_NODES:,} values"
            raise SpecError([*self.problems, Problem("spec-too-large", message, node.place, "keep data in data files")])
        if depth > MAX_DEPTH + 1:
            message = f"with its variables the spec nests more than {MAX_DEPTH} levels"
            raise SpecError([*self.problems, Problem("spec-too-deep", message, node.place, "flatten it")])
        return _Measured(node, size, depth)

    def _filled_text(self, node: ScalarNode, text: str) -> _Measured:
        whole = _USE.fullmatch(text)
        if whole and not whole[1]:
            value = self._value(node, whole, alone=True)
            return replace(value, node=replace(value.node, used=node.place)) if value else _Measured(node)
        filled = _USE.sub(lambda use: self._text(node, use), text)
        if len(filled) > MAX_TEXT:
            message = f"with its variables this text has more than {MAX_TEXT:,} characters"
            raise SpecError([*self.problems, Problem("spec-too-large", message, node.place, "write it shorter")])
        return _Measured(ScalarNode(filled, filled, node.plain, node.place))

    def _text(self, node: ScalarNode, use: re.Match[str]) -> str:
        if use[1]:
            return use[0][1:]
        value = self._value(node, use, alone=False)
        if value is None:
            return use[0]
        if not isinstance(value.node, ScalarNode) or value.node.value is None:
            message = f"`{use[0]}` stands inside text, and the variable is {in_words(value.node)}"
            help_ = f"a variable inside text must be a number or a word; `{use[0]}` alone takes any value"
            related = ((value.node.place, "defined here"),)
            self.problems.append(Problem("wrong-type", message, _inside(node, use), help_, related))
            return use[0]
        return value.node.text

    def _value(self, node: ScalarNode, use: re.Match[str], *, alone: bool) -> _Measured | None:
        name = use[2]
        if name in self._values:
            return self._values[name]
        self.unfilled.add(node.place)
        place = _inside(node, use)
        if name in self._coming:
            message, help_ = f"the variable '{name}' is defined after this", "move its definition above this one"
            if name == next(iter(self._coming)):
                message, help_ = f"the variable '{name}' uses itself", "write the value, or use another variable"
            related = ((self._coming[name], "defined here"),)
            self.problems.append(Problem("unknown-variable", message, place, help_, related))
            return None
        hint = did_you_mean(name, self._values) or _where_to_define(name, list(self._values))
        self.problems.append(Problem("unknown-variable", f"there is no variable '{name}'", place, hint))
        return None


def _where_to_define(name: str, names: list[str]) -> str:
    if _ARITHMETIC.search(name):
        return "nothing is computed here: define a variable for the result; only a formula computes"
    define = f"define it at the top: `variables: {{{name if _NAME.match(name) else 'width'}: …}}`"
    if name.isupper():
        return f"the environment is not read: {define}"
    there = f"the variables before this one are {', '.join(names)}; " if names else ""
    return f"{there}{define}"


def _inside(node: ScalarNode, use: re.Match[str]) -> Place:
    """The place of one use within the text, where the text stands on one line as it is."""
    place, quote = node.place, 0 if node.plain else 1
    if quote + use.end() > place.length:
        return place
    return Place(place.file, place.line, place.column + quote + use.start(), use.end() - use.start())
