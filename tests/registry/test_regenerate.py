"""`python -m annpipe.registry.regenerate`: the index inside a package, made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.registry.regenerate import main


def package(site: Path, name: str, source: str) -> Path:
    folder = site / name
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A plugin."""\n', encoding="utf-8")
    (folder / "bars.py").write_text(source, encoding="utf-8")
    return folder / "annpipe_index.json"


def test_it_writes_the_index_into_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files relative to the folder that the package lies in, the same at every run."""
    monkeypatch.syspath_prepend(tmp_path)
    source = 'from annpipe import plot\n\n\n@plot\ndef regenerated(view):\n    """Bars."""\n'
    index = package(tmp_path, "regenerated_plugin", source)
    assert main(["regenerated_plugin"]) == 0
    first = index.read_bytes()
    assert main(["regenerated_plugin"]) == 0
    assert index.read_bytes() == first
    (row,) = json.loads(first)["entries"]
    assert (row["name"], row["file"], row["line"]) == ("regenerated", "regenerated_plugin/bars.py", 5)


def test_a_fault_is_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of a plugin's fault."""
    monkeypatch.syspath_prepend(tmp_path)
    index = package(tmp_path, "unregenerated_plugin", "1 / 0\n")
    assert main(["unregenerated_plugin"]) == 3
    assert "bars.py:1:1" in capsys.readouterr().err
    assert not index.exists()


@pytest.mark.parametrize(("names", "said"), [([], "usage"), (["no_such_plugin"], "no package 'no_such_plugin'")])
def test_without_a_package_it_says_so(names: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A use that cannot succeed ends with code 2."""
    assert main(names) == 2
    assert said in capsys.readouterr().err
