"""`annpipe plugins list`: where every name came from."""

from __future__ import annotations

import json
from pathlib import Path

from annpipe.registry.registry import Registry
from tests.conftest import CliHere
from tests.registry.installing import install

GATE = "import torch\n\nfrom annpipe import layer\n\n\n@layer\nclass {name}(torch.nn.Module):\n    pass\n"


def test_names_of_distributions_and_files_stand_below_where_they_come_from(
    annpipe_here: CliHere, tmp_path: Path, site: Path
) -> None:
    """With version and line; built-in ones are counted, or named with --all."""
    install(site, "listed_gates", GATE.format(name="ListedGate"))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "own.py").write_text(GATE.format(name="OwnGate"), encoding="utf-8")
    (tmp_path / "plugins" / "test_own.py").write_text("", encoding="utf-8")
    code, out, err = annpipe_here("plugins", "list")
    assert (code, err) == (0, "")
    built_in, installed, own = out.split("\n\n")
    assert built_in.startswith("annpipe ")
    assert " layer, " in built_in
    assert installed.splitlines() == ["listed_gates 1.2", "  layer  ListedGate  site/listed_gates.py:7"]
    assert own.splitlines() == [
        "plugins/own.py; a spec lists it: `plugins: [plugins/own.py]`",
        "  layer  OwnGate  plugins/own.py:7",
    ]
    assert "  layer         Linear" in annpipe_here("plugins", "list", "--all")[1]


def test_json_has_every_name_of_the_registry(
    annpipe_here: CliHere, tmp_path: Path, site: Path, registry_entries: Registry
) -> None:
    """Each with its distribution, version, file and line."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "own.py").write_text(GATE.format(name="OwnGate"), encoding="utf-8")
    listed = json.loads(annpipe_here("plugins", "list", "--json")[1])
    *others, own = listed["components"]
    known = {(entry.kind, entry.name) for kind in registry_entries._entries for entry in registry_entries.entries(kind)}
    assert {(row["kind"], row["name"]) for row in others} == known
    linear = next(row for row in others if row["name"] == "Linear")
    assert (linear["from"], linear["distribution"]) == ("built-in", "torch")
    assert own["from"] == "file"
    assert (own["file"], own["line"], own["shadows"]) == (str(tmp_path / "plugins" / "own.py"), 7, None)
    assert listed["faults"] == []


def test_a_file_of_the_project_is_read_and_not_run(annpipe_here: CliHere, tmp_path: Path) -> None:
    """It may be a stranger's; --plugin imports one, and shows what it raises."""
    (tmp_path / "plugins").mkdir()
    file = tmp_path / "plugins" / "rude.py"
    file.write_text("raise SystemExit(7)\n" + GATE.format(name="RudeGate"), encoding="utf-8")
    code, out, _ = annpipe_here("plugins", "list")
    assert code == 0
    assert "  layer  RudeGate  plugins/rude.py:8" in out
    out = annpipe_here("plugins", "list", "--plugin", file)[1]
    assert "plugins/rude.py: cannot be used" in out
    assert "raised SystemExit on import: 7" in out


def test_a_file_that_is_no_python_is_shown_at_its_line(annpipe_here: CliHere, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("x = 1\ndef f(:\n", encoding="utf-8")
    code, out, _ = annpipe_here("plugins", "list")
    assert code == 0
    assert "plugins/broken.py: cannot be used" in out
    assert "broken.py:2:7" in out


def test_a_taken_name_is_marked_with_where_the_other_comes_from(
    annpipe_here: CliHere, tmp_path: Path, site: Path
) -> None:
    """In a file of the project; a distribution with one cannot be used, and says why."""
    install(site, "second_linear", GATE.format(name="Linear"))
    (tmp_path / "plugins").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / "plugins" / name).write_text(GATE.format(name="TwiceGate"), encoding="utf-8")
    (tmp_path / "plugins" / "c.py").write_text(GATE.format(name="ReLU"), encoding="utf-8")
    out = annpipe_here("plugins", "list")[1]
    assert "second_linear 1.2: cannot be used\n" in out
    assert "the layer 'Linear' exists already: it comes from torch" in out
    assert "the name is taken: plugins/a.py:7 has it" in out
    assert "the name is taken: torch 2." in out
    listed = json.loads(annpipe_here("plugins", "list", "--json")[1])
    assert [fault["from"] for fault in listed["faults"]] == ["second_linear 1.2"]
    assert [row["name"] for row in listed["components"] if row["shadows"]] == ["TwiceGate", "ReLU"]
