"""Tools to test what is built on annpipe: `compare_with_solo` holds runs that train together against each run alone."""

from __future__ import annotations

from annpipe.testing.solo import Difference, SoloComparison, compare_with_solo

__all__ = ["Difference", "SoloComparison", "compare_with_solo"]
