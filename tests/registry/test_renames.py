"""Earlier names of the spec language: how long they work, what is said of them, and the page that lists them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annpipe.errors import Place
from annpipe.registry import renames
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.registry.renames import RENAMES, Earlier, Rename, as_markdown, earlier_names, notice, rename_of
from annpipe.spec.sections.models import SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "earlier_names.md"
LINE = Rename("0.3", "loss", "", "OldLoss", "NewLoss")
PLACE = Place("spec.yaml", 3, 7, 7)


@pytest.mark.parametrize(
    ("version", "severity"), [("0.3.0", "warning"), ("0.3.9", "warning"), ("0.4.0", "error"), ("1.0", "error")]
)
def test_an_earlier_name_warns_for_one_minor_version(
    monkeypatch: pytest.MonkeyPatch, version: str, severity: str
) -> None:
    """And says at its place when it was renamed to what."""
    monkeypatch.setattr(renames, "installed_version", lambda _: version)
    problem = notice(LINE, PLACE)
    assert problem is not None
    assert (problem.severity, problem.place, problem.fix) == (severity, PLACE, ("OldLoss", "NewLoss"))
    assert problem.message == "the loss 'OldLoss' was renamed to 'NewLoss' in annpipe 0.3"
    assert ("until annpipe 0.4" in str(problem.help)) is (severity == "warning")


def test_what_reads_earlier_work_takes_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder without a word, `annpipe migrate` with one."""
    monkeypatch.setattr(renames, "installed_version", lambda _: "7.0")
    with earlier_names(Earlier.READ):
        assert notice(LINE, PLACE) is None
    with earlier_names(Earlier.TOLD):
        told = notice(LINE, PLACE)
    assert told is not None
    assert told.severity == "warning"
    after = notice(LINE, PLACE)
    assert after is not None
    assert after.severity == "error"


def test_the_table_leads_to_names_that_are_there(registry_entries: Registry) -> None:
    """Each new name exists, no earlier name does, and none is renamed twice."""
    for line in RENAMES:
        if line.kind:
            assert line.kind in KINDS
            entry = registry_entries.entry(line.kind, line.of or line.new)
            assert not line.of or (entry.parameter(line.new) and not entry.parameter(line.old)), line
            assert line.of or registry_entries.find(line.kind, line.old) is entry
        elif not line.of:
            assert line.new in SECTIONS
            assert line.old not in SECTIONS
    assert len({(line.kind, line.of, line.old) for line in RENAMES}) == len(RENAMES)


def test_a_name_is_looked_up_where_it_stood() -> None:
    """The same word elsewhere is not an earlier name."""
    assert rename_of("", "sweep", "fail") is RENAMES[0]
    assert rename_of("", "train", "fail") is None
    assert rename_of("", "", "fail") is None


def test_the_page_of_the_docs_is_the_table() -> None:
    """`ANNPIPE_WRITE_GOLDEN=1` writes it anew."""
    text = PAGE.read_text(encoding="utf-8")
    head, marker, _ = text.partition("<!-- the table -->\n")
    assert marker
    if os.environ.get("ANNPIPE_WRITE_GOLDEN"):
        PAGE.write_text(f"{head}{marker}{as_markdown()}", encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == f"{head}{marker}{as_markdown()}"
