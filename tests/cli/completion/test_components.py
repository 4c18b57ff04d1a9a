"""Components for completion: from shipped indexes and caches, without importing a plugin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.cli.completion.components import SHIPPED, KnownComponent, known_components
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry

PLUGIN = '''
from pathlib import Path
from annpipe import layer

Path(__file__).with_name("imported").touch()


@layer
class Own:
    """Its own."""

    def __init__(self, width: int, *, in_features: int) -> None: ...
'''
OWN = KnownComponent("layer", "Own", "Its own.", ("width",))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed distributions, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(site: Path, name: str, module: str) -> None:
    """A distribution with an entry point."""
    information = site / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[annpipe.plugins]\n{name} = {module}\n")


def names(kind: str) -> list[str]:
    return [known.name for known in known_components() if known.kind == kind]


def test_the_installed_components_are_those_of_the_registry(registry_entries: Registry) -> None:
    """Their options are those that a spec gives."""
    known = {(one.kind, one.name): one for one in known_components()}
    entries = {(entry.kind, entry.name): entry for kind in KINDS for entry in registry_entries.entries(kind)}
    assert known.keys() == entries.keys()
    for key, entry in entries.items():
        assert known[key].options == tuple(option.name for option in entry.options)
        assert known[key].summary == entry.summary
    found = [known.name.casefold() for known in known_components()]
    assert found == sorted(found)


def test_a_shipped_index_is_read_and_nothing_imported(site: Path) -> None:
    """Of a package that is installed beside the others."""
    package = site / "own_layers"
    package.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    parameters = [{"name": "width", "type": "int"}, {"name": "in_features", "type": "int", "supplied": True}]
    row = {"kind": "layer", "name": "Own", "summary": "Its own.", "parameters": parameters}
    (package / SHIPPED).write_text(json.dumps({"entries": [row]}))
    install(site, "own", "own_layers")
    assert OWN in known_components()
    assert not (package / "imported").exists()


def test_a_broken_plugin_costs_itself_alone(site: Path) -> None:
    """One whose module is not there, one whose index is no JSON, one that has no index yet."""
    for name, index in (("broken", "{"), ("fresh", None)):
        package = site / f"{name}_layers"
        package.mkdir()
        (package / "__init__.py").write_text(PLUGIN)
        if index is not None:
            (package / SHIPPED).write_text(index)
        install(site, name, f"{name}_layers")
    install(site, "ghost", "ghost_layers")
    assert "Linear" in names("layer")
    assert "Own" not in names("layer")
    assert list(site.rglob("imported")) == []


def test_a_plugin_file_is_known_from_the_cache(site: Path, tmp_path: Path) -> None:
    """Once a command has read it; a file that changed since is not."""
    path = tmp_path / "own.py"
    path.write_text(PLUGIN)
    assert OWN not in known_components([path])
    assert not (tmp_path / "imported").exists()
    registry = Registry()
    registry.add_file(path)
    assert OWN in known_components([path])
    path.write_text(PLUGIN + "\n\nMORE = 1\n")
    assert OWN not in known_components([path])
