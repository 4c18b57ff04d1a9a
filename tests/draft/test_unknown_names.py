"""A name that no registry has: what may be meant, and which plugin that could not be used may define it."""

from __future__ import annotations

from pathlib import Path

from annpipe.draft.unknown_names import unknown_component
from annpipe.errors import Place, Problem
from annpipe.registry.discovery import PluginFault
from annpipe.registry.registry import Registry
from annpipe.spec.sections.component import Call

PLACE = Place("spec.yaml", 1, 1)


def broken(registry_entries: Registry, file: Path, source: str) -> Registry:
    """A registry with an installed plugin that could not be imported."""
    file.write_text(source, encoding="utf-8")
    registry = registry_entries.copy()
    registry.faults = [PluginFault(Problem("plugin-import", "no luck", Place(str(file), 1, 1)), [file])]
    return registry


def test_a_broken_plugin_is_named_where_it_defines_the_name(registry_entries: Registry, tmp_path: Path) -> None:
    """Whatever the order of the names; a name like another one that it does not define is a slip of the pen."""
    source = "class Swish: ...\n@loss(name='mine')\ndef loss_of_mine(: ..."
    registry = broken(registry_entries, tmp_path / "broken.py", source)
    for kind, name, may in (
        ("layer", "Linaer", False),
        ("layer", "Swish", True),
        ("loss", "mine", True),
        ("loss", "MSELos", False),
        ("metric", "Xyzzyxyzzy", True),
    ):
        help_ = str(unknown_component(Call(name, None, PLACE), kind, registry, []).help)
        assert (f"'{name}' may come from a plugin that could not be used: " in help_) == may, help_
    assert "no luck" in str(unknown_component(Call("Swish", None, PLACE), "layer", registry, []).help)


def test_a_definition_without_its_mark_is_shown(registry_entries: Registry, tmp_path: Path) -> None:
    """And one that its mark gives another name."""
    file = tmp_path / "own.py"
    file.write_text(
        "from annpipe import metric\n\nclass Bare: ...\n\n@metric(name='other')\nclass Named: ...\n", encoding="utf-8"
    )
    registry = registry_entries.copy()
    registry.add_file(file)
    bare = unknown_component(Call("Bare", None, PLACE), "metric", registry, [file])
    assert bare.related == ((Place(str(file), 3, 7, 4), "defined here, without that mark"),)
    assert str(bare.help).startswith("write `@metric` above its definition")
    named = unknown_component(Call("Named", None, PLACE), "metric", registry, [file])
    assert named.help == "its mark names it 'other'"
