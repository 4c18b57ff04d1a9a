"""The exact text of errors: each wrong spec of `golden/errors` against the report beside it.

After a deliberate change: `ANNPIPE_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py`, then read the diff.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from annpipe.cli import outcome

FOLDER = Path(__file__).parent / "golden"
SPECS = sorted(FOLDER.rglob("*.yaml"))


def test_the_corpus_is_all_there() -> None:
    """The glob reaches the specs, and each has its report."""
    assert len(SPECS) >= 35
    assert {path.with_suffix(".txt") for path in SPECS} == set(FOLDER.rglob("*.txt"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_a_wrong_spec_has_exactly_this_report(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, nothing on stdout, and the golden text on stderr."""
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr(sys, "argv", ["annpipe", "validate", str(spec.relative_to(FOLDER))])
    code = outcome()
    printed = capsys.readouterr()
    report = printed.err.replace(str(FOLDER), ".").replace(str(FOLDER.parent.parent), "<annpipe>")
    golden = spec.with_suffix(".txt")
    if os.environ.get("ANNPIPE_WRITE_GOLDEN"):
        golden.write_text(report, encoding="utf-8")
    assert code == 3
    assert printed.out == ""
    assert report == golden.read_text(encoding="utf-8")
    assert spec.stem.startswith(tuple(_codes(report))) or spec.stem in ("many", "wide-characters")


def _codes(report: str) -> set[str]:
    return {line.partition("[")[2].partition("]")[0] for line in report.splitlines() if line.startswith("error[")}
