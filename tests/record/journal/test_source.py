"""Where a run came from: the spec's repository, without a password."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from annpipe.record.journal.source import environment_text, source_tags


def git(folder: Path, *arguments: str) -> str:
    """Runs git as somebody."""
    command = ["git", "-C", str(folder), "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_tags_name_commit_branch_and_dirtiness_without_credentials(tmp_path: Path) -> None:
    """The repository that counts is the spec's."""
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\n")
    git(tmp_path, "init", "--initial-branch", "trunk")
    git(tmp_path, "remote", "add", "origin", "https://ann:token@example.org/a.git")
    git(tmp_path, "add", "spec.yaml")
    git(tmp_path, "commit", "--message", "first")
    tags = source_tags(spec)
    assert tags["mlflow.source.git.commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert tags["mlflow.source.git.branch"] == "trunk"
    assert tags["mlflow.source.git.repoURL"] == "https://example.org/a.git"
    assert tags["annpipe.git.dirty"] == "false"
    assert (tags["mlflow.source.name"], tags["mlflow.source.type"]) == (str(spec), "LOCAL")
    spec.write_text("version: 2\n")
    assert source_tags(spec)["annpipe.git.dirty"] == "true"


def test_no_repository_and_no_git_leave_the_tags_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare machine trains all the same."""
    assert not [key for key in source_tags(tmp_path / "spec.yaml") if "git" in key]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [key for key in source_tags(tmp_path / "spec.yaml") if "git" in key]


def test_the_environment_is_a_list_of_pins() -> None:
    """One distribution a line, as pip would pin it."""
    assert "click==" in environment_text()
    assert environment_text().startswith("# python 3.")
