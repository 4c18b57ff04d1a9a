"""The caches are where the XDG base directories have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.files.cache_folder import cache_folder


@pytest.mark.parametrize(("base", "folder"), [("/x", "/x/annpipe"), ("", "/home/me/.cache/annpipe")])
def test_the_variable_names_the_folder_above(monkeypatch: pytest.MonkeyPatch, base: str, folder: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path(folder)
