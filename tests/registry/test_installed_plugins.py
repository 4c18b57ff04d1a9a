"""Installed plugins: found by their entry point; a broken one breaks nothing that does not name it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.registry.installing import install

GOOD = 'from annpipe import plot\n\n\n@plot\ndef {name}(view, bins: int = 10):\n    """Bars."""\n'
ASK = """
import json
from annpipe import Registry
registry = Registry.installed()
places = [str(fault.problem.place or "") for fault in registry.faults]
print(json.dumps({
    "names": [entry.name for entry in registry.entries("plot")],
    "origins": [str(entry.origin) for entry in registry.entries("plot")],
    "faults": [str(fault) for fault in registry.faults],
    "places": places,
}))
"""


def installed(site: Path) -> dict[str, Any]:
    """What a fresh process with `site` on its path finds."""
    path = os.pathsep.join([str(site), *(entry for entry in sys.path if entry)])
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(site / "cache"), "PYTHONWARNINGS": "default"}
    run = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_a_plugin_is_found_by_its_entry_point(tmp_path: Path) -> None:
    """With the name and version of its distribution."""
    install(tmp_path, "my_bars", GOOD.format(name="my_bars_plot"))
    found = installed(tmp_path)
    assert found["faults"] == []
    assert found["origins"][found["names"].index("my_bars_plot")] == "my_bars 1.2"


def test_broken_plugins_break_nothing(tmp_path: Path) -> None:
    """Each is noted with its place; the others are there."""
    install(tmp_path, "a_raises", "import json\n\n1 / 0\n")
    install(tmp_path, "b_does_not_parse", "def (:\n")
    install(tmp_path, "c_is_gone", None)
    install(tmp_path, "d_has_no_types", GOOD.format(name="untyped").replace(": int", ""))
    install(tmp_path, "e_exits", "raise SystemExit(3)\n")
    install(tmp_path, "f_has_no_parent", None, "no_such_parent.child")
    install(tmp_path, "z_good", GOOD.format(name="good_plot"))
    found = installed(tmp_path)
    assert "good_plot" in found["names"]
    assert len(found["faults"]) == 6
    assert [place.removeprefix(f"{tmp_path}{os.sep}") for place in found["places"]] == [
        "a_raises.py:3:1",
        "b_does_not_parse.py:1:5",
        "",
        "d_has_no_types.py:5:19",
        "e_exits.py:1:1",
        "",
    ]
    assert "c_is_gone" in found["faults"][2]
    assert "no_such_parent" in found["faults"][5]


def test_the_second_of_two_plugins_that_share_a_name_is_at_fault(tmp_path: Path) -> None:
    """In the order of their modules, whatever the order on disk."""
    install(tmp_path, "a_bars", GOOD.format(name="shared"))
    install(tmp_path, "b_bars", GOOD.format(name="shared"))
    found = installed(tmp_path)
    assert found["names"].count("shared") == 1
    (fault,) = found["faults"]
    assert "a_bars 1.2" in fault
    assert found["places"][0].startswith(str(tmp_path / "b_bars.py"))
