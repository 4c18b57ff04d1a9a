"""Reads a YAML file into a mapping of nodes, after checking its size and its bytes."""

from __future__ import annotations

from pathlib import Path

from annpipe.errors import Place, Problem, SpecError
from annpipe.files.named import NamedFault, fault_of, opened, problem_of
from annpipe.spec.yaml.composer import MAX_DEPTH, MAX_NODES, compose
from annpipe.spec.yaml.nodes import MappingNode, core_value
from annpipe.spec.yaml.parser import MAX_BYTES, Parser, max_bytes, parsers

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "core_value", "read_file", "read_text"]


def read_file(path: Path, parser: Parser | None = None) -> MappingNode:
    """Reads a spec file; raises SpecError with the place of what is wrong."""
    shown = str(path)
    if shown.startswith("--"):  # a place in a file is never taken for one in the command line
        shown = f"./{shown}"
    data = _bytes(path, max_bytes(parser or parsers()[0]))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError([_not_utf8(data, error, shown)]) from None
    return read_text(text, shown, parser)


def read_text(text: str, file: str, parser: Parser | None = None) -> MappingNode:
    """Reads a spec's text; `file` is what places call it."""
    limit = max_bytes(parser or parsers()[0])
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        raise SpecError([_too_large(file, limit)])
    root = compose(text, file, parser)
    if isinstance(root, MappingNode):
        return root
    message = "a spec is a mapping of sections" if root else "the spec is empty"
    place = root.place if root else Place(file, 1, 1)
    raise SpecError([Problem("not-a-mapping", message, place, "begin with `version: 1`, `name: …`, `data: …`")])


def _bytes(path: Path, limit: int) -> bytes:
    try:
        with opened(path) as file:
            data = file.read(limit + 1)
    except NamedFault as fault:
        if not fault.absent:
            raise SpecError([problem_of("file-not-readable", fault, None)]) from None
        near = sorted(p.name for p in path.parent.glob("*.y*ml"))[:6] if path.parent.is_dir() else []
        help_ = f"{path.parent} has {', '.join(near)}" if near else "give the path of a spec: a YAML file"
        raise SpecError([Problem("file-not-found", fault.message, None, help_)]) from None
    except OSError as error:
        raise SpecError([problem_of("file-not-readable", fault_of(error, path), None)]) from None
    if len(data) > limit:
        raise SpecError([_too_large(str(path), limit)])
    return data


def _too_large(file: str, limit: int) -> Problem:
    message, help_ = f"'{file}' is larger than {limit:,} bytes, the most that a spec has", "keep data in data files"
    if limit < MAX_BYTES:
        help_ = f"with PyYAML's parser in C, which is missing here, the limit is {MAX_BYTES:,} bytes: reinstall pyyaml"
    return Problem("spec-too-large", message, None, help_)


def _not_utf8(data: bytes, error: UnicodeDecodeError, file: str) -> Problem:
    start = max(data.rfind(b"\n", 0, error.start), data.rfind(b"\r", 0, error.start)) + 1
    line = data[:start].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    column = len(data[start : error.start].decode("utf-8-sig", "replace")) + 1
    message = f"this is not UTF-8 text: byte 0x{data[error.start]:02x} on line {line}"
    return Problem("not-utf8", message, Place(file, line, column), "save the file as UTF-8")
