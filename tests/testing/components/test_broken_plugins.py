"""Plugins with one fault each, of six sorts: `annpipe plugins check` finds each at its line, by the check for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.registry.registry import Registry
from annpipe.testing import check_component
from tests.sampling import sample

FOLDER = Path(__file__).parents[1] / "broken_plugins"
FOUND_BY = {
    "global_rng_data": "random",
    "global_rng_layer": "random",
    "lost_state_callback": "resume",
    "lost_state_optimizer": "resume",
    "in_place_layer": "inputs",
    "in_place_metric": "inputs",
    "in_place_transform": "inputs",
    "float32_layer": "dtypes",
    "float32_loss": "dtypes",
    "ignored_option": "signature",
    "undocumented_option": "signature",
    "one_row_layer": "batches",
    "one_row_loss": "batches",
}


def test_every_broken_plugin_is_listed() -> None:
    """Two or more of each fault."""
    assert sorted(file.stem for file in FOLDER.glob("*.py")) == sorted(FOUND_BY)


@pytest.mark.parametrize(("name", "check"), sample(FOUND_BY.items(), 6))
def test_a_fault_is_found_at_its_line(name: str, check: str, registry_entries: Registry) -> None:
    """The line ends with the word `fault`."""
    file = FOLDER / f"{name}.py"
    report = check_component(file, registry=registry_entries)
    lines = file.read_text(encoding="utf-8").splitlines()
    (line,) = (number for number, text in enumerate(lines, start=1) if text.endswith("# fault"))
    found = {verdict.check: verdict for verdict in report.failed}
    assert check in found, report.verdicts
    assert found[check].place == f"{file}:{line}", found[check]
    assert found[check].remedy
    with pytest.raises(AssertionError, match=f"{check}: "):
        report.check()
