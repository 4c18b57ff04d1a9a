"""The values that a run recorded: at its end, at their best, and over its epochs."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.record.journal import journal
from annpipe.record.journal.lines import points

if TYPE_CHECKING:
    import pandas as pd

SUMMARIES = ("final/", "best/", "evaluated/")  # values that are of no epoch


@dataclass(frozen=True)
class RunMetrics:
    """What the journal of a run says: `final` and `best` by metric key, `history` by epoch and key."""

    folder: Path

    @property
    def final(self) -> Mapping[str, float]:
        """The values at the end, by key, as `val/loss`; empty for a run that did not finish."""
        return self._summary("final/")

    @property
    def best(self) -> Mapping[str, float]:
        """The best values of the epochs, by key."""
        return self._summary("best/")

    @property
    def evaluated(self) -> Mapping[str, float]:
        """The values on other rows, by their name and key, as `march/accuracy`; the last where there are several."""
        return self._summary("evaluated/")

    @property
    def history(self) -> pd.DataFrame:
        """A row for each epoch and a column for each key; NaN where an epoch has no value of it."""
        import pandas as pd

        series: dict[str, dict[int, float]] = {}
        for key, step, value in self._points:
            if not key.startswith(SUMMARIES):
                series.setdefault(key, {})[step] = value
        columns = {key: pd.Series(values, dtype=float) for key, values in series.items()}
        return pd.DataFrame(columns).rename_axis("epoch")

    @cached_property
    def _points(self) -> list[tuple[str, int, float]]:
        return [point[:3] for event in journal.read(self.folder) for point in points(event)]

    def _summary(self, prefix: str) -> dict[str, float]:
        return {key.removeprefix(prefix): value for key, _, value in self._points if key.startswith(prefix)}

    def __repr__(self) -> str:
        return f"<metrics of {self.folder.name}: {', '.join(f'{k} {v:.6g}' for k, v in self.final.items()) or 'none'}>"

    def _repr_html_(self) -> str:
        return values_table(self.final)


def values_table(values: Mapping[str, float]) -> str:
    """Values by key as a table of HTML."""
    rows = (f"<tr><td>{html.escape(key)}</td><td>{value:.6g}</td></tr>" for key, value in sorted(values.items()))
    return f"<table><tbody>{''.join(rows)}</tbody></table>" if values else "<p>no values</p>"
