"""The index of a plugin: its entries as JSON, so that names and options are known without importing it.

An index is valid for the exact sources and the exact versions it was made with. One shipped inside a package
(`annpipe_index.json`) is used when it is; otherwise the plugin is imported once and its index kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from annpipe.files.descriptors import move
from annpipe.files.private import cache_folder, private_folder
from annpipe.registry.entry import Entry, Origin, from_json, installed_version, to_json

SHIPPED = "annpipe_index.json"
MOST_INDEXES = 10_000  # that are looked through for a name
FORMAT = 2  # since traits are those of their kind


def index_text(
    entries: Iterable[Entry],
    sources: str,
    made_with: Mapping[str, str],
    root: Path | None = None,
    *,
    distribution: str = "",
) -> str:
    """The index file of a plugin; one line an entry, so that a change reads well in a diff. Holds no absolute path.

    `distribution` names the one that the plugin belongs to, for the day on which it is not installed any more.
    """
    rows = sorted((to_json(entry, root) for entry in entries), key=lambda row: (str(row["kind"]), str(row["name"])))
    body = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    whose = {"distribution": distribution} if distribution else {}
    head = json.dumps({"format": FORMAT, "sources": sources, "made_with": dict(made_with), **whose})
    return f'{head[:-1]},\n"entries": [\n{body}\n]}}\n'


def sources_digest(files: Iterable[Path], root: Path) -> str:
    """A digest of the places below `root` and the contents of source files, line endings aside."""
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def package_sources(folder: Path) -> list[Path]:
    """The Python files of a package folder, or the module file itself."""
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]


def versions(made_with: Iterable[str]) -> dict[str, str]:
    """The public versions of installed distributions."""
    return {name: installed_version(name) for name in made_with}


def cached_entries(
    sources: list[Path], origin: Origin, discover: Callable[[], list[Entry]], *, root: Path, shipped: Path | None = None
) -> list[Entry]:
    """The entries of a plugin: from the shipped index, from the cache, or by importing it with `discover`.

    `root` is the folder that the plugin's file or package lies in.
    """
    digest = sources_digest(sources, root)
    key = hashlib.sha256(f"{FORMAT}|{sys.version}|{root}|{digest}".encode()).hexdigest()[:24]
    cache = cache_folder() / "index" / f"{key}.json"
    for file in filter(None, (shipped, cache)):
        entries = _read(file, digest, origin, root)
        if entries is not None:
            return entries
    text = index_text(discover(), digest, made_with(), root, distribution=origin.distribution)
    _keep(cache, text)
    return [from_json(row, origin, root) for row in json.loads(text)["entries"]]


def earlier_distributions(name: str) -> dict[str, str]:
    """The distributions that had a component of this name when they were used, but do not have it now, with its kind.

    What was used in any environment of this user is known from the indexes in the cache folder.
    """
    had: dict[str, str] = {}
    for file in sorted((cache_folder() / "index").glob("*.json"))[:MOST_INDEXES]:
        try:
            index = json.loads(file.read_text(encoding="utf-8"))
            kinds = [str(row["kind"]) for row in index["entries"] if row["name"] == name]
            if kinds and index.get("distribution"):
                had[str(index["distribution"])] = kinds[0]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return had


def made_with() -> dict[str, str]:
    """The versions that an index made now depends on."""
    return versions(["torch"]) if "torch" in sys.modules else {}


def _read(file: Path, digest: str, origin: Origin, root: Path) -> list[Entry] | None:
    """The entries of an index file, None when it is absent, damaged or made from something else."""
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        is_valid = index["format"] == FORMAT and index["sources"] == digest
        if is_valid and versions(index["made_with"]) == index["made_with"]:
            return [from_json(row, origin, root) for row in index["entries"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _keep(file: Path, text: str) -> None:
    """Writes the cache if it can; a read-only home only costs the import next time."""
    try:
        private_folder(file.parent)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8", newline="\n")
        move(temporary, file)
    except OSError:
        pass
