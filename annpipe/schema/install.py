"""Writes the schema's address into a spec, so that an editor uses it."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from annpipe.errors import AnnpipeError
from annpipe.files.descriptors import move
from annpipe.files.named import NamedFault, content, real_path
from annpipe.spec.yaml.reader import MAX_BYTES, read_file

FILE = "annpipe.schema.json"
MODELINE = f"# yaml-language-server: $schema={FILE}"

_BOM = b"\xef\xbb\xbf"
_NAMES_SCHEMA = re.compile(r"#\s+(?:yaml-language-server\s*:.*\$schema[=:]|\$schema:)\s*(\S+)")


def yaml_files(folder: Path) -> list[Path]:
    """The YAML files of a folder that are not too large for a spec."""
    files = [path for path in sorted(folder.glob("*.y*ml")) if path.suffix in (".yaml", ".yml") and path.is_file()]
    return [path for path in files if path.stat().st_size <= MAX_BYTES]


def is_spec(path: Path) -> bool:
    """Whether the file declares a run or extends one that does; raises SpecError when it cannot be read."""
    keys = set(read_file(path).keys)
    return {"data", "model"} <= keys or "extends" in keys


def write(path: Path, data: bytes) -> bool:
    """Puts the data at the path in one step; False when it stood there already."""
    try:
        target = real_path(path)  # a link stays a link
    except NamedFault as fault:
        raise AnnpipeError(f"'{path}' is not written: {fault}") from fault
    if target.is_file() and target.read_bytes() == data:
        return False
    whole = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        whole.write_bytes(data)
        if target.exists():
            shutil.copymode(target, whole)
        move(whole, target)
    except OSError as error:
        with suppress(OSError):
            whole.unlink(missing_ok=True)
        raise AnnpipeError(f"'{path}' cannot be written: {error.strerror}") from error
    return True


def add_modeline(path: Path) -> str | None:
    """Makes the modeline the first line of a spec that names no schema.

    Gives why the file was left as it is, "" where it names this schema already, None where the line was added.
    """
    data = content(path)
    named = named_schema(data.decode("utf-8-sig"))
    if named is not None:
        return "" if named.removeprefix("./") == FILE else f"it names another schema, {named}"
    if data.startswith(_BOM):
        return "it begins with a byte order mark, before which nothing can stand"
    ending = b"\r\n" if data.partition(b"\n")[0].endswith(b"\r") else b"\n"
    write(path, MODELINE.encode() + ending + data)
    return None


def named_schema(text: str) -> str | None:
    """The schema that a modeline above the content names."""
    for line in text.splitlines():
        if match := _NAMES_SCHEMA.match(line):
            return match[1]
        if line.strip() and not line.startswith(("#", "%", "---")):
            return None
    return None
