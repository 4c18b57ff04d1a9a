"""Specs of each version: today's code reads them as they are, or migrates them first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from annpipe.draft.draft import draft
from annpipe.draft.sections import Draft
from annpipe.registry.entry import installed_version
from annpipe.registry.registry import Registry
from annpipe.registry.renames import RENAMES, Earlier, earlier_names, version_numbers
from annpipe.spec import load_spec
from annpipe.spec.migrate import migrated

CORPUS = Path(__file__).parent / "versions"
SPECS = sorted(CORPUS.glob("*/*.yaml"))


def drafted(path: Path, registry: Registry) -> Draft:
    """The draft of a spec; raises SpecError."""
    return draft(load_spec(path), registry.copy(), project=path.parent)


def test_every_version_has_specs() -> None:
    """The gallery of 0.1 and more."""
    assert {path.parent.name for path in SPECS} == {"before-0.1", "0.1"}
    assert len(SPECS) >= 22


@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_spec_of_an_earlier_version_is_read(path: Path, tmp_path: Path, registry_entries: Registry) -> None:
    """Its earlier names are all that may be said of it, and migrated it has none."""
    with earlier_names(Earlier.TOLD):
        before = drafted(path, registry_entries)
    text = path.read_text(encoding="utf-8")
    after = migrated(text, str(path), before.notices)
    assert after.by_hand == ()
    folder = shutil.copytree(path.parent, tmp_path / "version")
    (folder / path.name).write_text(after.text, encoding="utf-8")
    assert drafted(folder / path.name, registry_entries).notices == ()


def test_specs_of_this_version_need_no_change(registry_entries: Registry) -> None:
    """Not even a warning is given."""
    now = ".".join(map(str, version_numbers(installed_version("annpipe"))))
    for path in (path for path in SPECS if path.parent.name == now):
        assert drafted(path, registry_entries).notices == (), path


def test_every_name_that_changed_is_in_the_corpus(registry_entries: Registry) -> None:
    """So that its warning and its migration are tried."""
    with earlier_names(Earlier.TOLD):
        notices = [notice for path in SPECS for notice in drafted(path, registry_entries).notices]
    assert {notice.fix for notice in notices} == {(line.old, line.new) for line in RENAMES}
