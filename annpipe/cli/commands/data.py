"""`annpipe data SPEC`: what was read: rows and splits, every column, the balance of classes, first rows, and leaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.options import spec_argument, untrusted_option, value_options

if TYPE_CHECKING:
    from annpipe.datasets.inspect import SplitData
    from annpipe.datasets.profile import Column, Profile
    from annpipe.draft.data_only import DataDraft
    from annpipe.errors import Problem

MAX_COLUMNS = 100  # lines of a table; --json has all
MAX_LETTERS = 32
FREQUENT = 4  # categories named in a line
HEADINGS = ("column", "role", "type", "missing", "different", "min", "mean", "std", "max", "most frequent")


@click.command("data")
@spec_argument
@value_options
@untrusted_option
@click.option("--rows", type=click.IntRange(min=0), default=5, help="So many of the first rows; 5 if left out.")
@click.option(
    "-o", "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Draw the columns: .svg, .png or .pdf."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    spec: Path,
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    untrusted: bool,
    rows: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Show the data that SPEC reads or makes, and warn of leaks; the rest of SPEC need not be written yet."""
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.launch import read_data

    drafted = read_data(spec, overrides=overrides, unset=unset, untrusted=untrusted)
    if figure:
        _check_ending(figure)

    from annpipe.datasets.inspect import load_for_inspection
    from annpipe.datasets.leaks import all_findings
    from annpipe.datasets.profile import profile

    split_data = load_for_inspection(drafted)
    found, warnings = profile(split_data.dataset, split_data.splits, rows), list(all_findings(split_data))
    if figure:
        draw(drafted, split_data, figure)
    click.echo(as_json_text(split_data, found, warnings, figure) if as_json else said(split_data, found, figure))
    if not as_json:
        display = RunDisplay()
        for warning in warnings:
            display.warn(warning)


def said(split_data: SplitData, found: Profile, figure: Path | None = None) -> str:
    """The profile for a person."""
    from annpipe.cli.views.plan import said as component

    head = [
        split_data.spec.head.name,
        "",
        f"data     {component(split_data.data, split_data.data.options.keys() - split_data.data.nodes.keys())}",
        f"rows     {_sizes(found)}",
    ]
    head += [f"figure   {figure}"] if figure else []
    parts = ["\n".join(head), "\n".join(_columns(found.columns))]
    parts += ["\n".join(_balance(target, found)) for target in found.classes]
    parts += ["\n".join(_first_rows(found))] if any(found.first.values()) else []
    return "\n\n".join(parts)


def _sizes(found: Profile) -> str:
    """`344: train 207 (60.2%), val 51 (14.8%), test 86 (25.0%)`."""
    if len(found.rows) == 1:
        return f"{found.total:,}, all to train on"
    return f"{found.total:,}: " + ", ".join(
        f"{name} {count:,} ({count / found.total:.1%})" for name, count in found.rows.items()
    )


def _columns(columns: Sequence[Column]) -> Iterator[str]:
    """A line a column; what no column has is left out of the headings."""
    rows = [HEADINGS, *(_row(column) for column in columns[:MAX_COLUMNS])]
    used = [place for place in range(len(HEADINGS)) if any(row[place] for row in rows[1:])]
    yield from _aligned([[row[place] for place in used] for row in rows], right=[5 <= place <= 8 for place in used])
    if len(columns) > MAX_COLUMNS:
        yield f"… and {len(columns) - MAX_COLUMNS:,} more columns: --json has all"


def _row(column: Column) -> tuple[str, ...]:
    shape = f" ({', '.join(map(str, column.shape))})" if column.shape else ""
    frequent = ", ".join(f"{_short(word)} {count:,}" for word, count in column.frequent[:FREQUENT])
    frequent += ", …" if len(column.frequent) > FREQUENT else ""
    return (
        _short(column.name),
        column.role,
        column.type + shape,
        f"{column.missing:,}" if column.missing else "",
        "" if column.distinct is None else f"{column.distinct:,}",
        *(_number(value) for value in (column.least, column.mean, column.deviation, column.greatest)),
        "another in every row: a key?" if column.is_key else frequent,
    )


def _balance(target: str, found: Profile) -> Iterator[str]:
    """A line a class: how many rows of each split have it, and which share of the split that is."""
    rows = [[f"class of {_short(target)}", *found.rows]]
    counts = found.classes[target]
    for word, of in list(counts.items())[:MAX_COLUMNS]:
        shares = [f"{of[part]:,} ({of[part] / max(n, 1):.1%})" for part, n in found.rows.items()]
        rows.append([_short(word), *shares])
    yield from _aligned(rows, right=[False, *(True for _ in found.rows)])
    if len(counts) > MAX_COLUMNS:
        yield f"… and {len(counts) - MAX_COLUMNS:,} more classes: --json has all"


def _first_rows(found: Profile) -> Iterator[str]:
    """A line a column, a row beside the other: a table of many columns stays as narrow as one of few."""
    shown = {name: values for name, values in found.first.items() if values}
    rows = [["first rows", *(str(number + 1) for number in range(len(next(iter(shown.values())))))]]
    rows += [[_short(name), *(_value(value) for value in values)] for name, values in list(shown.items())[:MAX_COLUMNS]]
    yield from _aligned(rows, right=[False, *(True for _ in rows[0][1:])])


def _value(value: object) -> str:
    return "-" if value is None else _number(value) if isinstance(value, float) else _short(str(value))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _short(text: str) -> str:
    from annpipe.errors import one_line

    return one_line(text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…")


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, right, strict=True)
        yield "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width) for cell, width, at_right in cells
        ).rstrip()


def as_json_text(split_data: SplitData, found: Profile, warnings: Sequence[Problem], figure: Path | None) -> str:
    """Everything for programs; a number that is not finite is null, since JSON has none."""
    from annpipe.cli.problems import as_data
    from annpipe.datasets.steps.digest import dataset_digest

    data: dict[str, Any] = {
        "name": split_data.spec.head.name,
        "data": split_data.data.to_data(),
        "digest": dataset_digest(split_data.dataset),
        "rows": found.total,
        "splits": dict(found.rows),
        "columns": [asdict(column) for column in found.columns],
        "classes": found.classes,
        "first_rows": found.first,
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


def draw(drafted: DataDraft, split_data: SplitData, path: Path) -> None:
    """The figure that the plot `columns` makes of these splits before any training."""
    from annpipe.files.figures import write_figure
    from annpipe.train.loop.figures import view_of_data

    entry = drafted.registry.entry("plot", "columns")
    figure = drafted.registry.load(entry)(view_of_data(split_data.spec.head.name, split_data.splits))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_figure(figure, path)


def _check_ending(path: Path) -> None:
    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise click.UsageError(f"--figure {path}: a figure is written as .svg, .png or .pdf")
