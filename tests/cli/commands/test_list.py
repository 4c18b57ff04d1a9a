"""`annpipe list`, driven as a user drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]

SWISH = '''"""A layer of one's own."""

import torch
from annpipe import layer


@layer
class Swish(torch.nn.Module):
    """x times sigmoid(beta x)."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
'''


def test_every_kind_has_a_heading_with_its_count_and_a_row_a_component(annpipe: Cli) -> None:
    shown = annpipe("list")
    assert shown.returncode == 0, shown.stderr
    sections = shown.stdout.split("\n\n")
    assert len(sections) == 12
    for section in sections:
        heading, *rows = section.strip("\n").splitlines()
        assert f" ({len(rows)}): " in heading
        assert all(row.startswith("  ") for row in rows)


def test_a_kind_lists_only_its_own(annpipe: Cli) -> None:
    shown = annpipe("list", "optimizer")
    names = [line.split()[0] for line in shown.stdout.splitlines()[1:]]
    assert {"Adam", "SGD", "LBFGS"} <= set(names)
    assert names == sorted(names, key=str.casefold)
    assert "Linear" not in names


def test_json_has_every_component(annpipe: Cli) -> None:
    rows = json.loads(annpipe("list", "--json").stdout)
    assert {"kind": "loss", "name": "L1Loss"}.items() <= next(row for row in rows if row["name"] == "L1Loss").items()
    assert len(rows) > 200
    assert {row["origin"].split()[0] for row in rows} == {"annpipe", "torch"}


def test_an_unknown_kind_suggests_the_nearest(annpipe: Cli) -> None:
    refused = annpipe("list", "optimiser")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "there is no kind 'optimiser': did you mean 'optimizer'?" in refused.stderr


@pytest.mark.slow
def test_a_plugin_file_is_listed_among_the_others(annpipe: Cli, tmp_path: Path) -> None:
    (tmp_path / "swish.py").write_text(SWISH)
    shown = annpipe("list", "layer", "--plugin", "swish.py", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert "  Swish " in shown.stdout
    assert "x times sigmoid(beta x)." in shown.stdout


def test_a_plugin_file_that_is_not_there_is_said_so(annpipe: Cli) -> None:
    refused = annpipe("list", "--plugin", "nowhere.py")
    assert refused.returncode == 2
    assert "there is no plugin file 'nowhere.py'" in refused.stderr


def test_a_broken_installed_plugin_is_a_warning_and_breaks_nothing(annpipe: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site"
    information = site / "broken-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[annpipe.plugins]\nbroken = broken_plugin\n")
    (site / "broken_plugin.py").write_text("x = 1\nraise RuntimeError('no luck')\n")
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    shown = annpipe("list", "loss", PYTHONPATH=path)
    assert shown.returncode == 0
    assert "L1Loss" in shown.stdout
    assert "warning[plugin-import]: the plugin raised RuntimeError on import: no luck" in shown.stderr
    assert "broken_plugin.py:2:1" in shown.stderr


@pytest.mark.parametrize("words", [["list"], ["list", "layer"], ["show", "Linear"], ["show", "nothing"]])
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    """Names, options and examples come from the index: torch, mlflow and pydantic stay out."""
    script = (
        "import sys\nfrom annpipe.cli import outcome\n"
        f"sys.argv = ['annpipe', *{words!r}]\n"
        "outcome()\n"
        "heavy = {'torch', 'mlflow', 'pydantic', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
