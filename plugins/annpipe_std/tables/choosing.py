"""Which columns of a table are inputs, which targets? By name, list or pattern; all are the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from annpipe import Field, Fields, OptionError, did_you_mean
from annpipe_std.tables.columns import Column, Type, typed
from annpipe_std.tables.files import MISSING, Paths, Raw, found_files, read_csv, read_parquet, stamp

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Names = str | list[str]


@dataclass(frozen=True)
class Table:
    """The chosen columns of a file by role; those `aside` serve the split alone."""

    inputs: dict[str, Column]
    targets: dict[str, Column]
    aside: dict[str, Column]

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())).values)

    @property
    def fields(self) -> Fields:
        """What the table is to the engine."""
        inputs = {name: _field(column) for name, column in self.inputs.items()}
        return Fields(inputs, {name: _target_field(column) for name, column in self.targets.items()}, self.rows)


def _field(column: Column) -> Field:
    return Field(categories=column.categories, missing=column.missing, type=column.type)


def _target_field(column: Column) -> Field:
    if column.type != "category":
        return Field(categories=column.categories, type=column.type)
    return Field(dtype="int", classes=len(column.categories), categories=column.categories, type=column.type)


def csv_table(
    *,
    files: Paths,
    target: Names,
    features: Names | None = None,
    ignore: Names | None = None,
    types: Mapping[str, Type] | None = None,
    missing: Sequence[str] = MISSING,
    drop_missing: Names | None = None,
    delimiter: str = ",",
    decimal: str = ".",
    names: Sequence[str] | None = None,
    aside: Sequence[str] = (),
) -> Table:
    """The table that `csv` makes; raises OptionError where the files or names do not fit."""
    for option, sign in (("delimiter", delimiter), ("decimal", decimal)):
        if len(sign) != 1 or not sign.isascii():
            raise OptionError(option, f"must be one character; found '{sign}'", help="as in `delimiter: ';'`")
    own = tuple(names) if names else None
    raw = _csv(stamp(found_files(files)), delimiter, decimal, own, tuple(missing))
    return _chosen(raw, target, features, ignore, types or {}, tuple(missing), drop_missing, aside)


def parquet_table(
    *,
    files: Paths,
    target: Names,
    features: Names | None = None,
    ignore: Names | None = None,
    types: Mapping[str, Type] | None = None,
    drop_missing: Names | None = None,
    aside: Sequence[str] = (),
) -> Table:
    """The table that `parquet` makes; raises OptionError where the files or names do not fit."""
    raw = _parquet(stamp(found_files(files)))
    return _chosen(raw, target, features, ignore, types or {}, MISSING, drop_missing, aside)


def csv_fields(**options: Any) -> Fields:
    """The columns that `csv` would make; reads the files."""
    return csv_table(**options).fields


def parquet_fields(**options: Any) -> Fields:
    """The columns that `parquet` would make; reads the files."""
    return parquet_table(**options).fields


# Checking a spec, planning and running it read the same files within a moment; one table is kept for that.
@lru_cache(maxsize=1)
def _csv(
    stamped: tuple[tuple[str, int, int], ...],
    delimiter: str,
    decimal: str,
    names: tuple[str, ...] | None,
    missing: tuple[str, ...],
) -> Raw:
    files = [file for file, _, _ in stamped]
    return read_csv(files, delimiter=delimiter, decimal=decimal, names=names, missing=missing)


@lru_cache(maxsize=1)
def _parquet(stamped: tuple[tuple[str, int, int], ...]) -> Raw:
    return read_parquet([file for file, _, _ in stamped])


def _chosen(
    raw: Raw,
    target: Names,
    features: Names | None,
    ignore: Names | None,
    types: Mapping[str, Type],
    missing: tuple[str, ...],
    drop_missing: Names | None,
    aside: Sequence[str],
) -> Table:
    every = raw.arrow.column_names
    for name in types:
        _known("types", name, every)
    targets = matching("target", target, every)
    ignored = matching("ignore", ignore or [], every)
    kept = [name for name in aside if name in every]  # a column that is not there is the split's own fault
    rest = [name for name in every if name not in {*targets, *ignored, *kept}]
    inputs = matching("features", features, every, but=targets) if features is not None else rest
    _check_roles(inputs, targets, ignored, explicit=features is not None)
    wanted = list(dict.fromkeys([*inputs, *targets, *kept]))
    columns = typed(raw, wanted, types, missing)
    _check_text(columns, inputs, targets)
    columns = _without_missing(columns, matching("drop_missing", drop_missing or [], wanted))
    table = Table(_of(columns, inputs), _of(columns, targets), _of(columns, kept))
    _check_targets(table, raw, dropped=bool(drop_missing))
    return table


def _of(columns: Mapping[str, Column], names: Sequence[str]) -> dict[str, Column]:
    return {name: columns[name] for name in names}


def matching(option: str, wanted: Names, known: Sequence[str], but: Sequence[str] = ()) -> list[str]:
    """The known names that names and patterns stand for, in their order; each must stand for one at least.

    No pattern stands for one of `but`.
    """
    found: dict[str, None] = {}
    for pattern in [wanted] if isinstance(wanted, str) else wanted:
        if pattern in known:
            found[pattern] = None
            continue
        fitting = [name for name in known if fnmatchcase(name, pattern) and name not in but]
        if not fitting:
            _known(option, pattern, known)
        found |= dict.fromkeys(fitting)
    return list(found)


def _known(option: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        what = "column fits the pattern" if any(sign in name for sign in "*?[") else "column"
        path = f"types.{name}" if option == "types" else option
        shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        help_ = did_you_mean(name, known) or f"the columns are {shown}"
        raise OptionError(
            path, f"there is no {what} '{name}'" if what == "column" else f"no {what} '{name}'", help=help_
        )


def _check_roles(inputs: Sequence[str], targets: Sequence[str], ignored: Sequence[str], *, explicit: bool) -> None:
    both = next((name for name in inputs if name in targets), None)
    if both is not None:
        raise OptionError("features", f"'{both}' is the target", help="a feature that is the target tells the answer")
    lost = next((name for name in [*inputs, *targets] if name in ignored), None)
    if lost is not None and (explicit or lost in targets):
        raise OptionError("ignore", f"'{lost}' is ignored and asked for", help="take it out of one of the two")
    if not targets:
        raise OptionError("target", "names no column", help="as in `target: price`")
    if not inputs:
        raise OptionError("features", "no column is left to learn from", help="list fewer under `ignore`")


def _check_text(columns: Mapping[str, Column], inputs: Sequence[str], targets: Sequence[str]) -> None:
    for option, names in (("features", inputs), ("target", targets)):
        for name in names:
            if columns[name].type == "text":
                message = f"the column '{name}' is text: {columns[name].distinct} different values"
                leave = f"leave it out: `ignore: [{name}]`; or " if option == "features" else ""
                raise OptionError(option, message, help=f"{leave}say `types: {{{name}: category}}`")


def _without_missing(columns: dict[str, Column], names: Sequence[str]) -> dict[str, Column]:
    """Only rows in which none of the named columns is missing."""
    if not names:
        return columns
    import numpy as np

    keep = np.ones(len(next(iter(columns.values())).values), dtype=bool)
    for name in names:
        keep &= ~np.isnan(columns[name].values)
    if not keep.any():
        raise OptionError("drop_missing", f"all {len(keep)} rows are dropped", help="list fewer columns, or impute")
    return {
        name: Column(name, column.type, column.values[keep], column.categories, column.distinct)
        for name, column in columns.items()
    }


def _check_targets(table: Table, raw: Raw, *, dropped: bool) -> None:
    import numpy as np

    for name, column in table.targets.items():
        lost = np.flatnonzero(np.isnan(column.values))
        if len(lost):
            at = f", as in {raw.where(int(lost[0]))}" if not dropped else ""
            message = f"the target '{name}' is missing in {len(lost)} of {table.rows} rows{at}"
            raise OptionError("target", message, help=f"leave such rows out: `drop_missing: [{name}]`")
        if column.type == "category" and len(column.categories) < 2:
            message = f"the target '{name}' has only one class, '{column.categories[0]}'"
            raise OptionError("target", message, help="there is nothing to tell apart")
