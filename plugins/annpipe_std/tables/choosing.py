"""Chooses the inputs and targets among the columns of a table, by name, list or pattern; all others are inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from annpipe import CellFormat, Field, Fields, OptionError, Remark, did_you_mean
from annpipe_std.tables.columns import MOST_COUNTED, Column, Found, Type, missing_rows
from annpipe_std.tables.csv_format import CsvFormat
from annpipe_std.tables.files import Raw, found_files, read_csv, read_json_lines, read_parquet, stamp
from annpipe_std.tables.inspector import gathered, typed
from annpipe_std.tables.opening import check_decoded
from annpipe_std.tables.table_options import CsvOptions, Names, TableOptions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


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
        is_alone = len(self.inputs) == 1
        inputs = {name: input_field(column, column.missing, is_alone=is_alone) for name, column in self.inputs.items()}
        targets = {name: target_field(column) for name, column in self.targets.items()}
        return Fields(inputs, targets, self.rows)


def input_field(column: Column | Found, missing: int, *, is_alone: bool) -> Field:
    """What a column is to the engine as an input; the only one may well be the number of a row."""
    remarks = tuple(remark for remark in column.remarks if not (is_alone and remark.is_leak))
    field = Field(categories=column.categories, missing=missing, type=column.type, remarks=remarks)
    if column.counted is None:
        return field
    return replace(field, shape=(column.counted.n_features,), counted=column.counted.to_data())


def target_field(column: Column | Found) -> Field:
    """What a column is to the engine as a target."""
    categories, type_ = column.categories, column.type
    remarks = tuple(remark for remark in column.remarks if not remark.is_leak)
    if type_ != "category":
        return Field(categories=categories, type=type_, remarks=remarks)
    return Field(dtype="int", classes=len(categories), categories=categories, type=type_, remarks=remarks)


def csv_table(options: CsvOptions) -> Table:
    """The table that `csv` makes; raises OptionError where the files or names do not fit."""
    form = options.csv_format()
    raw = _csv(stamp(found_files(options.files)), form, read_as_text(options.types) | frozenset(options.texts or {}))
    return _chosen(raw, options, form.cells)


def read_as_text(types: Mapping[str, Type] | None) -> frozenset[str]:
    """The columns that are read as text: those whose type an option sets, but for numbers."""
    return frozenset(name for name, type_ in (types or {}).items() if type_ != "number")


def parquet_table(options: TableOptions) -> Table:
    """The table that `parquet` makes; raises OptionError where the files or names do not fit."""
    raw = _parquet(stamp(found_files(options.files)), declared_categories(options.types))
    return _chosen(raw, options, options.cell_format())


def json_table(options: TableOptions) -> Table:
    """The table that `json_lines` makes; raises OptionError where the files or names do not fit."""
    raw = _json_lines(stamp(found_files(options.files)), declared_categories(options.types))
    return _chosen(raw, options, options.cell_format())


def declared_categories(types: Mapping[str, Type] | None) -> frozenset[str]:
    """The columns that the option `types` declares to be categories."""
    return frozenset(name for name, type_ in (types or {}).items() if type_ == "category")


# Checking a spec, planning and running it read the same files within a moment; one table is kept for that.
@lru_cache(maxsize=1)
def _csv(stamped: tuple[tuple[str, int, int], ...], form: CsvFormat, texts: frozenset[str]) -> Raw:
    return read_csv([file for file, _, _ in stamped], form, texts)


@lru_cache(maxsize=1)
def _parquet(stamped: tuple[tuple[str, int, int], ...], texts: frozenset[str]) -> Raw:
    return read_parquet([file for file, _, _ in stamped], texts)


@lru_cache(maxsize=1)
def _json_lines(stamped: tuple[tuple[str, int, int], ...], texts: frozenset[str]) -> Raw:
    return read_json_lines([file for file, _, _ in stamped], texts)


def _chosen(raw: Raw, options: TableOptions, form: CellFormat) -> Table:
    types = options.types or {}
    roles = roles_of(raw.arrow.column_names, options.target, options.features, options.ignore, types, options.aside)
    if raw.has_cell_options:
        check_decoded(raw.files, raw.arrow.schema, roles.wanted)
    text = options.text_counts()
    check_columns("texts", text, raw.arrow.column_names)
    columns = typed(raw, roles.wanted, types, form, text, partial(check_column, roles))
    columns = _without_missing(columns, matching("drop_missing", options.drop_missing or [], roles.wanted))
    table = Table(_of(columns, roles.inputs), _of(columns, roles.targets), _of(columns, roles.aside))
    _check_targets(table, raw, dropped=bool(options.drop_missing))
    return table


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they are for; those of `aside` may be inputs and targets too."""

    inputs: list[str]
    targets: list[str]
    aside: list[str]

    @property
    def wanted(self) -> list[str]:
        """Every column once."""
        return list(dict.fromkeys([*self.inputs, *self.targets, *self.aside]))


def roles_of(
    all_columns: Sequence[str],
    target: Names,
    features: Names | None,
    ignore: Names | None,
    types: Mapping[str, Type],
    aside: Sequence[str],
) -> Roles:
    """Which of all columns are inputs, targets and aside; raises OptionError where names do not fit."""
    check_columns("types", types, all_columns)
    targets = matching("target", target, all_columns)
    ignored = matching("ignore", ignore or [], all_columns)
    kept = [name for name in aside if name in all_columns]  # a column that is not there is the split's own fault
    rest = [name for name in all_columns if name not in {*targets, *ignored, *kept}]
    inputs = matching("features", features, all_columns, but=targets) if features is not None else rest
    _check_roles(inputs, targets, ignored, explicit=features is not None)
    return Roles(inputs, targets, kept)


def check_columns(option: str, names: Iterable[str], all_columns: Sequence[str]) -> None:
    """Whether there is a column of each name."""
    gathered({name: partial(_known, option, name, all_columns) for name in names})


def _of(columns: Mapping[str, Column], names: Sequence[str]) -> dict[str, Column]:
    return {name: columns[name] for name in names}


def matching(option: str, wanted: Names, known: Sequence[str], but: Sequence[str] = ()) -> list[str]:
    """The known names that names and patterns stand for, in their order; each must stand for one at least.

    No pattern stands for one of `but`.
    """
    matched: dict[str, None] = {}
    for pattern in [wanted] if isinstance(wanted, str) else wanted:
        if pattern in known:
            matched[pattern] = None
            continue
        fitting = [name for name in known if fnmatchcase(name, pattern) and name not in but]
        if not fitting:
            _known(option, pattern, known)
        matched |= dict.fromkeys(fitting)
    return list(matched)


def _known(option: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        what = "column matches the pattern" if any(sign in name for sign in "*?[") else "column"
        path = f"{option}.{name}" if option in ("types", "texts") else option
        shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        help_ = did_you_mean(name, known) or f"the columns are {shown}"
        raise OptionError(
            path, f"there is no {what} '{name}'" if what == "column" else f"no {what} '{name}'", help=help_
        )


def _check_roles(inputs: Sequence[str], targets: Sequence[str], ignored: Sequence[str], *, explicit: bool) -> None:
    both = next((name for name in inputs if name in targets), None)
    if both is not None:
        raise OptionError(
            "features", f"'{both}' is the target", help="the target cannot be its own input: take it out of `features`"
        )
    lost = next((name for name in [*inputs, *targets] if name in ignored), None)
    if lost is not None and (explicit or lost in targets):
        raise OptionError("ignore", f"'{lost}' is both ignored and used", help="take it out of one of the two")
    if not targets:
        raise OptionError("target", "names no column", help="as in `target: price`")
    if not inputs:
        raise OptionError("features", "no column is left to learn from", help="list fewer under `ignore`")


def check_column(roles: Roles, column: Column | Found, name: str) -> None:
    """Whether an input is no text that nobody said how to count, and a target neither a text nor a date."""
    if name in roles.inputs and _is_uncounted(column):
        raise _text_fault("features", name, column)
    if name in roles.targets and column.type in ("text", "date"):
        raise _target_fault(name, column)


def _is_uncounted(column: Column | Found) -> bool:
    return column.type == "text" and column.counted is None


def _target_fault(name: str, column: Column | Found) -> OptionError:
    if _is_uncounted(column):
        return _text_fault("target", name, column)
    message = f"the target '{name}' is a {column.type}, and a model predicts numbers and classes"
    return OptionError("target", message, help="take another column")


def _text_fault(option: str, name: str, column: Column | Found) -> OptionError:
    remark: Remark | None = next(iter(column.remarks), None)
    if remark:
        return OptionError(option, remark.message, help=remark.help)
    more = "more than " if column.distinct >= MOST_COUNTED else ""
    message = f"the column '{name}' is text: {more}{column.distinct} different values"
    leave = f"leave it out: `ignore: [{name}]`; count its words: `types: {{{name}: text}}`; or "
    return OptionError(
        option, message, help=f"{leave if option == 'features' else ''}say `types: {{{name}: category}}`"
    )


def _without_missing(columns: dict[str, Column], names: Sequence[str]) -> dict[str, Column]:
    """Only rows in which none of the named columns is missing."""
    if not names:
        return columns
    import numpy as np

    keep = np.ones(len(next(iter(columns.values())).values), dtype=bool)
    for name in names:
        keep &= ~missing_rows(columns[name].values)
    check_kept(int(keep.sum()), len(keep))
    return {name: replace(column, values=column.values[keep]) for name, column in columns.items()}


def check_kept(kept: int, rows: int) -> None:
    """Whether `drop_missing` leaves a row."""
    if not kept:
        raise OptionError("drop_missing", f"all {rows} rows are dropped", help="list fewer columns, or impute")


def _check_targets(table: Table, raw: Raw, *, dropped: bool) -> None:
    import numpy as np

    def check(name: str, column: Column) -> None:
        lost = np.flatnonzero(np.isnan(column.values))
        at = raw.where(int(lost[0])) if len(lost) and not dropped else ""
        check_target(name, column.type, column.categories, (len(lost), table.rows), at)

    gathered({name: partial(check, name, column) for name, column in table.targets.items()})


def check_target(name: str, type_: str, categories: Sequence[str], lost: tuple[int, int], at: str) -> None:
    """Whether no row lacks the target, and one of classes has several; `lost` is in how many of how many rows, `at`
    where first."""
    if lost[0]:
        message = f"the target '{name}' is missing in {lost[0]} of {lost[1]} rows{f', as in {at}' if at else ''}"
        raise OptionError("target", message, help=f"leave such rows out: `drop_missing: [{name}]`")
    if type_ == "category" and len(categories) < 2:
        message = f"the target '{name}' has only one class, '{categories[0]}'"
        raise OptionError("target", message, help="a target of categories needs at least two classes")
