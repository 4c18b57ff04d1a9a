"""The text of `annpipe data`: a profile of the data for a person, and everything as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.cli.problems import as_data
from annpipe.cli.views.plan import component_text
from annpipe.cli.views.text import aligned
from annpipe.errors import one_line, shortened
from annpipe.portable.cell_dates import date_text

if TYPE_CHECKING:
    from annpipe.datasets.inspect import SplitData
    from annpipe.datasets.profile import Column, Profile
    from annpipe.errors import Problem

MAX_COLUMNS = 100  # lines of a table; --json has all
MAX_LENGTH = 32
MAX_FREQUENT = 4  # categories named in a line
HEADINGS = ("column", "role", "type", "missing", "different", "min", "mean", "std", "max", "most frequent")


def as_text(split_data: SplitData, table: Profile, figure: Path | None = None) -> str:
    """The profile for a person."""
    head = [
        split_data.spec.head.name,
        "",
        f"data     {component_text(split_data.data, split_data.data.options.keys() - split_data.data.nodes.keys())}",
        f"rows     {_sizes(table)}",
    ]
    head += [f"figure   {figure}"] if figure else []
    parts = ["\n".join(head), "\n".join(_columns(table.columns))]
    parts += ["\n".join(_balance(target, table)) for target in table.classes]
    parts += ["\n".join(_first_rows(table))] if any(table.first.values()) else []
    return "\n\n".join(parts)


def _sizes(table: Profile) -> str:
    """`344: train 207 (60.2%), val 51 (14.8%), test 86 (25.0%)`."""
    if len(table.rows) == 1:
        return f"{table.total:,}, all to train on"
    return f"{table.total:,}: " + ", ".join(
        f"{name} {count:,} ({count / table.total:.1%})" for name, count in table.rows.items()
    )


def _columns(columns: Sequence[Column]) -> Iterator[str]:
    """A line a column; what no column has is left out of the headings."""
    rows = [HEADINGS, *(_row(column) for column in columns[:MAX_COLUMNS])]
    used = [column for column in range(len(HEADINGS)) if any(row[column] for row in rows[1:])]
    yield from aligned([[row[column] for column in used] for row in rows], [5 <= column <= 8 for column in used])
    if len(columns) > MAX_COLUMNS:
        yield f"… and {len(columns) - MAX_COLUMNS:,} more columns: --json has all"


def _row(column: Column) -> tuple[str, ...]:
    shape = f" ({', '.join(map(str, column.shape))})" if column.shape else ""
    frequent = ", ".join(f"{_short(word)} {count:,}" for word, count in column.frequent[:MAX_FREQUENT])
    frequent += ", …" if len(column.frequent) > MAX_FREQUENT else ""
    return (
        _short(column.name),
        column.role,
        column.type + shape,
        f"{column.missing:,}" if column.missing else "",
        "" if column.distinct is None else f"{column.distinct:,}",
        *_range(column),
        "another in every row: a key?" if column.is_key else frequent,
    )


def _range(column: Column) -> tuple[str, ...]:
    """Least, mean, deviation and greatest; of dates the first and the last."""
    if column.type == "date" and column.least is not None and column.greatest is not None:
        return (date_text(column.least), "", "", date_text(column.greatest))
    return tuple(_number(value) for value in (column.least, column.mean, column.deviation, column.greatest))


def _balance(target: str, table: Profile) -> Iterator[str]:
    """A line a class: how many rows of each split have it, and which part of the split that is."""
    rows = [[f"class of {_short(target)}", *table.rows]]
    counts = table.classes[target]
    for word, of in list(counts.items())[:MAX_COLUMNS]:
        counts_and_parts = [f"{of[part]:,} ({of[part] / max(n, 1):.1%})" for part, n in table.rows.items()]
        rows.append([_short(word), *counts_and_parts])
    yield from aligned(rows, right=[False, *(True for _ in table.rows)])
    if len(counts) > MAX_COLUMNS:
        yield f"… and {len(counts) - MAX_COLUMNS:,} more classes: --json has all"


def _first_rows(table: Profile) -> Iterator[str]:
    """A line a column, a row beside the other: a table of many columns stays as narrow as one of few."""
    shown = {name: values for name, values in table.first.items() if values}
    rows = [["first rows", *(str(number + 1) for number in range(len(next(iter(shown.values())))))]]
    rows += [[_short(name), *(_value(value) for value in values)] for name, values in list(shown.items())[:MAX_COLUMNS]]
    yield from aligned(rows, right=[False, *(True for _ in rows[0][1:])])


def _value(value: object) -> str:
    return "-" if value is None else _number(value) if isinstance(value, float) else _short(str(value))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _short(text: str) -> str:
    return shortened(one_line(text), MAX_LENGTH)


def as_json_text(split_data: SplitData, table: Profile, warnings: Sequence[Problem], figure: Path | None) -> str:
    """Everything for programs; a number that is not finite is null, since JSON has none."""
    from annpipe.datasets.steps.make import dataset_digest

    data: dict[str, Any] = {
        "name": split_data.spec.head.name,
        "data": split_data.data.to_data(),
        "digest": dataset_digest(split_data.dataset),
        "rows": table.total,
        "splits": dict(table.rows),
        "columns": [asdict(column) for column in table.columns],
        "classes": table.classes,
        "first_rows": table.first,
        "warnings": [as_data(problem) for problem in warnings],
    }
    return json.dumps(_strict(data | ({"figure": str(figure)} if figure else {})), indent=2, ensure_ascii=False)


def _strict(value: Any) -> Any:
    match value:
        case float():
            return value if value - value == 0 else None
        case Mapping():
            return {key: _strict(item) for key, item in value.items()}
        case list() | tuple():
            return [_strict(item) for item in value]
    return value
