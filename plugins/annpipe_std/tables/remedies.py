"""What to write where a CSV file is not as its options say: the options that read it, and the rows that do not fit."""

from __future__ import annotations

import json
from typing import Any

from annpipe import OptionError, guessed_dialect
from annpipe_std.tables.csv_format import CsvFormat, arrow_options
from annpipe_std.tables.opening import check_decodable, unpacked

SAMPLE = 2**18  # bytes
MOST_NAMED = 5  # rows


def reading_remedy(file: str, form: CsvFormat) -> str | None:
    """The options that read a file better than those in use, as a spec has them; None where they read it alike."""
    with unpacked(file, form.encoding) as stream:
        text = bytes(stream.read(SAMPLE)).decode("utf-8", "ignore")
    cells = form.cells
    used: dict[str, Any] = {"delimiter": form.delimiter, "skip_rows": form.skip_rows, "names": list(form.names or ())}
    used |= {"decimal": cells.decimal, "thousands": cells.thousands, "units": list(cells.units)}
    guessed = guessed_dialect(text).options()
    new = {name: value for name, value in guessed.items() if name in used and value != used[name]}
    if not new:
        return None
    options = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in new.items())
    return f"write `{options}`, which reads it"


def check_even(file: str, form: CsvFormat) -> None:
    """Raises OptionError where rows have other numbers of cells than the first: with the first of them."""
    import pyarrow as pa
    from pyarrow import csv

    check_decodable([file], form.encoding)  # bytes of another encoding hold delimiters by chance
    uneven: list[tuple[int | None, int, int]] = []

    def passed_over(row: Any) -> str:
        uneven.append((row.number, row.actual_columns, row.expected_columns))
        return "skip"

    reading, parsing, converting = arrow_options(form)
    reading.use_threads = False  # then Arrow tells the lines
    parsing.invalid_row_handler = passed_over
    converting.column_types = {}
    try:
        with (
            unpacked(file, form.encoding) as stream,
            csv.open_csv(stream, read_options=reading, parse_options=parsing) as reader,
        ):
            for _ in reader:
                pass
    except pa.ArrowInvalid:
        if not uneven:
            return
    if uneven:
        named = ", ".join(f"line {number} has {count}" for number, count, _ in uneven[:MOST_NAMED])
        more = f", and so have {len(uneven) - MOST_NAMED:,} more" * (len(uneven) > MOST_NAMED)
        message = f"'{file}' has rows whose number of cells is not {uneven[0][2]}, that of the first: {named}{more}"
        help_ = reading_remedy(file, form) or "correct or remove them; a cell that holds the delimiter stands in quotes"
        raise OptionError("files", message, help=help_)
