"""`annpipe migrate`: a patch, or the file itself, with today's names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from annpipe.registry import renames
from annpipe.registry.renames import Rename
from annpipe.runs.spec_source import SpecSource
from tests.conftest import CliHere
from tests.training import Planned

TABLE = (
    Rename("0.1", "", "sweep", "fail", "on_failure"),
    Rename("0.1", "loss", "", "AbsoluteLoss", "L1Loss"),
    Rename("0.1", "optimizer", "Adam", "rate", "lr"),
    Rename("0.1", "layer", "Linear", "units", "out_features"),
)
OLD = """\
version: 1   # the language
name: old
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}
variables:
  criterion: 'AbsoluteLoss'
model:
  - residual:
      - Linear: {units: 1}   # back to one
  - Linear: 1
loss:  ${criterion}
optimizer:
  Adam: {rate: 1e-2}
train: {epochs: 1}
sweep:
  over:
    optimizer.Adam.rate: [1e-3, 1e-2]
    loss: [MSELoss, AbsoluteLoss]
  fail: stop"""
NEW = (
    OLD.replace("'AbsoluteLoss'", "'L1Loss'")
    .replace(", AbsoluteLoss]", ", L1Loss]")
    .replace("rate:", "lr:")
    .replace("units:", "out_features:")
    .replace("fail:", "on_failure:")
)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec with an earlier name at every place where one may stand, long after each was renamed."""
    monkeypatch.setattr(renames, "RENAMES", TABLE)
    monkeypatch.setattr(renames, "installed_version", lambda _: "0.3.0")
    path = tmp_path / "old.yaml"
    path.write_bytes(OLD.replace("\n", "\r\n").encode("utf-8-sig"))
    return path


def test_a_patch_is_printed_that_makes_the_new_spec(annpipe_here: CliHere, old: Path) -> None:
    """As `patch` understands it; the file itself stays."""
    before = old.read_bytes()
    code, out, err = annpipe_here("migrate", "old.yaml")
    assert (code, err) == (0, "old.yaml: 6 earlier names; --write replaces them\n")
    assert old.read_bytes() == before
    assert out.count("\n-") == 6
    assert out.count("\n+") == 6 + 1  # with the head
    if shutil.which("patch"):
        subprocess.run(["patch", "-p0", "--binary", "--quiet"], input=out.encode(), cwd=old.parent, check=True)
        assert old.read_bytes() == NEW.replace("\n", "\r\n").encode("utf-8-sig")


def test_the_file_is_changed_in_one_move(annpipe_here: CliHere, old: Path) -> None:
    """Nothing but the names; its rights stay, and nothing is left beside it. Then there is nothing to do."""
    old.chmod(0o640)
    code, out, err = annpipe_here("migrate", "old.yaml", "--write")
    assert (code, out, err) == (0, "", "old.yaml: 6 earlier names replaced\n")
    assert old.read_bytes() == NEW.replace("\n", "\r\n").encode("utf-8-sig")
    assert old.stat().st_mode & 0o777 == 0o640
    assert os.listdir(old.parent) == ["old.yaml"]
    assert annpipe_here("migrate", "old.yaml")[1:] == ("", "old.yaml: no earlier name\n")
    assert annpipe_here("validate", "old.yaml")[0] == 0


def test_a_name_works_no_more_until_it_is_migrated(annpipe_here: CliHere, old: Path) -> None:
    """Each is an error with the new name, at its line, and the only one there."""
    code, _, err = annpipe_here("validate", "old.yaml")
    assert code == 3
    assert err.count("error[renamed]") == err.count("error[") >= 4
    assert "the loss 'AbsoluteLoss' was renamed to 'L1Loss' in annpipe 0.1" in err
    assert "the option 'rate' of Adam was renamed to 'lr' in annpipe 0.1" in err


def test_the_plan_is_the_same_with_either_name(planned: Planned, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same digest; in time, each earlier name is a warning."""
    monkeypatch.setattr(renames, "installed_version", lambda _: "0.1.0")
    before, after = planned(OLD), planned(NEW)
    assert before.digest == after.digest
    assert before.to_yaml() == after.to_yaml()
    said = [warning for warning in before.warnings if warning.code == "renamed"]
    assert sorted(warning.fix[0] for warning in said if warning.fix) == ["AbsoluteLoss", "fail", "rate", "units"]
    assert not [warning for warning in after.warnings if warning.code == "renamed"]


def test_a_base_is_named_and_left_alone(annpipe_here: CliHere, old: Path, tmp_path: Path) -> None:
    """It is a file of its own, to be migrated by its name."""
    (tmp_path / "new.yaml").write_text("extends: old.yaml\nname: new\n", encoding="utf-8")
    code, out, err = annpipe_here("migrate", "new.yaml", "--write")
    assert (code, out) == (0, "")
    assert "new.yaml: 'old.yaml' has earlier names, too: `annpipe migrate old.yaml`" in err
    assert "new.yaml: no earlier name" in err


def test_other_faults_are_said_and_names_replaced_all_the_same(
    annpipe_here: CliHere, old: Path, tmp_path: Path
) -> None:
    """They are for `annpipe validate`; a text that is no YAML is refused."""
    (tmp_path / "odd.yaml").write_text("version: 1\nname: odd\nloss: AbsoluteLoss\ntrain: {}\n", encoding="utf-8")
    code, out, err = annpipe_here("migrate", "odd.yaml")
    assert code == 0
    assert "+loss: L1Loss" in out
    assert "other faults may hide earlier names" in err
    (tmp_path / "no.yaml").write_text("{", encoding="utf-8")
    assert annpipe_here("migrate", "no.yaml")[0] == 3


def test_a_name_in_doubt_is_for_the_user(annpipe_here: CliHere, old: Path, tmp_path: Path) -> None:
    """With its place and exit code 3."""
    (tmp_path / "odd.yaml").write_text('version: 1\nname: odd\nloss: "Absolute\\x4coss"\n', encoding="utf-8")
    code, out, err = annpipe_here("migrate", "odd.yaml")
    assert (code, out) == (3, "")
    assert "change these names by hand: odd.yaml:3:7" in err


def test_a_folder_that_cannot_be_written_to_keeps_the_file(
    annpipe_here: CliHere, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the earlier file, whole."""

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    before = old.read_bytes()
    monkeypatch.setattr("annpipe.files.whole._write", full)
    code, _, err = annpipe_here("migrate", "old.yaml", "--write")
    assert code == 3
    assert "old.yaml cannot be written: No space left on device; it is as it was" in err
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == ["old.yaml"]


def test_a_file_that_was_changed_meanwhile_is_not_lost(
    annpipe_here: CliHere, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an editor saved in the same moment stays."""
    draft = SpecSource.draft

    def while_it_is_saved(self: SpecSource, *arguments: object) -> object:
        drafted = draft(self, *arguments)  # type: ignore[arg-type]
        old.write_text("mine", encoding="utf-8")
        monkeypatch.setattr(SpecSource, "draft", draft)
        return drafted

    old.write_text(OLD.replace("sweep:", "tags:").partition("tags:")[0], encoding="utf-8")
    monkeypatch.setattr(SpecSource, "draft", while_it_is_saved)
    code, _, err = annpipe_here("migrate", "old.yaml", "--write")
    assert code == 3
    assert "was changed by someone else meanwhile" in err
    assert old.read_text(encoding="utf-8") == "mine"
