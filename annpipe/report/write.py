"""Writes the report of a run, `report.html` and `README.md`, into its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from annpipe.datasets.profile import Column
from annpipe.files.whole import write_whole
from annpipe.report.bootstrap import RESAMPLES
from annpipe.report.classes import MOST_CLASSES_SHOWN
from annpipe.report.content import RunReport
from annpipe.report.pictures import reliability_diagram
from annpipe.report.render import as_html, as_markdown
from annpipe.report.wording import number, short

HTML, MARKDOWN = "report.html", "README.md"
FILES = (HTML, MARKDOWN)
MOST_FREQUENT = 3


def report_texts(report: RunReport, *, tree: bool) -> dict[str, str]:
    """The report of a run as the text of each of its files; `tree` tells that boosted trees were asked for."""
    content: dict[str, Any] = {
        "report": report,
        "resamples": number(RESAMPLES),
        "most_classes": MOST_CLASSES_SHOWN,
        "tree": tree,
        "frequent": frequent,
        "in_text": in_text,
        "reliability_diagram": reliability_diagram,
    }
    return {HTML: as_html("run", **content), MARKDOWN: as_markdown("run", **content)}


def write_texts(folder: Path, texts: Mapping[str, str]) -> Sequence[str]:
    """Writes the files into a folder, each whole or not at all; gives their names. Raises OSError."""
    for name, text in texts.items():
        write_whole(folder / name, text, sync=False)
    return tuple(texts)


def frequent(column: Column) -> str:
    """The most frequent values of a column of words with their numbers of rows."""
    if column.is_key and column.frequent:
        return "another in every row"
    words = [f"{short(word, 24)} {count:,}" for word, count in column.frequent[:MOST_FREQUENT]]
    return ", ".join(words) + (", …" if len(column.frequent) > MOST_FREQUENT else "")


def in_text(cell: str | Markup) -> str:
    """A cell where there are no pictures."""
    return "(picture)" if isinstance(cell, Markup) else cell
