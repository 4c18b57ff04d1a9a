"""What tests of compiled steps need: a cache of their own, and steps without a compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.train.gears.compiled import verify


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test learns of compiling is no other's; how fast things are decides nothing here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache" / "inductor"))
    monkeypatch.setattr(verify, "NEEDED_GAIN", 0.0)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The steps are taken as they are written, without a compiler; what was to be compiled, for each call of it."""
    calls = list[object]()

    def compile_(function: Callable[..., torch.Tensor], **options: Any) -> Callable[..., torch.Tensor]:
        def run(*taken: Any) -> torch.Tensor:
            calls.append(function)
            return function(*taken)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    return calls
