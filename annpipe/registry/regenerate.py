"""`python -m annpipe.registry.regenerate annpipe_std` writes the index that is shipped inside a package.

The index saves everyone the import of the plugin; it holds until a source file or a version it was made with changes.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from annpipe.registry.discovery import PluginFault, discover_package
from annpipe.registry.index import SHIPPED, index_text, made_with, package_sources, sources_digest


def package_folder(name: str) -> Path:
    """The folder of an installed package; raises ModuleNotFoundError when there is none of that name."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"there is no package {name!r}", name=name)
    return Path(spec.origin).parent


def fresh_index(name: str) -> str:
    """The index of a package, discovered now; the same text for the same sources and versions."""
    folder = package_folder(name)
    digest = sources_digest(package_sources(folder), folder.parent)
    return index_text(discover_package(name), digest, made_with(), folder.parent)


def main(names: Sequence[str]) -> int:
    """Writes the index of each package; 2 without a name, 3 for a package with a fault."""
    if not names:
        sys.stderr.write("usage: python -m annpipe.registry.regenerate PACKAGE…\n")
        return 2
    for name in names:
        try:
            text = fresh_index(name)
            file = package_folder(name) / SHIPPED
        except PluginFault as fault:
            sys.stderr.write(f"error: {fault}\n")
            return fault.exit_code
        except ModuleNotFoundError as error:
            sys.stderr.write(f"error: {error}\n")
            return 2
        file.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{file}: {len(json.loads(text)['entries'])} components\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
