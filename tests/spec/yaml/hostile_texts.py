"""Which texts are dearest to read? Each of the size asked for; run as a program, it reads and measures them all."""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable

from annpipe.errors import SpecError
from annpipe.spec.yaml.parser import max_bytes, parsers
from annpipe.spec.yaml.reader import read_text

# before, what is repeated (with a number where it has one), after
SHAPES: dict[str, tuple[str, str, str]] = {
    "brackets": ("", "[", ""),
    "braces": ("a: ", "{b: ", ""),
    "dashes": ("", "- ", ""),
    "questions": ("", "? ", ""),
    "closed brackets": ("a: [", "[" * 60 + "]" * 60 + ",", "]"),
    "closed braces": ("a: [", "{a: " * 60 + "}" * 60 + ",", "]"),
    "dashes line by line": ("", "- " * 60 + "a\n", ""),
    "entries": ("a: [", "1,", "]"),
    "pairs in a list": ("a: [", "a: b,", "]"),
    "keys without a value": ("a: {", "a,", "]"),
    "keys": ("", "k{}: 1\n", ""),
    "keys in Korean": ("", "키{}: 값\n", ""),
    "the same key": ("", "a: 1\n", ""),
    "keys on several lines": ("{", "a\n", ""),
    "questions line by line": ("", "? a\n: b\n", ""),
    "colons": ("b: ", "a:", ""),
    "one word": ("a: ", "x", ""),
    "one text of many lines": ("a: ", "x y\n  ", ""),
    "one number": ("a: ", "9", ""),
    "numbers": ("a: [", "9" * 999 + ",", "]"),
    "one quote": ('a: "', "x y\n", ""),
    "escapes": ('a: "', "\\u1234", '"'),
    "a block": ("a: |\n  ", "x\n  ", ""),
    "a block of blank lines": ("a: >\n", "\n", ""),
    "many blocks": ("", "- |\n x\n", ""),
    "comments": ("", "#\n", ""),
    "blank lines": ("", " \n", ""),
    "anchors": ("", "- &a{} x\n", ""),
    "aliases": ("b: &a 1\na: [", "*a,", "]"),
    "aliases of many values": ("b: &a [" + "x," * 5000 + "]\na: [", "*a,", "]"),
    "aliases of aliases": ("a0: &a [x, x]\n", "a{}: &a [*a, *a]\n", ""),
    "aliases deeper and deeper": ("a0: &a x\n", "a{}: &a [*a]\n", ""),
    "tags": ("", "- !a b\n", ""),
    "tag directives": ("", "%TAG !a{}! x\n", "--- a"),
    "tag directives behind the end": ("a: 1\n...\n", "%TAG !a{}! x\n", "--- a"),
    "tag directives behind carriage returns": ("a: 1\r", "%TAG !a{}! x\r", "--- a"),
    "documents": ("", "---\n", ""),
    "deeper and deeper": ("", "a:\n {}", ""),
    "wrong indentation": ("a:\n" + " " * 400 + "b: 1\n", "  #\n", " c: 1\n"),
    "control characters": ("a: ", "\x01", ""),
}


def hostile_text(name: str, size: int) -> str:
    """The text of that name with `size` bytes at most, and hardly fewer."""
    before, unit, after = SHAPES[name]
    room = size - len((before + after).encode())
    pieces = []
    for number in itertools.count():
        piece = unit.format(number) if "{}" in unit else unit
        room -= len(piece.encode())
        if room < 0:
            return before + "".join(pieces) + after
        pieces.append(piece)
    raise AssertionError("counting has no end")


def main(report: Callable[[str], None]) -> None:
    """Reports a line of JSON for each text and parser: seconds of the processor, MiB above the start, what was said."""
    at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for parser, name in itertools.product(parsers(), SHAPES):
        text = hostile_text(name, max_bytes(parser))
        began = time.process_time()
        try:
            said = type(read_text(text, name, parser)).__name__
        except SpecError as error:
            said = error.problems[0].code
        seconds = round(time.process_time() - began, 3)
        mebibytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_start) // 1024
        report(json.dumps({"parser": parser.__name__, "text": name, "s": seconds, "MiB": mebibytes, "said": said}))


if __name__ == "__main__":
    main(lambda line: print(line, file=sys.stdout, flush=True))
