"""`annpipe plugins check` shows the verdicts, and its exit code is 3 where one is that a check failed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.conftest import CliHere

BROKEN = Path(__file__).parents[3] / "testing" / "broken_plugins"


def test_a_file_is_checked_as_a_table(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Each check with its reason, and below it where it failed and what helps."""
    shutil.copy(BROKEN / "ignored_option.py", tmp_path / "leaky.py")
    code, out, err = annpipe_here("plugins", "check", "leaky.py")
    assert (code, err) == (3, "")
    lines = out.splitlines()
    assert lines[0] == "layer Leaky, leaky.py:9: 12 passed, 1 failed"
    assert lines[1].split() == ["check", "verdict", "reason"]
    assert lines[2].split()[:2] == ["signature", "failed"]
    assert "  signature --> leaky.py:14" in lines
    assert "    = help: use it, or take it away" in lines
    assert lines[-1] == "1 component checked: 1 failed"


def test_the_folder_of_plugins_is_what_is_left_out(annpipe_here: CliHere, tmp_path: Path) -> None:
    """A component after the other, as JSON; a helper whose name begins with `_` is none."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "_helper.py").write_text("nothing = None\n", encoding="utf-8")
    shutil.copy(BROKEN / "undocumented_option.py", tmp_path / "plugins")
    code, out, _ = annpipe_here("plugins", "check", "--json")
    (report,) = json.loads(out)
    assert (code, report["kind"], report["name"]) == (3, "scheduler", "Falling")
    (failed,) = (verdict for verdict in report["verdicts"] if verdict["outcome"] == "failed")
    assert failed["check"] == "signature"
    assert failed["place"].endswith("undocumented_option.py:15")
    assert "Field(description=" in failed["remedy"]


def test_a_broken_file_does_not_keep_the_others_from_being_checked(annpipe_here: CliHere, tmp_path: Path) -> None:
    """It is shown at its line, behind the verdicts of the others."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("def f(:\n", encoding="utf-8")
    code, out, err = annpipe_here("plugins", "check")
    assert (code, out) == (3, "")
    assert "broken.py:1:7" in err
    shutil.copy(BROKEN / "undocumented_option.py", tmp_path / "plugins")
    code, out, err = annpipe_here("plugins", "check")
    assert code == 3
    assert out.startswith("scheduler Falling")
    assert "broken.py:1:7" in err


def test_several_components_are_a_line_each(annpipe_here: CliHere) -> None:
    """By kind and name; what passes needs no table."""
    code, out, _ = annpipe_here("plugins", "check", "metric/R2Score", "initializer/zeros_")
    assert code == 0
    assert [line.partition(":")[0].split()[:2] for line in out.splitlines()] == [
        ["metric", "R2Score,"],
        ["initializer", "zeros_,"],
        ["2", "components"],
    ]


def test_what_is_not_there_is_said(annpipe_here: CliHere, tmp_path: Path) -> None:
    """A misspelt name with the nearest, a file, a kind, a folder without components, a file that does not import."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.py").write_text("import nowhere\n", encoding="utf-8")
    said = {
        wanted: annpipe_here("plugins", "check", *wanted.split())
        for wanted in ("layer/Swich", "lair/Linear", "swish.py", "nothing_at_all", "empty", "", "broken.py")
    }
    assert [code for code, _, _ in said.values()] == [2, 2, 2, 2, 2, 2, 3]
    assert "there is no kind 'lair': did you mean 'layer'?" in said["lair/Linear"][2]
    assert "there is no layer 'Swich'" in said["layer/Swich"][2]
    assert "there is no plugin file 'swish.py'" in said["swish.py"][2]
    assert "there is no file, distribution or component 'nothing_at_all'" in said["nothing_at_all"][2]
    assert "'empty' marks no component" in said["empty"][2]
    assert "there is no folder 'plugins' here" in said[""][2]
    assert "broken.py:1:1" in said["broken.py"][2]
