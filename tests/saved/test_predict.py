"""`annpipe predict RUN DATA`, as a user types it: answers are those of the saved network, computed with plain torch."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch

from annpipe.saved import rows
from tests.saved.conftest import Project, Typed, lines, shops, squares

KINDS = ["bar", "café", "hotel"]
INPUTS = ["size", "open", "town", "rooms"]


def by_hand(project: Project, frame: pd.DataFrame) -> np.ndarray:
    """The probabilities of the classes by the saved network alone: words by their place among those of train."""
    towns, switches = {"Bern": 0.0, "Köln": 1.0, "Wien": 2.0}, {"no": 0.0, "yes": 1.0}
    town = frame.town.map(lambda word: math.nan if pd.isna(word) else towns.get(word, -1.0))
    columns = {"size": frame["size"], "open": frame.open.map(switches), "town": town, "rooms": frame.rooms}
    raw = torch.tensor(np.stack([columns[name].astype(float) for name in INPUTS], 1))
    with torch.no_grad():
        shares: np.ndarray = project.network("shops")(raw).double().softmax(1).numpy()
    return shares


def test_classes_have_names_and_probabilities(project: Project, typed: Typed) -> None:
    """For raw rows, missing cells included, in any order of columns and with columns that nobody asked for."""
    frame = shops().sample(frac=1, axis=1, random_state=0)
    frame.to_csv(project.folder / "new.csv", index=False)
    found = typed.table("shops", "new.csv", "--keep", "id")
    assert list(found) == ["id", "kind", *(f"kind_{kind}" for kind in KINDS)]
    assert found.id.tolist() == frame.id.tolist()
    shares = by_hand(project, frame)
    assert found[[f"kind_{kind}" for kind in KINDS]].to_numpy() == pytest.approx(shares, abs=1e-7)
    assert found.kind.tolist() == [KINDS[place] for place in shares.argmax(1)]


def test_every_way_to_give_rows_gives_the_same(project: Project, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """CSV, compressed, tab-separated, Parquet, an archive of arrays, standard input, and in blocks of a few rows."""
    frame = shops().assign(open=shops().open == "yes").dropna()
    folder = project.folder
    frame.to_csv(folder / "plain.csv", index=False)
    frame.to_csv(folder / "packed.csv.gz", index=False)
    frame.to_csv(folder / "tabs.tsv", index=False, sep="\t")
    frame.astype({"town": "category"}).to_parquet(folder / "columns.parquet")
    arrays = {name: frame[name].to_numpy() for name in INPUTS}
    np.savez(folder / "arrays.npz", **(arrays | {"town": frame.town.to_numpy().astype(str)}))
    expected = typed.table("shops", "plain.csv")
    assert len(expected) == len(frame)
    for file in ("packed.csv.gz", "tabs.tsv", "columns.parquet", "arrays.npz"):
        pd.testing.assert_frame_equal(typed.table("shops", file), expected)
    given = (folder / "plain.csv").read_bytes()
    pd.testing.assert_frame_equal(typed.table("shops", "-", stdin=given), expected)
    monkeypatch.setattr(rows, "BYTES_AT_ONCE", 700)
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 7)
    for file in ("plain.csv", "columns.parquet", "arrays.npz"):
        pd.testing.assert_frame_equal(typed.table("shops", file), expected)


def test_numbers_come_in_the_units_of_the_data(project: Project, typed: Typed) -> None:
    """Both targets were scaled; the file is written as the run's own, with its decimal comma."""
    frame = lines()
    found = typed.table("lines", "lines.csv")
    with torch.no_grad():
        expected = project.network("lines")(torch.tensor(frame[["x1", "x2"]].to_numpy())).numpy()
    assert found[["up", "down"]].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert found.up.mean() == pytest.approx(frame.up.mean(), rel=0.1)


def test_answers_of_yes_and_no(project: Project, typed: Typed) -> None:
    """Each of two outputs has its word and both probabilities, the sigmoid of the output."""
    found = typed.table("squares", "squares.npz")
    with torch.no_grad():
        logits = project.network("squares")(torch.tensor(squares()["image"], dtype=torch.float32)).double()
    for place, name in enumerate(("bright", "wide")):
        share = logits[:, place].sigmoid().numpy()
        assert found[f"{name}_1"].to_numpy() == pytest.approx(share, abs=1e-9)
        assert found[f"{name}_0"].to_numpy() == pytest.approx(1 - share, abs=1e-9)
        assert found[name].tolist() == (share > 0.5).astype(int).tolist()


def test_each_head_answers_for_its_target(project: Project, typed: Typed) -> None:
    """A class with its probabilities beside a number, whatever the order of the heads."""
    frame = shops().dropna()
    frame.to_csv(project.folder / "whole.csv", index=False)
    found = typed.table("ends", "whole.csv")
    assert list(found) == ["kind", *(f"kind_{kind}" for kind in KINDS), "rooms"]
    town = frame.town.map({"Bern": 0.0, "Köln": 1.0, "Wien": 2.0})
    raw = np.stack([frame["size"], frame.open.map({"no": 0.0, "yes": 1.0}), town], 1)
    with torch.no_grad():
        output = project.network("ends")(torch.tensor(raw)).double()
    shares = output[:, :3].softmax(1).numpy()
    assert found[[f"kind_{kind}" for kind in KINDS]].to_numpy() == pytest.approx(shares, abs=1e-7)
    assert found.kind.tolist() == [KINDS[place] for place in shares.argmax(1)]
    assert found.rooms.to_numpy() == pytest.approx(output[:, 3].numpy(), rel=1e-6)
    assert found.rooms.mean() == pytest.approx(frame.rooms.mean(), rel=0.3)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_answers_go_into_files(project: Project, typed: Typed, ending: str) -> None:
    """The same columns in each, and nothing on stdout."""
    expected = typed.table("shops", "shops.csv")
    code, printed, said = typed("predict", "shops", "shops.csv", "-o", f"out/answers.{ending}")
    assert (code, printed, said) == (0, "", f"240 rows in out/answers.{ending}\n")
    path = project.folder / "out" / f"answers.{ending}"
    if ending == "npz":
        with np.load(path) as archive:
            found = pd.DataFrame({name: archive[name] for name in archive})
    else:
        found = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_what_training_never_saw_is_said(project: Project, typed: Typed) -> None:
    """An unknown word has an answer and a remark, a missing number that nothing fills in has none and a remark."""
    text = "size,open,town,rooms\n50,TRUE,Rom,3\n51,f,,2\n"
    (project.folder / "odd.csv").write_text(text)
    code, printed, said = typed("predict", "shops", "odd.csv")
    assert code == 0
    assert "1 of 2 rows have a word in 'town' that training never saw" in said
    assert len(printed.splitlines()) == 3
    (project.folder / "gaps.csv").write_text("x1;x2\n1,5;-90\n;-80\n2,5;\n")
    code, printed, said = typed("predict", "lines", "gaps.csv")
    assert code == 0
    assert "2 of 3 rows have no answer, since a value is missing; the first is row 2" in said
    assert pd.read_csv(io.StringIO(printed)).up.isna().tolist() == [False, True, True]


WRONG = [
    ("none.csv", None, 2, "the file 'none.csv' does not exist"),
    ("shops.txt.xlsx", b"x", 2, "rows are read from .csv, .parquet, .jsonl and .npz files"),
    ("empty.csv", b"", 3, "'empty.csv' is empty; it needs a row of names and rows of values"),
    ("names.csv", b"size,open,town,rooms\n", 3, "'names.csv' has no rows"),
    ("lacks.csv", b"size,open,twon,rooms\n1,no,Bern,2\n", 3, "lacks the column 'town'; did you mean 'twon'?"),
    ("other.csv", b"a,b\n1,2\n", 3, "lacks the columns size, open, town, rooms; it has a, b"),
    ("twice.csv", b"size,open,town,rooms,size\n1,no,Bern,2,1\n", 3, "has two columns 'size'; rename one of them"),
    (
        "cell.csv",
        b"size,open,town,rooms\n" + b"1,no,Bern,2\n" * 40 + b"1,no,Bern,many\n",
        3,
        "'cell.csv': 'many' in row 41 of the column 'rooms' is not a number; correct it, or leave the cell empty",
    ),
    ("word.csv", b"size,open,town,rooms\n1,perhaps,Bern,2\n", 3, "'perhaps' in the column 'open' is neither true nor"),
    ("ragged.csv", b"size,open,town,rooms\n1,no,Bern,2\n1,no\n", 3, "cannot be read: row 2: Expected 4 columns, got 2"),
    (
        "latin.csv",
        "größe,open\n".encode("latin-1"),
        3,
        "is not UTF-8 text: byte 0xf6 on line 1; save the file as UTF-8",
    ),
    ("broken.parquet", b"PAR1 and then nothing", 3, "'broken.parquet' cannot be read"),
    ("broken.npz", b"not an archive", 3, "'broken.npz' cannot be read"),
]


@pytest.mark.parametrize(("file", "content", "expected", "message"), WRONG, ids=[case[0] for case in WRONG])
def test_files_that_do_not_fit(
    project: Project,
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    content: bytes | None,
    expected: int,
    message: str,
) -> None:
    """Each has its code and its words, and answers of before stay as they were."""
    if content is not None:
        (project.folder / file).write_bytes(content)
    (project.folder / "kept.csv").write_text("before")
    monkeypatch.setattr(rows, "BYTES_AT_ONCE", 200)
    code, printed, said = typed("predict", "shops", file, "-o", "kept.csv")
    assert (code, printed) == (expected, ""), said
    assert message in said
    assert said.startswith("error: ")
    assert (project.folder / "kept.csv").read_text() == "before"
    assert not list(project.folder.glob(".kept*"))


def test_command_lines_that_do_not_fit(project: Project, typed: Typed) -> None:
    """A run that is not there, a word too few, a kind of file that is not written, a kept column that answers have."""
    code, _, said = typed("predict", "shosp", "shops.csv")
    assert code == 2
    assert "did you mean" in said
    assert typed("predict", "shops")[0] == 2
    assert typed("predict", "--last", "a.csv", "b.csv")[0] == 2
    code, _, said = typed("predict", "shops", "shops.csv", "-o", "answers.xlsx")
    assert code == 2
    assert "answers are written as .csv, .parquet or .npz" in said
    code, _, said = typed("predict", "shops", "shops.csv", "--keep", "kind")
    assert code == 3
    assert "leave it out of --keep" in said
    unfinished = project.folder / "runs" / "begun-20260101-000000-aaaa"
    unfinished.mkdir()
    (unfinished / "journal.jsonl").write_text('{"event":"run","time":1}\n')
    code, _, said = typed("predict", unfinished.name, "shops.csv")
    (unfinished / "journal.jsonl").unlink()
    assert code == 2
    assert "has no model: it did not finish" in said


def test_arrays_of_another_shape(project: Project, typed: Typed) -> None:
    """The shape that arrived and the one that is needed; and a table where an array is needed."""
    np.savez(project.folder / "small.npz", image=np.zeros((3, 1, 4, 4)))
    code, _, said = typed("predict", "squares", "small.npz")
    assert code == 3
    assert "the rows of 'image' have the shape (1, 4, 4), not (1, 5, 5)" in said
    (project.folder / "image.csv").write_text("image\n1\n")
    code, _, said = typed("predict", "squares", "image.csv")
    assert code == 3
    assert "write the array into an .npz file" in said
