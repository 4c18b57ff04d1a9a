"""`annpipe data FILE`, as a user types it: every format, what is found, and a section that reads the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

from tests.conftest import CliHere

N = 40
FRAME = pd.DataFrame(
    {
        "": range(N),
        "price": [f"{1000 * n + 0.5:,.2f} €" for n in range(N)],
        "sold": [f"{1 + n % 28:02}/0{1 + n % 3}/2020" for n in range(N)],
        "town": ["Bern", "Köln"] * (N // 2),
        "note": [f"the nice flat number {n}" for n in range(N)],
        "rooms": [n % 5 if n != 3 else None for n in range(N)],
    }
)


def seen(annpipe_here: CliHere, file: str) -> dict[str, Any]:
    code, printed, said = annpipe_here("data", file, "--json")
    assert code == 0, said
    data: dict[str, Any] = json.loads(printed)
    return data


def test_a_table_needs_no_spec(tmp_path: Path, annpipe_here: CliHere) -> None:
    """Types, range, missing cells, examples, what to leave out, the reading, and what to type next."""
    FRAME.to_csv(tmp_path / "flats.csv", index=False, sep=";", encoding="latin-1", errors="replace")
    code, printed, _ = annpipe_here("data", "flats.csv")
    assert code == 0
    assert "flats.csv: 40 rows, 6 columns; types and reading are guesses" in printed
    assert "the number of the row: left out" in printed
    assert "delimiter: ;" in printed
    assert "`annpipe data SPEC` shows what it reads" in printed
    guess = seen(annpipe_here, "flats.csv")
    types = {column["name"]: column["type"] for column in guess["columns"]}
    assert types == {
        "": "number", "price": "category", "sold": "date", "town": "category", "note": "text", "rooms": "number",
    } | {"price": types["price"]}  # fmt: skip
    assert guess["data"]["csv"]["types"] == {"sold": "date", "note": "text"}
    assert guess["data"]["csv"]["dates"] == ["%d/%m/%Y"]
    assert guess["data"]["csv"]["ignore"][0] == ""
    rooms = guess["columns"][-1]
    assert (rooms["missing"], rooms["least"], rooms["greatest"]) == (1, "0", "4")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.jsonl"])
def test_every_format_reads_back(name: str, tmp_path: Path, annpipe_here: CliHere) -> None:
    """The printed section is one that `annpipe data SPEC` reads."""
    frame = FRAME.drop(columns=["", "price"])
    write = {"parquet": frame.to_parquet, "jsonl": lambda to: frame.to_json(to, orient="records", lines=True)}
    write.get(name.rpartition(".")[2], lambda to: frame.to_csv(to, index=False))(tmp_path / name)
    guess = seen(annpipe_here, name)
    component = next(iter(guess["data"]))
    guess["data"][component]["target"] = "rooms"
    guess["data"][component]["drop_missing"] = "rooms"
    (tmp_path / "spec.yaml").write_text(f"version: 1\nname: x\ndata: {json.dumps(guess['data'])}\n", encoding="utf-8")
    code, printed, said = annpipe_here("data", "spec.yaml", "--json")
    assert code == 0, said
    columns = {column["name"]: column for column in json.loads(printed)["columns"]}
    assert columns["note"]["type"] == "text"
    assert (columns["sold"]["type"], json.loads(printed)["rows"]) == ("date", 39)


def test_arrays_are_listed(tmp_path: Path, annpipe_here: CliHere) -> None:
    np.savez(tmp_path / "a.npz", image=np.zeros((4, 2, 3)), label=np.array([0, 1, 2, 1]), short=np.ones(3))
    guess = seen(annpipe_here, "a.npz")
    assert [(c["name"], c["type"], c["shape"]) for c in guess["columns"]] == [
        ("image", "array", [2, 3]), ("label", "number", []), ("short", "number", []),
    ]  # fmt: skip
    assert guess["notes"] == ["the arrays differ in length: 'short' has 3 rows, the longest 4"]


def test_faults_of_rows_are_told(tmp_path: Path, annpipe_here: CliHere) -> None:
    lines = ["a,b", *(f"{n},{n}" for n in range(30)), "1,2,3", "x,1", "4"]
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode())
    code, printed, _ = annpipe_here("data", "t.csv")
    assert code == 0
    assert "begins with a byte order mark" in printed
    assert "2 rows have 3 or other numbers of cells, not 2, such as in line 32, 34" in printed
    assert "column a: 'x' in row 31 is none of the numbers" in printed


def test_names_with_line_breaks_and_codes_with_hyphens_are_no_faults(tmp_path: Path, annpipe_here: CliHere) -> None:
    """The names are one row of several lines; `A-1` is no amount in amperes."""
    rows = "".join(f"A-{n},{n % 3}.5\n" for n in range(1, 21))
    (tmp_path / "codes.csv").write_text(f'"order\nnumber",price\n{rows}')
    guess = seen(annpipe_here, "codes.csv")
    assert guess["notes"] == []
    assert [column["type"] for column in guess["columns"]] == ["category", "number"]
    assert guess["rows"] == 20


def test_what_cannot_be_read_is_an_error(tmp_path: Path, annpipe_here: CliHere) -> None:
    (tmp_path / "rows.csv").write_text("", encoding="utf-8")
    (tmp_path / "bad.parquet").write_text("no", encoding="utf-8")
    (tmp_path / "bad.npz").write_text("no", encoding="utf-8")
    assert annpipe_here("data", "rows.csv")[0] == 3
    for name in ("bad.parquet", "bad.npz"):
        code, _, said = annpipe_here("data", name)
        assert (code, "cannot be read" in said) == (3, True)
    assert "did you mean 'rows.csv'?" in annpipe_here("data", "row.csv")[2]
    code, _, said = annpipe_here("data", "rows.csv", "--set", "data.x=1")
    assert (code, "is a file of rows" in said) == (2, True)
