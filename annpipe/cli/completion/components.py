"""Which components are known without importing a single plugin? What shipped and cached indexes tell, for completion.

A shipped index is taken as it is, stale or not: near enough for a prompt, and a hundred times cheaper than to hold it
against its sources. A plugin without any index stays unknown here until a command that may import it has been run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# The registry's own words; importing it for them would take longer than all the rest.
GROUP = "annpipe.plugins"
SHIPPED = "annpipe_index.json"


@dataclass(frozen=True)
class Known:
    """One component: what a prompt needs of it."""

    kind: str
    name: str
    summary: str
    options: tuple[str, ...]


def known_components(files: Iterable[Path] = ()) -> list[Known]:
    """The components of all installed plugins, and of plugin files; a broken one gives none and says nothing."""
    from importlib.metadata import entry_points

    found: list[Known] = []
    for point in entry_points(group=GROUP):
        with suppress(Exception):  # at a prompt nobody is told what is wrong with a plugin
            found += _installed(point)
    for file in files:
        with suppress(Exception):
            found += _cached([file.resolve()], file.resolve().parent)
    return sorted(dict.fromkeys(found), key=lambda known: known.name.casefold())


def _installed(point: EntryPoint) -> Iterator[Known]:
    module = find_spec(point.value.partition(":")[0].partition(".")[0])
    assert module
    assert module.origin
    folder = Path(module.origin).parent if module.submodule_search_locations else Path(module.origin)
    shipped = folder / SHIPPED
    if not shipped.is_file():
        yield from _cached(None if folder.is_dir() else [folder], folder.parent, folder)
        return
    for row in json.loads(shipped.read_text(encoding="utf-8"))["entries"]:
        options = tuple(option["name"] for option in row["parameters"] if not option.get("supplied"))
        yield Known(row["kind"], row["name"], row["summary"], options)


def _cached(sources: list[Path] | None, root: Path, package: Path | None = None) -> Iterator[Known]:
    """What the cache has; a plugin is imported for it by commands, never by a prompt."""
    from annpipe.registry.entry import Origin
    from annpipe.registry.index import cached_entries, package_sources

    files = sources or package_sources(package or root)
    for entry in cached_entries(files, Origin(), _leave_it, root=root):
        yield Known(entry.kind, entry.name, entry.summary, tuple(option.name for option in entry.options))


def _leave_it() -> NoReturn:
    raise LookupError("no index of this plugin was made yet")
