"""Where the record goes, and that no password is ever written down."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from annpipe.errors import StoreError
from annpipe.record.journal import location
from annpipe.record.journal.project import resolve_tracking_uri


def test_flag_beats_environment_beats_spec_beats_the_embedded_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where things go: flag > environment > spec > default."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment:1")
    assert resolve_tracking_uri("http://flag:1/", tmp_path, "http://spec:1") == "http://flag:1"
    assert resolve_tracking_uri(None, tmp_path, "http://spec:1") == "http://environment:1"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_tracking_uri(None, tmp_path, "http://spec:1") == "http://spec:1"
    assert resolve_tracking_uri(None, tmp_path, None) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_relative_database_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipper has no working directory to rely on."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert resolve_tracking_uri("sqlite:///a.db", tmp_path, None) == f"sqlite:///{tmp_path}/here/a.db"
    assert resolve_tracking_uri(None, tmp_path, "sqlite:///a.db") == f"sqlite:///{tmp_path}/a.db"
    assert location.artifact_root(f"sqlite:///{tmp_path}/a.db", Path("/elsewhere")) == f"{tmp_path}/mlartifacts"
    assert location.artifact_root("http://host", tmp_path) is None


@pytest.mark.parametrize("folder", ["./mlruns", "file:///tmp/mlruns", "mlruns"])
def test_a_plain_folder_is_refused_with_a_remedy(folder: str, tmp_path: Path) -> None:
    """MLflow's file store takes no new records."""
    with pytest.raises(StoreError, match=r"sqlite:///mlflow\.db"):
        resolve_tracking_uri(folder, tmp_path, None)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://ann:s3cret@host:5000/x", "https://***@host:5000/x"),
        ("postgresql://ann:p%40ss@db/x?sslmode=require", "postgresql://***@db/x?sslmode=require"),
        ("https://ghp_token@example.org/a.git", "https://***@example.org/a.git"),
        ("https://host/?api_key=abc&x=1", "https://host/?api_key=***&x=1"),
        ("failed: http://a:b@one/ and http://c:d@two/", "failed: http://***@one/ and http://***@two/"),
        ("sqlite:////home/ann/mlflow.db", "sqlite:////home/ann/mlflow.db"),
    ],
)
def test_credentials_are_scrubbed_wherever_they_stand(written: str, shown: str) -> None:
    """User, password and token go; the address stays readable."""
    assert location.scrub(written) == shown
    assert location.has_credentials(written) == (written != shown)


def test_a_closing_slash_or_a_password_makes_no_other_store() -> None:
    """The same server is the same record."""
    assert location.same_store("http://ann:x@host/", "http://***@host")
    assert not location.same_store("http://host:1", "http://host:2")


def test_a_folder_with_a_drive_goes_to_mlflow_as_a_uri(tmp_path: Path) -> None:
    """Its letter would be a scheme to MLflow; on POSIX a folder is a path, as it was."""
    of_windows: Any = PureWindowsPath(r"C:\a project\mlartifacts")
    assert location.folder_address(of_windows) == "file:///C:/a%20project/mlartifacts"
    assert location.folder_address(tmp_path) == str(tmp_path)
    assert location.database_file("sqlite:///C:/project/mlflow.db") == Path("C:/project/mlflow.db")
