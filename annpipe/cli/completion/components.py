"""Components for completion, read from shipped and cached indexes without importing a plugin.

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

# As in the registry, whose import would take longer than all the rest.
GROUP = "annpipe.plugins"
SHIPPED = "annpipe_index.json"


@dataclass(frozen=True)
class KnownComponent:
    """One component, as far as completion needs it."""

    kind: str
    name: str
    summary: str
    options: tuple[str, ...]


def known_components(files: Iterable[Path] = ()) -> list[KnownComponent]:
    """The components of all installed plugins, and of plugin files; a broken one is skipped silently."""
    from importlib.metadata import entry_points

    components: list[KnownComponent] = []
    for point in entry_points(group=GROUP):
        with suppress(Exception):  # a prompt shows no faults of plugins
            components += _installed(point)
    for file in files:
        with suppress(Exception):
            components += _cached([file.resolve()], file.resolve().parent)
    return sorted(dict.fromkeys(components), key=lambda known: known.name.casefold())


def _installed(point: EntryPoint) -> Iterator[KnownComponent]:
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
        yield KnownComponent(row["kind"], row["name"], row["summary"], options)


def _cached(sources: list[Path] | None, root: Path, package: Path | None = None) -> Iterator[KnownComponent]:
    """The components in the cache, which commands fill; completion imports no plugin."""
    from annpipe.registry.entry import Origin
    from annpipe.registry.index import cached_entries, package_sources

    files = sources or package_sources(package or root)
    for entry in cached_entries(files, Origin(), _not_cached, root=root):
        yield KnownComponent(entry.kind, entry.name, entry.summary, tuple(option.name for option in entry.options))


def _not_cached() -> NoReturn:
    raise LookupError("no index of this plugin was made yet")
