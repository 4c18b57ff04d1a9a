"""`annpipe plugins why`: where a component comes from, or why it is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import CliHere
from tests.registry.installing import install

GATE = "import torch\n\nfrom annpipe import layer\n\n\n@layer\nclass {name}(torch.nn.Module):\n    pass\n"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("standardize", 0, "the transform 'standardize' comes from annpipe "),
        ("layer/Linear", 0, "the layer 'Linear' comes from torch 2."),
        ("metric/Linear", 2, "there is no metric 'Linear': it is a layer"),
        ("Liner", 2, "no plugin defines a component 'Liner': did you mean 'Linear'"),
        ("Dense", 2, "there is no layer 'Dense': it is called 'Linear' here"),
        ("Qwertz", 2, "no plugin defines a component 'Qwertz': `annpipe list` shows all"),
        ("", 2, "say which name"),
        ("layer/", 2, "say which name"),
        ("a\nb", 2, "no plugin defines a component 'a\\nb'"),
        ("lyer/Linear", 2, "there is no kind 'lyer': did you mean 'layer'?"),
    ],
)
def test_a_name_is_explained_by_what_is_installed(annpipe_here: CliHere, name: str, code: int, said: str) -> None:
    """The exit code says whether specs may use it."""
    result = annpipe_here("plugins", "why", name)
    assert result[0] == code
    assert said in result[1] + result[2]


def test_a_file_of_the_project_says_how_a_spec_lists_it(annpipe_here: CliHere, tmp_path: Path) -> None:
    """One without a mark, which mark it lacks; one marked with another name, that; a taken name, who has it."""
    (tmp_path / "plugins").mkdir()
    text = GATE.format(name="OwnGate") + "\n\nclass Bare(torch.nn.Module):\n    pass\n"
    (tmp_path / "plugins" / "own.py").write_text(text, encoding="utf-8")
    named = GATE.format(name="LongName").replace("@layer", '@layer(name="short_name")')
    (tmp_path / "plugins" / "named.py").write_text(named, encoding="utf-8")
    (tmp_path / "plugins" / "taken.py").write_text(GATE.format(name="ReLU"), encoding="utf-8")
    code, out, _ = annpipe_here("plugins", "why", "OwnGate")
    assert code == 0
    assert "`plugins: [plugins/own.py]`; it is defined at plugins/own.py:7" in out
    code, out, _ = annpipe_here("plugins", "why", "Bare")
    assert code == 2
    assert "plugins/own.py:11 defines 'Bare' without a mark" in out
    assert "is called 'short_name' in specs" in annpipe_here("plugins", "why", "LongName")[1]
    code, out, _ = annpipe_here("plugins", "why", "short_name")
    assert (code, out.count("\n")) == (0, 1)
    out = annpipe_here("plugins", "why", "ReLU")[1]
    assert "the layer 'ReLU' comes from torch" in out
    assert "of this project, defined at plugins/taken.py:7, cannot be used: torch 2." in out


def test_a_broken_distribution_is_shown_at_its_line(annpipe_here: CliHere, site: Path) -> None:
    """The last line of the plugin that led to the error, though that came from deeper."""
    text = "import json\n\njson.loads('{')\n" + GATE.format(name="BrokenGate")
    install(site, "broken_gates", text)
    code, out, _ = annpipe_here("plugins", "why", "BrokenGate")
    assert code == 2
    assert "'BrokenGate' is defined by broken_gates 1.2, which cannot be used:" in out
    assert "raised JSONDecodeError on import" in out
    assert "site/broken_gates.py:3:1" in out
    assert "json.loads('{')" in out


def test_a_distribution_that_was_there_before_is_named(annpipe_here: CliHere, site: Path) -> None:
    """Its components are remembered from when they were used."""
    install(site, "gone_gates", GATE.format(name="GoneGate"))
    assert annpipe_here("plugins", "why", "GoneGate")[0] == 0
    shutil.rmtree(site / "gone_gates-1.2.dist-info")
    code, out, _ = annpipe_here("plugins", "why", "GoneGate")
    assert code == 2
    assert "gone_gates had the layer 'GoneGate' when it was last used, and is not installed here" in out
    assert "pip install gone_gates" in out


def test_a_distribution_in_the_project_that_is_not_installed_is_named(annpipe_here: CliHere) -> None:
    """As `annpipe new plugin` leaves it."""
    assert annpipe_here("new", "plugin", "tides", "--kind", "layer=TidesGate")[0] == 0
    code, out, _ = annpipe_here("plugins", "why", "TidesGate")
    assert code == 2
    assert "defined at annpipe-tides/annpipe_tides/tides_gate.py:12 by annpipe-tides, which is not installed" in out
    assert "`python -m pip install -e annpipe-tides`" in out
