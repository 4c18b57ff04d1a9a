"""The index of a plugin: its entries as JSON, so that names and options are known without importing it.

An index is valid for the exact sources and the exact versions it was made with. One shipped inside a package
(`annpipe_index.json`) is used when it is; otherwise the plugin is imported once and its index kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from annpipe.registry.entry import Entry, Origin, from_json, to_json

SHIPPED = "annpipe_index.json"
FORMAT = 1


def index_text(entries: Iterable[Entry], sources: str, made_with: Mapping[str, str]) -> str:
    """The index file of a plugin; one line an entry, so that a change reads well in a diff."""
    rows = sorted((to_json(entry) for entry in entries), key=lambda row: (str(row["kind"]), str(row["name"])))
    body = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    head = json.dumps({"format": FORMAT, "sources": sources, "made_with": dict(made_with)})
    return f'{head[:-1]},\n"entries": [\n{body}\n]}}\n'


def sources_digest(files: Iterable[Path]) -> str:
    """A digest of the names and contents of source files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def package_sources(folder: Path) -> list[Path]:
    """The Python files of a package folder, or the module file itself."""
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]


def versions(made_with: Iterable[str]) -> dict[str, str]:
    """The public versions ("2.13.0", not "2.13.0+cpu") of installed distributions."""
    return {name: importlib.metadata.version(name).partition("+")[0] for name in made_with}


def cached_entries(
    sources: list[Path], origin: Origin, discover: Callable[[], list[Entry]], *, shipped: Path | None = None
) -> list[Entry]:
    """The entries of a plugin: from the shipped index, from the cache, or by importing it with `discover`."""
    digest = sources_digest(sources)
    key = hashlib.sha256(f"{FORMAT}|{sys.version}|{sources[0].parent}|{digest}".encode()).hexdigest()[:24]
    cache = cache_folder() / "index" / f"{key}.json"
    for file in filter(None, (shipped, cache)):
        index = _read(file)
        if index and index["sources"] == digest and versions(index["made_with"]) == index["made_with"]:
            return [from_json(row, origin) for row in index["entries"]]
    entries = discover()
    made_with = versions(["torch"]) if "torch" in sys.modules else {}
    _keep(cache, index_text(entries, digest, made_with))
    return [from_json(to_json(entry), origin) for entry in entries]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        index: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return index if index.get("format") == FORMAT else None


def _keep(file: Path, text: str) -> None:
    """Writes the cache if it can; a read-only home only costs the import next time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError:
        pass


def cache_folder() -> Path:
    """Where annpipe keeps what it can make again: `$XDG_CACHE_HOME/annpipe` or `~/.cache/annpipe`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "annpipe"
