"""The runs of a project for commands that go through all of them: unreadable ones are skipped with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.cli.project_runs import MAX_LINES, runs_of, warn_damaged, warn_skipped
from annpipe.record.journal.events import RunBegun, RunEnded
from annpipe.record.journal.journal import Journal


def made(project: Path, name: str, time: int = 1) -> Path:
    """A finished run."""
    folder = project / "runs" / name
    folder.mkdir(parents=True)
    journal = Journal.create(folder)
    journal.write(RunBegun(id=name, name=name, experiment=name, tracking_uri="", time=time))
    journal.write(RunEnded(status="FINISHED", time=time + 1, error=None))
    journal.close()
    return folder


def test_every_run_that_can_be_read_the_oldest_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that cannot is named on stderr, where it spoils no output for programs."""
    younger, older = made(tmp_path, "a-20260102-000000-aaaa", 9), made(tmp_path, "b-20260101-000000-aaaa", 3)
    broken = tmp_path / "runs" / "c-20260103-000000-aaaa"
    broken.mkdir()
    (broken / "journal.jsonl").symlink_to("/dev/zero")
    assert runs_of(tmp_path) == [older, younger]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert broken.name in printed.err


def test_a_project_without_runs_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said."""
    assert runs_of(tmp_path) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "more"),
    [(0, []), (MAX_LINES, []), (MAX_LINES + 3, ["skipped 3 more folders in the same way"])],
)
def test_of_many_skipped_folders_the_first_are_named(
    count: int, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And the others counted."""
    warn_skipped(f"folder {number}" for number in range(count))
    shown = [f"folder {number}" for number in range(min(count, MAX_LINES))]
    assert capsys.readouterr().err.splitlines() == [*shown, *more]


def test_damaged_lines_of_a_journal_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the name of the run; a whole one is passed over in silence."""
    folder = made(tmp_path, "a-20260102-000000-aaaa")
    assert not warn_damaged(folder)
    assert capsys.readouterr().err == ""
    journal = folder / "journal.jsonl"
    first, last = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + b'{"broken\n' + last)
    assert warn_damaged(folder)
    assert capsys.readouterr().err.startswith(f"warning: {folder.name}: ")
