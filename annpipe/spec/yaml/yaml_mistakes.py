"""Explains why a text is not valid YAML, for somebody who writes a first spec.

The table at the end leads from the parsers' own messages (those of the parser in C and of the one in Python differ) to
functions that look at the text around the place and say what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml

from annpipe.errors import Problem
from annpipe.spec.yaml.layout_mistakes import dash_after_key, no_colon, nothing_to_close, out_of_line, second_colon
from annpipe.spec.yaml.scene import Scene
from annpipe.spec.yaml.source import Source, short

_CLOSING = {"[": "]", "{": "}"}


def explain(error: yaml.MarkedYAMLError, source: Source, bracket: int | None) -> Problem:
    """The problem that `error` stands for; `bracket` is where the innermost `[` or `{` stands that is still open."""
    mark = error.problem_mark or error.context_mark
    at = mark.index if mark else 0
    began = error.context_mark.index if error.context_mark else at
    scene = Scene(source, min(at, len(source.text)), began, bracket)
    complaint = f"{error.context or ''}: {error.problem or ''}"
    for pattern, say in _EXPLANATIONS:
        if re.search(pattern, complaint):
            return say(scene)
    return _unclear(scene)


def _unclear(scene: Scene) -> Problem:
    return scene.problem("not-yaml", "this is not YAML", scene.here(), "put text with special characters in quotes")


def _directive(scene: Scene) -> Problem:
    place = scene.source.rest_of_line(scene.began)
    help_ = "leave this line out: a spec is always read as YAML 1.2"
    return scene.problem("yaml-directive", "directives (`%YAML`, `%TAG`) have no place in a spec", place, help_)


def _tag(scene: Scene) -> Problem:
    return tag_mistake(scene.source, scene.began)


def tag_mistake(source: Source, begin: int) -> Problem:
    """The first tag behind a position."""
    tag = re.compile(r"!\S*").search(source.text, begin)
    index, text = (tag.start(), tag[0].rstrip(",]}")) if tag else (begin, "!")
    help_ = (
        "write the plain value, or put a text that begins with '!' in quotes: types come from the component's options"
    )
    return Problem("yaml-tag", f"the tag '{short(text)}' is not allowed", source.place(index, len(text)), help_)


def _anchor(scene: Scene) -> Problem:
    return anchor_mistake(scene.source, scene.began)


def anchor_mistake(source: Source, index: int) -> Problem:
    """An anchor or alias whose name is missing or has other characters than a name has."""
    sign = source.text[index : index + 1]
    message = f"a name is missing or wrong after '{sign}'"
    help_ = f"put a text that begins with '{sign}' in quotes; the name of an anchor has letters, digits, - and _"
    return Problem("not-yaml", message, source.place(index), help_)


def _block_text(scene: Scene) -> Problem:
    return block_text_mistake(scene.source, scene.began, scene.at)


def block_text_mistake(source: Source, sign: int, index: int) -> Problem:
    """Something behind the `|` or `>` that begins a block of text."""
    message = f"after '{source.text[sign : sign + 1]}' the line has to end"
    help_ = "begin the text on the next line, indented; or put it in quotes if it is meant to begin with this sign"
    return Problem("not-yaml", message, source.place(index), help_)


def _escape(scene: Scene) -> Problem:
    text = scene.source.text
    index = text.rfind("\\", scene.began, scene.at + 1)
    index = scene.began if index < 0 else index
    escape = text[index : index + 2].rstrip()
    message = f"'{escape}' has no meaning in double quotes"
    help_ = "write the backslash twice (`\\\\`), or use single quotes, in which it is an ordinary character"
    return scene.problem("yaml-quotes", message, scene.source.place(index, len(escape)), help_)


def _unclosed_quote(scene: Scene) -> Problem:
    sign = scene.source.text[scene.began : scene.began + 1]
    message = f"the quote {sign} is opened here and never closed"
    place = scene.source.place(scene.began)
    return scene.problem("yaml-unclosed", message, place, f"close the text with {sign} on the same line")


def _tab(scene: Scene) -> Problem:
    after = scene.source.text[scene.at : scene.source.line_end(scene.at)]
    place = scene.source.place(scene.at, len(after) - len(after.lstrip("\t")))
    return scene.problem("yaml-tab", "a tab stands in the indentation", place, "indent with spaces: YAML knows no tabs")


def _first_character(scene: Scene) -> Problem:
    if scene.character == "\t":
        return _tab(scene)
    rest = re.split(r"[,\]}]|: | #" if scene.bracket is not None else r": | #", scene.to_line_end(scene.at))[0]
    message = f"a word cannot begin with '{scene.character}'"
    place = scene.source.place(scene.at, len(rest.rstrip()))
    return scene.problem("yaml-quotes", message, place, f'put it in quotes: "{short(rest.rstrip())}"')


def _question(scene: Scene) -> Problem:
    return scene.problem("yaml-quotes", "a text cannot begin with '? '", scene.here(), "put it in quotes")


def _tight_colon(scene: Scene) -> Problem:
    text = scene.source.text
    index = next((m.start() for m in re.finditer(r":[,?\[\]{}]", text[scene.began : scene.began + 2000])), 0)
    place = scene.source.place(scene.began + index)
    help_ = "inside brackets write `key: value`, and put a text with a colon in quotes"
    return scene.problem("yaml-colon", "a space is missing after this colon", place, help_)


def _in_brackets(scene: Scene) -> Problem:
    """After a value inside brackets something stands that is neither a comma nor the closing bracket."""
    text, opening = scene.source.text, scene.source.text[scene.began]
    if scene.character == "{" and text[scene.at - 1 : scene.at] == "$":
        return _variable(scene)
    if scene.at_end or scene.line_number != scene.source.line_number(scene.began):
        return _unclosed_bracket(scene, scene.began)
    opened = (scene.source.place(scene.began), "opened here")
    if scene.character in "]}":
        message = f"'{opening}' cannot be closed by '{scene.character}'"
        help_ = f"close it with '{_CLOSING.get(opening, opening)}' first"
        return scene.problem("yaml-unclosed", message, scene.here(), help_, opened)
    closing = _CLOSING.get(opening, "]")
    help_ = "separate the entries with commas; put text with special characters in quotes"
    return scene.problem("not-yaml", f"a comma or '{closing}' is missing before this", scene.here(), help_, opened)


def _variable(scene: Scene) -> Problem:
    line = scene.to_line_end(scene.at)
    name = line[: line.find("}") + 1] or "{name}"
    message = "a variable inside brackets has to be in quotes"
    return scene.problem(
        "yaml-quotes",
        message,
        scene.source.place(scene.at - 1, len(name) + 1),
        f'`${{name}}` stands for a value; inside {{ }} and [ ] write it in quotes here: "${short(name)}"',
    )


def _unclosed_bracket(scene: Scene, index: int) -> Problem:
    opening = scene.source.text[index]
    related = (scene.here(), "the text ends here" if scene.at_end else "not expected before it is closed")
    message = f"the '{opening}' is opened here and not closed"
    help_ = f"write '{_CLOSING.get(opening, opening)}' after its last entry"
    return scene.problem("yaml-unclosed", message, scene.source.place(index), help_, related)


def _no_value(scene: Scene) -> Problem:
    if scene.at_end and scene.bracket is not None:
        return _unclosed_bracket(scene, scene.bracket)
    if scene.character in ("]", "}"):
        return nothing_to_close(scene)
    if scene.character == ":":
        message = "a text cannot begin with ':' here, and a key is missing if this is none"
        return scene.problem("yaml-quotes", message, scene.here(), "put the text in quotes")
    if scene.character == ".":
        return scene.problem("several-documents", "`...` ends a document", scene.here(), "delete the line `...`")
    message = f"a value is missing before '{scene.character}'" if scene.character else "a value is missing at the end"
    return scene.problem("not-yaml", message, scene.here(), "put text with special characters in quotes")


_EXPLANATIONS: tuple[tuple[str, Callable[[Scene], Problem]], ...] = (
    (r"directive|YAML document", _directive),
    (r"(scanning|parsing) a tag|tag handle", _tag),
    (r"tab character (that|where)", _tab),
    (r"cannot start any token", _first_character),
    (r"could not find expected ':'", no_colon),
    (r"mapping values are not allowed", second_colon),
    (r"sequence entries are not allowed", dash_after_key),
    (r"mapping keys are not allowed", _question),
    (r"unexpected (end of stream|document indicator|document separator)", _unclosed_quote),
    (r"escape|hexa?decimal", _escape),
    (r"alphabetic or numeric", _anchor),
    (r"scanning a block scalar", _block_text),
    (r"unexpected ':'", _tight_colon),
    (r"expected ',' or", _in_brackets),
    (r"node content", _no_value),
    (r"document start|expected key|block end|'-' indicator", out_of_line),
)
