"""Plugin files in a temporary folder and a cache of their own."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index cache of this test alone."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a plugin file: `write("swish.py", source)`."""

    def to_file(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    return to_file


@pytest.fixture
def install(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a distribution with an entry point: `install("fancy", {"fancy_plugin.py": source})`."""
    modules = set(sys.modules)

    def put(name: str, files: dict[str, str], *, value: str = "", version: str = "1.0") -> Path:
        site = tmp_path / f"site_{name}"
        for file, source in files.items():
            write(f"site_{name}/{file}", source)
        information = f"site_{name}/{name}-{version}.dist-info"
        write(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        module = value or next(iter(files), "none").partition("/")[0].removesuffix(".py")
        write(f"{information}/entry_points.txt", f"[annpipe.plugins]\n{name} = {module}\n")
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        return site

    yield put
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
