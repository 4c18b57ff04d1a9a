"""Explains mistakes of layout: wrong indentation, and a misplaced colon or dash."""

from __future__ import annotations

import re

from annpipe.errors import Problem
from annpipe.spec.yaml.scene import Scene
from annpipe.spec.yaml.source import short

_FOREIGN_BLANK = re.compile(r"[^\S \t\r\n]")


def out_of_line(scene: Scene) -> Problem:
    """Something stands where a key, a list entry or the end of the text was expected."""
    if scene.character == ":":
        return scene.problem("yaml-key", "a key is missing before this colon", scene.here(), "write `key: value`")
    if not scene.source.is_first_on_line(scene.at):
        return _after_value(scene)
    if scene.character in ("]", "}"):
        return nothing_to_close(scene)
    if scene.character == ",":
        return scene.problem("not-yaml", "a line cannot begin with ','", scene.here(), "delete the comma")
    deeper, shallower = _lines_around(scene)
    if shallower is not None and scene.source.line(shallower).startswith("..."):
        message, help_ = "text goes on after `...`, which ends a document", "delete the line `...`"
        return scene.problem("several-documents", message, scene.source.rest_of_line(scene.at), help_)
    if shallower is not None and scene.indentation(shallower) == len(scene.before):
        return _other_kind(scene, shallower)
    return _between(scene, [number for number in (deeper, shallower) if number is not None])


def nothing_to_close(scene: Scene) -> Problem:
    """A closing bracket where none is open, or one of the other kind."""
    if scene.bracket is not None:
        opened = (scene.source.place(scene.bracket), "opened here")
        message = f"'{scene.source.text[scene.bracket]}' cannot be closed by '{scene.character}'"
        return scene.problem("yaml-unclosed", message, scene.here(), "close each bracket with its own kind", opened)
    message = f"nothing is open that '{scene.character}' could close"
    return scene.problem("yaml-unclosed", message, scene.here(), "delete it, or write the bracket that opens it")


def _after_value(scene: Scene) -> Problem:
    if scene.character in ("]", "}"):
        return nothing_to_close(scene)
    ending = scene.before.rstrip()[-1:]
    place = scene.source.rest_of_line(scene.at)
    if ending in ("'", '"'):
        other = '"' if ending == "'" else "'"
        help_ = f"a text that holds {ending} itself goes into {other}…{other}"
        return scene.problem("yaml-quotes", "text goes on after its closing quote", place, help_)
    help_ = "put the whole value in quotes if this belongs to it, else delete it"
    return scene.problem("yaml-quotes", "the value ends before this", place, help_)


def _other_kind(scene: Scene, above: int) -> Problem:
    """A list entry in the column of keys, or a key in the column of list entries."""
    related = (scene.content(above), "what it stands under")
    place = scene.source.rest_of_line(scene.at)
    if re.match(r"-(\s|\Z)", scene.source.text[scene.at : scene.at + 2]):
        help_ = "indent the list below its key, and leave the value of that key empty"
        return scene.problem("yaml-indent", "a list entry stands among keys", place, help_, related)
    help_ = "begin the line with `- `, or move it to the column of the key that it belongs beside"
    return scene.problem("yaml-indent", "this stands among list entries and is none", place, help_, related)


def _between(scene: Scene, lines: list[int]) -> Problem:
    message = f"this line begins in column {len(scene.before) + 1}, where nothing above it begins"
    columns = [_inner_column(scene, number) for number in lines]
    names = [
        short(scene.source.line(number)[column - 1 :].strip(), 20)
        for number, column in zip(lines, columns, strict=True)
    ]
    choices = [f"in column {column} as `{name}`" for column, name in zip(columns, names, strict=True)]
    related = [
        (scene.content(number), f"column {column}") for number, column in sorted(zip(lines, columns, strict=True))
    ]
    help_ = "begin it " + (", or ".join(choices) or "in column 1")
    return scene.problem("yaml-indent", message, scene.source.rest_of_line(scene.at), help_, *related)


def _inner_column(scene: Scene, number: int) -> int:
    """The column in which a line's entry begins: behind its dash, unless a dash is looked for."""
    skipped = r"[ \t]*" if scene.character == "-" else r"[ \t]*(-[ \t]+(?=\S))*"
    matched = re.match(skipped, scene.source.line(number))
    assert matched is not None
    return matched.end() + 1


def _lines_around(scene: Scene) -> tuple[int | None, int | None]:
    """Above the place: the nearest line that begins further right, and the nearest that does not."""
    column, deeper = len(scene.before), None
    number = scene.line_above(scene.line_number)
    while number is not None and scene.indentation(number) > column:
        if deeper is None or scene.indentation(number) <= scene.indentation(deeper):
            deeper = number
        number = scene.line_above(number)
    return deeper, number


def second_colon(scene: Scene) -> Problem:
    """A colon where no key can end: a second one on the line, too deep an indentation, or a line above without one."""
    if first := re.search(r":[ \t]+(?=[^\s#])", scene.before):
        start = scene.source.line_start(scene.line_number) + first.end()
        value = scene.to_line_end(start)
        help_ = f"""put the value in quotes: {_quoted(value)}; or begin a mapping on the next line, indented"""
        return scene.problem("yaml-colon", "a second colon stands on this line", scene.here(), help_)
    above = scene.line_above(scene.line_number)
    column = len(scene.before) - len(scene.before.lstrip(" \t"))
    if above is not None and scene.indentation(above) >= column:
        return _line_without_colon(scene, scene.content_start(above))
    if above is not None:
        return _deeper_than_above(scene, above)
    return scene.problem("yaml-colon", "a colon cannot stand here", scene.here(), "put text with a colon in quotes")


def _deeper_than_above(scene: Scene, above: int) -> Problem:
    place = scene.content(scene.line_number)
    related = (scene.content(above), "this has its value already")
    message = "this line is indented more than the one above, which cannot hold it"
    column = scene.indentation(above) + 1
    help_ = f"begin it in column {column}, as the line above; or leave the value above empty and put this under it"
    return scene.problem("yaml-indent", message, place, help_, related)


def dash_after_key(scene: Scene) -> Problem:
    """A list entry where none can begin."""
    help_ = "begin the list on the next line, indented; or write it in brackets: [a, b]"
    if re.match(r"[ \t]*$", scene.before):
        return _deeper_than_above(scene, scene.line_above(scene.line_number) or 0)
    return scene.problem("yaml-indent", "a list cannot begin on the line of its key", scene.here(), help_)


def no_colon(scene: Scene) -> Problem:
    """A line among keys that has no colon after its first word."""
    opening = scene.source.text[scene.began]
    if opening in "[{":
        message = f"a '{opening}' cannot stand in the column of the keys"
        help_ = "indent it, or write it on the line of its key"
        return scene.problem("yaml-indent", message, scene.source.place(scene.began), help_)
    return _line_without_colon(scene, scene.began)


def _line_without_colon(scene: Scene, index: int) -> Problem:
    line = scene.to_line_end(index)
    if blank := _FOREIGN_BLANK.search(line):
        message = f"a blank that is no ordinary space (U+{ord(blank[0]):04X}) stands here"
        place = scene.source.place(index + blank.start())
        return scene.problem("yaml-character", message, place, "type a plain space instead")
    if joined := re.match(r"([^\s:\"'\[\]{}]+):(?=[^\s/])", line):
        message = f"a space is missing after '{short(joined[0])}'"
        help_ = f"write `{short(joined[1])}: {short(line[joined.end() :])}`"
        return scene.problem("yaml-colon", message, scene.source.place(index, joined.end()), help_)
    if re.match(r"-[^\s-]", line):
        message = "a space is missing after '-'"
        return scene.problem("yaml-colon", message, scene.source.place(index), f"write `- {short(line[1:])}`")
    if assigned := re.match(r"([^\s=]+) *= *(?=[^\s=])", line):
        help_ = f"write `{short(assigned[1])}: {short(line[assigned.end() :])}`"
        return scene.problem(
            "yaml-colon", "a colon is missing on this line", scene.source.place(index, len(line)), help_
        )
    help_ = f"write `{short(line)}: value`, or indent the line if it goes on with the value above"
    return scene.problem("yaml-colon", "a colon is missing on this line", scene.source.place(index, len(line)), help_)


def _quoted(value: str) -> str:
    """A value in the quotes that it does not hold itself."""
    sign = "'" if '"' in value else '"'
    return f"{sign}{short(value)}{sign}"
