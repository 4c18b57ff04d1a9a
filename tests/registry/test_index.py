"""The index: names and options without an import, for exactly the sources and versions it was made with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from annpipe.registry.discovery import discover_package
from annpipe.registry.index import SHIPPED, index_text, package_sources, sources_digest
from annpipe.registry.registry import Registry

Write = Callable[[str, str], Path]

SOURCE = """
from pathlib import Path

from annpipe import metric

with (Path(__file__).parent / "imports.txt").open("a") as file:
    file.write("x")


@metric
class Count:
    \"\"\"Counts.\"\"\"

    def __init__(self, start: int = 1) -> None: ...
"""


def n_imports(folder: Path) -> int:
    file = folder / "imports.txt"
    return len(file.read_text()) if file.exists() else 0


def forget(path: Path) -> None:
    """As a new process would find it: the plugin is not imported."""
    for name in [name for name, module in sys.modules.items() if getattr(module, "__file__", None) == str(path)]:
        del sys.modules[name]


def start(path: Path) -> object:
    forget(path)
    entry = Registry().add_file(path)[0]
    return entry.parameters[0].default


def test_a_file_is_imported_once_for_each_content(write: Write, tmp_path: Path) -> None:
    path = write("count.py", SOURCE)
    assert [start(path), start(path), n_imports(tmp_path)] == [1, 1, 1]
    write("count.py", SOURCE.replace("start: int = 1", "start: int = 2"))
    assert [start(path), start(path), n_imports(tmp_path)] == [2, 2, 2]


def test_a_change_is_noticed_within_one_process_too(write: Write) -> None:
    path = write("count.py", SOURCE)
    registry = Registry()
    first = registry.load(registry.add_file(path)[0])
    write("count.py", SOURCE.replace('"""Counts."""', '"""Tallies."""'))
    again = Registry()
    second = again.load(again.add_file(path)[0])
    assert (first.__doc__, second.__doc__) == ("Counts.", "Tallies.")


def test_a_plugin_leaves_no_bytecode_beside_it(write: Write, tmp_path: Path) -> None:
    start(write("count.py", SOURCE))
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize("damage", ["", "not json", "[]", '{"format": 1}', "null", "\x00"])
def test_a_damaged_cache_is_made_again(write: Write, tmp_path: Path, cache: Path, damage: str) -> None:
    path = write("count.py", SOURCE)
    start(path)
    for file in (cache / "annpipe" / "index").iterdir():
        file.write_text(damage)
    assert [start(path), start(path), n_imports(tmp_path)] == [1, 1, 2]


def test_entries_of_a_damaged_cache_are_not_believed(write: Write, tmp_path: Path, cache: Path) -> None:
    path = write("count.py", SOURCE)
    start(path)
    (file,) = (cache / "annpipe" / "index").iterdir()
    file.write_text(file.read_text().replace('"parameters"', '"parameter"'))
    assert [start(path), n_imports(tmp_path)] == [1, 2]


def test_a_cache_that_cannot_be_written_costs_only_the_import(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = write("blocked", "a file where the cache's folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    path = write("count.py", SOURCE)
    assert [start(path), start(path), n_imports(tmp_path)] == [1, 1, 2]


def test_without_a_home_nothing_breaks(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.devnull)
    assert start(write("count.py", SOURCE)) == 1


def test_another_version_of_what_it_was_made_with_makes_it_again(write: Write, tmp_path: Path, cache: Path) -> None:
    path = write("count.py", "import torch\n" + SOURCE)
    start(path)
    (file,) = (cache / "annpipe" / "index").iterdir()
    assert '"made_with": {"torch": "' in file.read_text()
    file.write_text(file.read_text().replace('{"torch": "', '{"torch": "0'))
    assert [start(path), n_imports(tmp_path)] == [1, 2]


def test_a_shipped_index_spares_the_import(install: Callable[..., Path]) -> None:
    site = install("fancy", {"fancy_plugin/__init__.py": "", "fancy_plugin/metrics.py": SOURCE})
    folder = site / "fancy_plugin"
    text = index_text(discover_package("fancy_plugin"), sources_digest(package_sources(folder), site), {}, site)
    assert str(site) not in text
    (folder / SHIPPED).write_text(text)
    before = n_imports(folder)
    entry = Registry.installed().find("metric", "Count")
    assert entry
    assert n_imports(folder) == before == 1
    assert Path(entry.file) == folder / "metrics.py"
    assert str(entry.origin) == "fancy 1.0"


def test_a_shipped_index_of_other_sources_is_not_used(install: Callable[..., Path]) -> None:
    site = install("fancy", {"fancy_plugin/__init__.py": "", "fancy_plugin/metrics.py": SOURCE})
    (site / "fancy_plugin" / SHIPPED).write_text(index_text([], "0" * 16, {}))
    assert Registry.installed().find("metric", "Count")


def test_a_module_that_moves_changes_the_digest(tmp_path: Path, write: Write) -> None:
    one = sources_digest([write("package/a/x.py", "")], tmp_path)
    other = sources_digest([write("package/b/x.py", "")], tmp_path)
    assert one != other
