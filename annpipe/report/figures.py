"""The figures of a run inside a page: each file as a `data:` address, which needs no other file and runs no script."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from annpipe.report.content import ReportFigure

MOST_BYTES = 1_300_000  # of all figures of a page, in which they stand as text
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_PATH = re.compile(rb'(?<= d=")[^"]+')
_BEYOND = re.compile(r"[^ -~]+")
_SPECIAL = {"%": "%25", "#": "%23", "<": "%3C", ">": "%3E", '"': "%22", "&": "%26", "\n": " "}
_LONG = re.compile(rb"(\d\.\d\d)\d+")


def embedded(files: Iterable[Path], folder: Path) -> tuple[tuple[ReportFigure, ...], tuple[str, ...]]:
    """The figures that find room, and the names of those that do not."""
    figures, left_out, room = [], [], MOST_BYTES
    for file in files:
        address = _address(file)
        if address is None or len(address) > room:
            left_out.append(file.name)
            continue
        room -= len(address)
        figures.append(ReportFigure(file.stem, file.relative_to(folder).as_posix(), Markup(address)))
    return tuple(figures), tuple(left_out)


def _address(file: Path) -> str | None:
    """The file as an address, None for one of another kind or that cannot be read."""
    kind = TYPES.get(file.suffix)
    if kind is None:
        return None
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if kind == TYPES[".png"]:
        return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    # Two digits behind the point are a hundredth of a pixel, and take half the room of six.
    short = _PATH.sub(lambda path: _LONG.sub(rb"\1", path.group()), data)
    text = short.decode("utf-8", "replace")
    for mark, code in _SPECIAL.items():  # "%" first, since the others bring it in
        text = text.replace(mark, code)
    return f"data:{kind},{_BEYOND.sub(lambda part: quote(part.group()), text)}"
