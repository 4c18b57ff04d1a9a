"""`TableOptions` and `CsvOptions`: the options of the data components `parquet` and `csv` as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annpipe import UTF8, CellFormat, OptionError, TextCounts, check_encoding, fault_of_format
from annpipe_std.tables.columns import Type
from annpipe_std.tables.csv_format import CsvFormat
from annpipe_std.tables.files import MISSING, Paths

Names = str | list[str]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """The files of a table, and which columns are read for what; `aside` are those that serve the split alone."""

    files: Paths
    target: Names
    features: Names | None = None
    ignore: Names | None = None
    types: Mapping[str, Type] | None = None
    drop_missing: Names | None = None
    texts: Mapping[str, Mapping[str, Any]] | None = None
    dates: Sequence[str] = ()
    aside: Sequence[str] = ()

    def cell_format(self) -> CellFormat:
        """How cells of text are written; raises OptionError for formats of dates that name no day."""
        for text in self.dates:
            if fault := fault_of_format(text):
                help_ = "as in `dates: ['%d.%m.%Y', '%d.%m.%Y %H:%M']`"
                raise OptionError("dates", f"'{text}' {fault}", help=help_)
        return CellFormat(dates=tuple(self.dates))

    def text_counts(self) -> dict[str, TextCounts]:
        """How each column of text is counted; raises OptionError for options that do not fit."""
        of_types: dict[str, Mapping[str, Any]] = {
            name: {} for name, type_ in (self.types or {}).items() if type_ == "text"
        }
        counts, faults = {}, []
        for name, options in {**of_types, **(self.texts or {})}.items():
            try:
                counts[name] = TextCounts.of(options)
            except ValueError as error:
                option, message, help_ = error.args
                faults.append(OptionError(f"texts.{name}.{option}", message, help=help_))
        if faults:
            raise OptionError.of_all(faults)
        return counts


@dataclass(frozen=True, kw_only=True)
class CsvOptions(TableOptions):
    """Options of a table in CSV files: also how cells are separated, and numbers and missing values are written."""

    missing: Sequence[str] = MISSING
    delimiter: str = ","
    decimal: str = "."
    thousands: str | None = None
    units: Sequence[str] = ()
    names: Sequence[str] | None = None
    encoding: str = UTF8
    skip_rows: int = 0

    def csv_format(self) -> CsvFormat:
        """How the files are written; raises OptionError for signs that would be taken for others."""
        for option, sign in (("delimiter", self.delimiter), ("decimal", self.decimal)):
            if len(sign) != 1 or not sign.isascii():
                raise OptionError(option, f"must be one character; found '{sign}'", help="as in `delimiter: ';'`")
        thousands = self.thousands
        if thousands and (len(thousands) != 1 or thousands == self.decimal or thousands.isalnum() or thousands in "+-"):
            message = f"must be one sign that is not the decimal point; found '{thousands}'"
            raise OptionError("thousands", message, help='as in `thousands: ","` for 1,234.5')
        wrong = next((unit for unit in self.units if not unit.strip() or any(c.isdigit() for c in unit[:1])), None)
        if wrong is not None:
            raise OptionError("units", f"'{wrong}' is no unit", help='as in `units: ["€", kg]`')
        if fault := check_encoding(self.encoding):
            raise OptionError("encoding", fault[0], help=fault[1])
        units = tuple(unit.strip() for unit in self.units)
        dates = self.cell_format().dates
        cells = CellFormat(self.decimal, thousands or "", units, tuple(self.missing), dates)
        names = tuple(self.names) if self.names else None
        return CsvFormat(self.delimiter, names, cells, self.encoding, self.skip_rows)
