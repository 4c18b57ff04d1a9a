"""Sweeps over everything there is: the quick suite takes a sample of them, the slow one the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sample(cases: Iterable[Any], step: int, first: int = 0) -> list[Any]:
    """All cases as parameters; those but each `step`-th, beginning with the `first`, are marked slow."""
    return [case if number % step == first else _slow(case) for number, case in enumerate(cases)]


def _slow(case: Any) -> Any:
    if isinstance(case, type(pytest.param())):
        return pytest.param(*case.values, id=case.id, marks=[*case.marks, pytest.mark.slow])
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
