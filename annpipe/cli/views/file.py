"""The text of `annpipe data FILE`: what a file seems to hold, how a spec would read it, and what to type next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from annpipe.cli.views.text import aligned
from annpipe.datasets.guess.file import section_of
from annpipe.errors import one_line, shortened
from annpipe.registry.examples import as_yaml

if TYPE_CHECKING:
    from annpipe.datasets.guess.columns import ColumnGuess
    from annpipe.datasets.guess.file import FileGuess

MAX_COLUMNS = 100  # lines of a table; --json has all
MAX_LENGTH = 24
HEADINGS = ("column", "type", "missing", "different", "least", "greatest", "examples", "")
NEXT = "put this section into a spec beside model, loss, optimizer and train; `annpipe data SPEC` shows what it reads"
REMARKS = {
    "identifier": "an identifier: left out",
    "constant": "constant: left out",
    "row number": "the number of the row: left out",
    "empty": "empty: left out",
}


def as_text(guess: FileGuess) -> str:
    """The guess for a person."""
    rows = f"{guess.rows:,} rows" if guess.is_whole else f"the first {guess.rows:,} rows"
    head = [f"{one_line(guess.file)}: {rows}, {len(guess.columns):,} columns; types and reading are guesses"]
    parts = ["\n".join(head), "\n".join(_columns(guess))]
    faults = [f"column {_short(column.name)}: {one_line(column.faults)}" for column in guess.columns if column.faults]
    if notes := [*map(one_line, guess.notes), *faults]:
        parts.append("\n".join(["found:", *(f"  {note}" for note in notes)]))
    parts.append("\n".join(_spec(guess)))
    parts.append(f"next:\n  {NEXT}")
    return "\n\n".join(parts)


def _columns(guess: FileGuess) -> Iterator[str]:
    rows = [HEADINGS, *(_row(column) for column in guess.columns[:MAX_COLUMNS])]
    used = [column for column in range(len(HEADINGS)) if any(row[column] for row in rows[1:])]
    yield from aligned([[row[column] for column in used] for row in rows])
    if len(guess.columns) > MAX_COLUMNS:
        yield f"… and {len(guess.columns) - MAX_COLUMNS:,} more columns: --json has all"


def _row(column: ColumnGuess) -> tuple[str, ...]:
    shape = f" ({', '.join(map(str, column.shape))})" if column.shape else ""
    return (
        _short(column.name) or "(no name)",
        column.type + shape,
        f"{column.missing:,}" if column.missing else "",
        "" if column.distinct is None else f"{column.distinct:,}",
        column.least,
        column.greatest,
        ", ".join(map(_short, column.examples)),
        REMARKS.get(column.doubt or "", ""),
    )


def _spec(guess: FileGuess) -> Iterator[str]:
    """The section `data` as a spec has it; the target is the reader's to choose."""
    yield "as a spec would say it:"
    yield "  data:"
    for name, value in section_of(guess).items():
        yield f"    {name}:"
        for option, setting in value.items():
            yield f"      {_in_yaml(option)}: {_in_yaml(setting)}"
            if option in ("files", "file"):
                yield f"      # {'targets: [ARRAY]' if guess.component == 'npz' else 'target: COLUMN'}"


def _in_yaml(value: object) -> str:
    return one_line(as_yaml(value))


def _short(text: str) -> str:
    return shortened(one_line(text), MAX_LENGTH)


def as_json_text(guess: FileGuess) -> str:
    """Everything for programs."""
    data = {
        "file": guess.file,
        "component": guess.component,
        "rows": guess.rows,
        "is_whole": guess.is_whole,
        "columns": [asdict(column) for column in guess.columns],
        "notes": list(guess.notes),
        "data": section_of(guess),
    }
    return json.dumps(data, indent=2, ensure_ascii=False)
