"""Tools to test what is built on annpipe.

`check_component` holds a component of any kind against what annpipe promises of components, `component_tests` makes
pytest cases of it, and `compare_with_solo` holds runs that train together against each run alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annpipe.testing.cases import check_component, component_tests
    from annpipe.testing.components.verdicts import ComponentReport, Verdict
    from annpipe.testing.stack.solo import Difference, SoloComparison, compare_with_solo

_HOMES = {
    "annpipe.testing.cases": ("check_component", "component_tests"),
    "annpipe.testing.components.verdicts": ("ComponentReport", "Verdict"),
    "annpipe.testing.stack.solo": ("Difference", "SoloComparison", "compare_with_solo"),
}

__all__ = [
    "ComponentReport",
    "Difference",
    "SoloComparison",
    "Verdict",
    "check_component",
    "compare_with_solo",
    "component_tests",
]


def __getattr__(name: str) -> Any:
    """Imports a name when it is first asked for: pytest reads this package at each start, and needs no torch for it."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'annpipe.testing' has no attribute {name!r}")
