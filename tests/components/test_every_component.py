"""Each listed component trains: for every entry of the registry a spec of at most twelve lines, run to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annpipe.backend import protocols
from annpipe.registry.entry import Entry
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.testing.components.smallest_specs import smallest_spec, write_rows
from annpipe_std.torch_table import EXCLUDED
from tests.properties.settling import in_one_line
from tests.sampling import sample

MOST_LINES = 12
REGISTRY = Registry.installed()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of rows that some specs name."""
    folder = tmp_path_factory.mktemp("rows")
    write_rows(folder)
    return folder


ENTRIES = [entry for kind in KINDS for entry in REGISTRY.entries(kind)]


def test_nothing_else_is_listed() -> None:
    """The classes of torch that a spec has no use for are left out, each with its reason."""
    assert len(ENTRIES) > 250
    listed = {entry.name for entry in ENTRIES}
    for unfit in ("CTCLoss", "MarginRankingLoss", "Bilinear", "TransformerDecoder", "MultivariateNormal"):
        assert unfit not in listed
        assert EXCLUDED[unfit]


@pytest.mark.parametrize("entry", sample(ENTRIES, 3), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_a_listed_component_trains(
    entry: Entry, go: Any, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spec of at most twelve lines ends as FINISHED, with a model that answers; what is built is what its kind is."""
    monkeypatch.setattr(protocols, "TESTED", ())
    for file in files.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    sections = smallest_spec(entry, REGISTRY)
    lines = [f"{name}: {in_one_line(value)}" for name, value in sections.items()]
    assert len(lines) <= MOST_LINES
    gone = go("\n".join(lines) + "\n")
    assert (gone.outcome.status, gone.outcome.error) == ("FINISHED", None), json.dumps(sections)
    assert f"{entry.name}" in "\n".join(lines)
