"""CSV files in encodings other than UTF-8: the option `encoding`, and what an error says of a file without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annpipe import OptionError
from annpipe_std.csv_data import csv
from tests.conftest import CliHere, Planned

KOREAN = "지역 코드,면적,y\n서울,1.5,1\n부산,2.5,0\n서울,3.5,1\n부산,4.5,0\n"
GERMAN = "größe,straße,y\n1.5,Süd,1\n2.5,Öst,0\n3.5,Süd,1\n"
SPEC = """version: 1
name: regions
data:
  csv: {files: rows.csv, target: y, encoding: cp949}
  transforms: {"지역 코드": one_hot}
model: [Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 1}
metrics: [MeanAbsoluteError]
tracking: {wait_seconds: 0}
"""


def written(folder: Path, text: str, encoding: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def inputs(**options: Any) -> tuple[dict[str, list[float]], dict[str, tuple[str, ...]]]:
    """The columns and words of all rows, in memory or in chunks."""
    made = csv(target="y", **options)
    rows = made if options.get("in_memory", True) else made.head()  # type: ignore[union-attr]
    return {name: values.tolist() for name, values in rows.inputs.items()}, dict(rows.categories)  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("text", "encoding"), [(KOREAN, "cp949"), (KOREAN, "EUC-KR"), (KOREAN, "utf-16"), (GERMAN, "latin-1")]
)
def test_a_file_is_read_in_its_encoding(tmp_path: Path, text: str, encoding: str, in_memory: bool) -> None:
    """Names and words are those of the same file in UTF-8."""
    plain = inputs(files=written(tmp_path, text, "utf-8", "plain.csv"), in_memory=in_memory)
    file = written(tmp_path, text, encoding)
    assert inputs(files=file, encoding=encoding, in_memory=in_memory) == plain


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("text", "encoding", "declared", "message", "help_"),
    [
        (KOREAN, "cp949", None, "is not UTF-8 text: byte 0xc1 on line 1", "`encoding: cp949`"),
        (KOREAN.replace("지역 코드", "code").replace("면적", "area"), "cp949", None, "on line 2", "`encoding: cp949`"),
        (GERMAN, "latin-1", None, "is not UTF-8 text: byte 0xf6 on line 1", "`encoding: latin-1`"),
        (GERMAN, "utf-16", None, "is not UTF-8 text: byte 0xff on line 1", "`encoding: utf-16`"),
        (KOREAN, "utf-8", "cp949", "is not cp949 text: byte 0x", "`encoding: utf-8`"),
        (KOREAN, "cp949", "utf-16", "is not utf-16 text: byte 0x", "`encoding: cp949`"),
    ],
)
def test_a_file_of_another_encoding_tells_which(
    tmp_path: Path, text: str, encoding: str, declared: str | None, message: str, help_: str, in_memory: bool
) -> None:
    """The place of the first bytes that are no text, and the encoding that reads all of them."""
    file = written(tmp_path, text, encoding)
    options = {"encoding": declared} if declared else {}
    with pytest.raises(OptionError) as caught:
        csv(files=file, target="y", in_memory=in_memory, **options)
    assert message in str(caught.value)
    assert help_ in caught.value.help


def test_bytes_of_a_column_that_is_ignored_are_not_looked_at(tmp_path: Path) -> None:
    text = "a,remark,y\n1.5,Süd,1\n2.5,Öst,0\n"
    assert list(csv(files=written(tmp_path, text, "latin-1"), target="y", ignore="remark").inputs) == ["a"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "help_"), [("cp94", "cp949"), ("rot13", "encoding: cp949"), ("", "encoding: cp949")])
def test_a_name_of_no_encoding_is_refused(tmp_path: Path, name: str, help_: str) -> None:
    with pytest.raises(OptionError) as caught:
        csv(files=written(tmp_path, KOREAN, "cp949"), target="y", encoding=name)
    assert caught.value.option == "encoding"
    assert help_ in caught.value.help


def test_the_encoding_that_all_files_have_does_not_change_a_digest(tmp_path: Path, planned: Planned) -> None:
    """Runs of before have a digest without the option."""
    written(tmp_path, KOREAN, "utf-8")
    plain = SPEC.replace(", encoding: cp949", "")
    digest = planned(plain).digest
    assert digest == planned(SPEC.replace("cp949", "utf-8")).digest
    written(tmp_path, KOREAN, "cp949")
    assert planned(SPEC).digest != digest


def test_a_run_reads_new_rows_as_its_own(tmp_path: Path, annpipe_here: CliHere) -> None:
    """`predict` and `evaluate` take files in the encoding of the run's data, and say so of others."""
    written(tmp_path, KOREAN, "cp949")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, printed, errors = annpipe_here("run", "spec.yaml")
    assert code == 0, errors
    run = next((tmp_path / "runs").iterdir()).name
    written(tmp_path, KOREAN, "cp949", "new.csv")
    code, printed, errors = annpipe_here("predict", run, "new.csv")
    assert (code, len(printed.splitlines())) == (0, 5), errors
    code, printed, errors = annpipe_here("evaluate", run, "new.csv")
    assert code == 0, errors
    written(tmp_path, KOREAN, "utf-8", "other.csv")
    code, _, errors = annpipe_here("predict", run, "other.csv")
    assert code == 3
    assert "'other.csv' is not cp949 text: byte 0x" in errors
    assert "save the file as cp949, as the run's own data are" in errors
