"""How text files are encoded: names of encodings, streams in UTF-8 of any of them, and where a file is not of one."""

from __future__ import annotations

import codecs
import encodings.aliases
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from annpipe.errors.suggest import did_you_mean

UTF8 = "utf-8"
GUESSES = ("utf-16", "utf-8", "cp949", "cp932", "gb18030", "big5", "latin-1")
"""What a file may be that is not of the encoding it is read in, the surest first."""
SCRIPTS = {"cp949": ("HANGUL",), "cp932": ("HIRAGANA", "KATAKANA"), "gb18030": ("CJK",), "big5": ("CJK",)}
"""Of encodings that take most bytes for some letters: of which script most letters must be."""
ENOUGH = 0.6
FEWEST = {"gb18030": 8, "big5": 8}
"""From so many letters on: a few accented ones of another encoding are a Chinese letter by chance."""
LETTERS = 10_000
"""From so many letters the script is judged."""
BytesAnew = Callable[[], Iterable[bytes]]


def check_encoding(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of an encoding and what helps; None for one that text can be written in.

    >>> check_encoding("cp94")[1]
    "did you mean 'cp949'?"
    """
    if _is_of_text(name):
        return None
    names = {*encodings.aliases.aliases, *encodings.aliases.aliases.values()}
    known = sorted(alias.replace("_", "-") for alias in names if _is_of_text(alias))
    help_ = did_you_mean(name.lower(), known) or "as in `encoding: cp949`; Python's names of encodings are known"
    return f"there is no encoding '{name}'", help_


def _is_of_text(name: str) -> bool:
    """Whether there is an encoding of this name that text can be written in, and read from piece by piece."""
    try:
        "".encode(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError):
        return False
    return True


def is_utf8(encoding: str) -> bool:
    """Whether the name is one of UTF-8's own."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def in_utf8(stream: Any, encoding: str) -> Any:
    """A stream of Arrow's with the same text in UTF-8; reading it raises UnicodeDecodeError at bytes of no letter."""
    import pyarrow as pa

    return stream if is_utf8(encoding) else pa.transcoding_input_stream(stream, encoding, UTF8)


def undecodable(blocks: BytesAnew, encoding: str) -> tuple[str, str] | None:
    """Where the bytes of a file are not text of the encoding, and what helps; None where they are.

    `blocks` gives the bytes anew at each call, in blocks of any size.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    for block in (*blocks(), b""):
        try:
            line += decoder.decode(block, final=not block).count("\n")
        except UnicodeError as error:  # not always of one byte: UTF-16 may lack its mark at the beginning
            before, bad = (
                (error.object[: error.start], error.object[error.start])
                if isinstance(error, UnicodeDecodeError)
                else (b"", block[0])
            )
            line += before.decode(encoding, "replace").count("\n") if before else 0
            return f"is not {_called(encoding)} text: byte 0x{bad:02x} on line {line}", _remedy(blocks, encoding)
    return None


def _called(encoding: str) -> str:
    return "UTF-8" if is_utf8(encoding) else encoding


def _remedy(blocks: BytesAnew, encoding: str) -> str:
    """The encoding that reads the whole file, where one of the usual does and gives letters that belong together."""
    guess = guessed_encoding(blocks, but=encoding)
    if guess:
        return f"write `encoding: {guess}`, which reads it"
    return "name its encoding, as in `encoding: cp949`, or save the file as UTF-8"


def guessed_encoding(blocks: BytesAnew, but: str | None = None) -> str | None:
    """The usual encoding that reads all of a file and gives letters that belong together; None where none does."""
    for guess in (UTF8, *GUESSES) if but is None else GUESSES:
        if (but is None or codecs.lookup(guess) != codecs.lookup(but)) and _reads(blocks, guess):
            return guess
    return None


def _reads(blocks: BytesAnew, guess: str) -> bool:
    decoder, letters, begun = codecs.getincrementaldecoder(guess)(), "", False
    try:
        for block in (*blocks(), b""):
            if guess == "utf-16" and not begun and not block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return False
            text, begun = decoder.decode(block, final=not block), True
            if len(letters) < LETTERS:
                letters += "".join(letter for letter in text if not letter.isascii())
    except UnicodeError:
        return False
    scripts = SCRIPTS.get(guess)
    fitting = sum(unicodedata.name(letter, "").startswith(scripts) for letter in letters) if scripts else 0
    return scripts is None or (len(letters) >= FEWEST.get(guess, 1) and fitting >= ENOUGH * len(letters))
