"""The seal of a run folder fits the folder that was sealed, and no other; `test_trust` drives it by commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.errors import NotTrusted
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.seal import FILE, MODEL, PLAN, check_own, is_own, read_seal, seal, seal_store, trust


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed run with a plan and a model, of a user with a key of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    run = tmp_path / "project" / "runs" / "a"
    (run / MODEL).mkdir(parents=True)
    pen = Journal.create(run)
    pen.write(RunBegun(id="a", tracking_uri="http://host", tags={"annpipe.spec": "spec.yaml"}))
    pen.close()
    (run / PLAN).write_text("seed: 1\n")
    (run / MODEL / "network.py").write_text("x = 1\n")
    (run / MODEL / "weights.safetensors").write_bytes(b"123")
    seal(run)
    return run


def test_a_seal_has_the_facts_and_the_digests(folder: Path) -> None:
    """Weights are data, and not sealed; a fact that the run has not is `None` in words."""
    found = read_seal(folder)
    assert found is not None
    assert found.project == str(folder.parents[1].resolve())
    assert found.facts == {
        "id": "a",
        "tracking_uri": "http://host",
        "parent": "None",
        "annpipe.spec": "spec.yaml",
        "mlflow.source.name": "None",
    }
    assert sorted(found.files) == ["model/network.py", "plan.yaml"]
    assert is_own(folder, PLAN)
    assert is_own(folder, MODEL)


@pytest.mark.parametrize(("part", "file"), [(PLAN, "plan.yaml"), (MODEL, "model/network.py"), (MODEL, "model/new.py")])
def test_a_changed_file_is_not_the_one_that_was_sealed(folder: Path, part: str, file: str) -> None:
    """The other part still is; trust seals what is there."""
    (folder / file).write_text("other: 1\n")
    assert not is_own(folder, part)
    assert is_own(folder, MODEL if part == PLAN else PLAN)
    with pytest.raises(NotTrusted, match=f"{file} is not the file that was sealed"):
        check_own(folder, part)
    check_own(folder, part, trusted=True)
    assert is_own(folder, part)


def test_stores_are_added_without_their_credentials_and_once(folder: Path) -> None:
    """A second seal keeps them."""
    for _ in range(2):
        seal_store(folder, "http://ann:s3cret@other")
    seal(folder)
    found = read_seal(folder)
    assert found is not None
    assert found.stores == ("http://***@other",)


def test_a_forged_line_does_not_count(folder: Path) -> None:
    """Nor does one without a seal at all; trust makes the folder the user's own."""
    line = json.loads((folder / FILE).read_text().splitlines()[-1])
    line["content"]["files"]["plan.yaml"] = "0"
    (folder / FILE).write_text(json.dumps(line) + "\n")
    assert read_seal(folder) is None
    (folder / FILE).unlink()
    assert not is_own(folder)
    seal_store(folder, "http://other")
    assert not (folder / FILE).exists()
    trust(folder)
    assert is_own(folder)
