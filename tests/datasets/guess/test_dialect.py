"""Tables written in a known dialect are read back to the same numbers by the options that are guessed."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annpipe.datasets.guess.dialect import guessed_dialect
from annpipe.datasets.guess.file import guessed_file, section_of
from annpipe.datasets.steps.make import make_dataset
from annpipe.draft.data_only import draft_data
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec

UNITS = (("", ""), ("$", ""), ("", " €"), ("", "%"), ("", " kg"))
DIALECTS = st.sampled_from(
    [
        *((",", ".", ""), (",", ".", ","), (";", ",", ""), (";", ",", ".")),
        *(("\t", ".", ""), ("|", ".", "'"), (";", ".", " ")),
    ]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "cp949", "utf-16", "latin-1"])


def written(number: float, decimal: str, thousands: str, unit: tuple[str, str]) -> str:
    text = f"{number:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)
    return f"{'-' * text.startswith('-')}{unit[0]}{text.lstrip('-')}{unit[1]}"


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dialect=DIALECTS,
    encoding=ENCODINGS,
    unit=st.sampled_from(UNITS),
    marker=st.sampled_from(["", "?", "-", "NA"]),
    numbers=st.lists(st.integers(-(10**7), 10**8), min_size=12, max_size=30),
)
def test_a_known_dialect_is_read_back_to_the_same_numbers(
    dialect: tuple[str, str, str], encoding: str, unit: tuple[str, str], marker: str, numbers: list[int], tmp_path: Path
) -> None:
    """Separators, units, missing words, encodings and quoted line breaks, in all combinations."""
    delimiter, decimal, thousands = dialect
    unit = ("", " kg") if "€" in unit[1] and encoding in ("latin-1", "cp949") else unit
    values = [1234567.25, -0.5, *(number / 100 for number in numbers)]
    word = {"cp949": "한국어 단어", "latin-1": "Größe"}.get(encoding, "Größe 단어")
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(["x", word.split()[0], "y"])
    for row, value in enumerate(values):
        cell = marker if row == 3 else written(value, decimal, thousands, unit)
        writer.writerow(
            [cell, [word, f"a{delimiter}b", "two\nlines"][row % 3], written(value, decimal, thousands, unit)]
        )
    file = tmp_path / "rows.csv"
    file.write_bytes(buffer.getvalue().encode(encoding))
    dataset = read_as_guessed(file, "y")
    assert dataset.targets["y"].tolist() == values
    x = dataset.inputs["x"].tolist()
    assert [n for n in range(len(values)) if math.isnan(x[n])] == [3]
    assert [x[n] for n in range(len(values)) if n != 3] == [values[n] for n in range(len(values)) if n != 3]


def read_as_guessed(file: Path, target: str) -> Any:
    """The dataset of the section that is printed for a file."""
    spec = file.with_suffix(".yaml")
    data = json.dumps(section_of(guessed_file(str(file)), [target]))
    spec.write_text(f"version: 1\nname: x\ndata: {data}\n", encoding="utf-8")
    drafted = draft_data(load_spec(spec), Registry.installed(), project=file.parent)
    return make_dataset(drafted.data, 0)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,b\n1,2\n3,4\n", {}),
        ('a,b\n"32,044.42",x\n"1,000",y\n', {"thousands": ","}),
        ("a;b;c\n1,5;2,5;x\n3,5;4,5;y\n", {"delimiter": ";", "decimal": ","}),
        (
            "a;b\n1.234,50 €;5 %\n2,00 €;7,5 %\n",
            {"delimiter": ";", "decimal": ",", "thousands": ".", "units": ["%", "€"]},
        ),
        ("a,b\n$32044,x\n$5,y\n", {"units": ["$"]}),
        ("1;2\n3;4\n", {"delimiter": ";", "names": ["column_1", "column_2"]}),
        ("a,a,b\n1,2,3\n", {"skip_rows": 1, "names": ["a", "a_2", "b"]}),
        ("a,a,a_2\n1,2,3\n", {"skip_rows": 1, "names": ["a", "a_3", "a_2"]}),
        ("Sales of 2020\n\na;b;c\n1;2;3\n4;5;6\n", {"delimiter": ";", "skip_rows": 2}),
        ("a,d\n?,31/12/2020\n5,01/02/2020\n", {"missing": ["", "?"], "dates": ["%d/%m/%Y"]}),
        ("a,d\n1,2020-12-31\n5,2020-01-31 08:00\n", {}),
        (",a\n0,1.5\n1,2.5\n", {}),
        ('a,b\n"x, y; z","line\nbreak"\n"q",r\n', {}),
        ("t,v\n12:30,1\n12:45,2\n", {}),
        ("a\n1\n2\n", {}),
    ],
)
def test_what_is_guessed(text: str, options: dict[str, Any]) -> None:
    assert guessed_dialect(text).options() == options


def test_doubts_are_noted() -> None:
    """Orders of day and month, signs that may be either, columns without a name, lines that are no rows."""
    assert guessed_dialect("d,v\n01/02/2020,1\n02/03/2020,2\n").notes == (
        "'01/02/2020' is read as %d/%m/%Y, and may be %m/%d/%Y",
    )
    assert guessed_dialect('v,w\n"1,234",a\n"5,678",b\n').notes == ("'1,234' is read with ',' between thousands",)
    assert guessed_dialect(",a\n0,1\n").notes == ("column 1 has no name, as an index has none",)
    assert guessed_dialect("1,2\n3,4\n").notes == ("the first row has values, not names",)
    assert guessed_dialect("made in 2020\na,b\n1,2\n3,4\n5,6\n7,8\n8,9\n1,2\n1,2\n1,2\n1,2\n").notes == (
        "the first line is no row",
    )
