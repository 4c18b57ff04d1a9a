"""`annpipe export RUN`: what leaves answers as `annpipe predict` does, without annpipe, for rows of every kind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal.state import read_state
from annpipe.runs.export import ENDINGS
from tests.conftest import CliHere, wait_until_recorded
from tests.saved.conftest import Project, Typed, lines, shops, squares

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.", r"ignore:::torch\.", r"ignore:::onnxscript\.")
ROWS = 10_000
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocked())
"""
ONNX_READER = f"""{BLOCKED}
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[2])
asked = dict(np.load(sys.argv[3]))
feeds = {{name: cells.astype(object) if cells.dtype.kind == "U" else cells for name, cells in asked.items()}}
names = [output.name for output in session.get_outputs()]
found = session.run(names, feeds)
np.savez(sys.argv[4], **{{name: np.asarray(values.tolist()) for name, values in zip(names, found)}})
"""
TORCH_READER = f"""{BLOCKED}
import json
import numpy as np
import torch

extra = {{"annpipe.json": ""}}
program = torch.export.load(sys.argv[2], extra_files=extra).module()
about = json.loads(extra["annpipe.json"])
cells, feeds = dict(np.load(sys.argv[3])), {{}}
for column in about["inputs"]:
    values = cells[column["name"]]
    if "categories" in column:
        unknown = np.nan if column["unknown"] == "missing" else column["unknown"]
        values = [np.nan if word in column["missing"] else column["categories"].get(word, unknown) for word in values]
    feeds[column["name"]] = torch.tensor(values, dtype=torch.int64 if column["type"] == "int64" else torch.float64)
found = {{name: values.numpy() for name, values in program(feeds).items()}}
for output in about["outputs"]:
    if output["what"] == "class":
        found[output["name"]] = np.array([*output["classes"], ""])[found[output["name"]]]
np.savez(sys.argv[4], **found)
"""
READERS = {
    "onnx": ("torch,annpipe,annpipe_std,onnx,pandas", ONNX_READER),
    "torch": ("annpipe,annpipe_std", TORCH_READER),
}


def exported(typed: Typed, *words: str | Path) -> dict[str, Any]:
    code, printed, said = typed("export", *words, "--json")
    assert code == 0, said
    found: dict[str, Any] = json.loads(printed)
    return found


def answered(to: str, file: Path, cells: dict[str, Any]) -> dict[str, Any]:
    """What a program without annpipe gets out of the file."""
    blocked, program = READERS[to]
    asked, got = file.with_suffix(".asked.npz"), file.with_suffix(".got.npz")
    np.savez(asked, **cells)
    command = [sys.executable, "-P", "-c", program, blocked, str(file), str(asked), str(got)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=file.parent)
    assert done.returncode == 0, done.stderr
    return dict(np.load(got))


def many_shops() -> pd.DataFrame:
    """Ten thousand rows with unknown towns, and missing cells in every column."""
    frame = shops().drop(columns=["kind", "part", "id"]).sample(ROWS, replace=True, random_state=1, ignore_index=True)
    random = np.random.default_rng(2)
    frame.loc[random.random(ROWS) < 0.05, "town"] = "Zürich"
    for column in frame:
        frame.loc[random.random(ROWS) < 0.05, column] = None
    return frame


def as_cells(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns as a reader of an exported file gives them."""
    are_numbers = {name: pd.api.types.is_numeric_dtype(frame[name]) for name in frame}
    return {
        name: frame[name].to_numpy(dtype=float) if is_number else frame[name].fillna("").to_numpy(dtype=str)
        for name, is_number in are_numbers.items()
    }


def are_equal(got: Any, expected: Any) -> None:
    """To 1e-6 of the answers' size."""
    expected = np.asarray(expected, dtype=float)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * np.nanmean(np.abs(expected)))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_ten_thousand_raw_rows_get_the_answers_of_predict(project: Project, typed: Typed, to: str) -> None:
    """Words that training never saw, missing cells, a boolean, columns in another order; no annpipe, and no torch."""
    file, frame = project.folder / f"shops{ENDINGS[to]}", many_shops()
    told = exported(typed, "shops", "--to", to, "-o", file)
    assert told["comparison"]["rows"] > 200
    assert told["comparison"]["largest_relative_difference"] <= 1e-6
    frame.to_csv(project.folder / "many.csv", index=False)
    expected = typed.table("shops", "many.csv")
    got = answered(to, file, as_cells(frame))
    assert (got["kind"] == expected.kind.fillna("")).all()
    assert len(set(got["kind"])) > 1
    are_equal(got["kind_probabilities"], expected.filter(like="kind_"))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_several_inputs_and_heads_leave_together(project: Project, typed: Typed, to: str) -> None:
    """A class with its probabilities and a number in its own units; a row that lacks a number has no answer."""
    file, frame = project.folder / f"ends{ENDINGS[to]}", many_shops().drop(columns="rooms")
    exported(typed, "ends", "--to", to, "-o", file)
    frame.to_csv(project.folder / "ends_rows.csv", index=False)
    expected = typed.table("ends", "ends_rows.csv")
    assert expected.kind.isna().any()
    got = answered(to, file, as_cells(frame))
    assert (got["kind"] == expected.kind.fillna("")).all()
    are_equal(got["kind_probabilities"], expected.filter(like="kind_"))
    are_equal(got["rooms"], expected.rooms)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_numbers_come_out_in_their_units(project: Project, typed: Typed, to: str) -> None:
    """Of two targets, one of them through a logarithm; one row, two and a thousand."""
    file = project.folder / f"lines{ENDINGS[to]}"
    exported(typed, "lines", "--to", to, "-o", file)
    frame = lines()[["x2", "x1"]].sample(1000, replace=True, random_state=3)
    frame.to_csv(project.folder / "thousand.csv", index=False, sep=";", decimal=",")
    expected = typed.table("lines", "thousand.csv")
    for n in (1, 2, 1000):
        got = answered(to, file, as_cells(frame[:n]))
        are_equal(got["up"], expected.up[:n])
        are_equal(got["down"], expected.down[:n])


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_images_leave_with_their_shape(project: Project, typed: Typed, to: str) -> None:
    """Two classes with a probability each, of every image; another number of images than were exported with."""
    file, image = project.folder / f"squares{ENDINGS[to]}", squares()["image"]
    told = exported(typed, "squares", "--to", to, "-o", file)
    assert told["inputs"][0]["shape"] == [1, 5, 5]
    np.savez(project.folder / "images.npz", image=image)
    assert typed("predict", "squares", "images.npz", "-o", "seen.npz")[0] == 0
    expected = np.load(project.folder / "seen.npz")
    got = answered(to, file, {"image": image})
    assert (got["bright"] == expected["bright"]).all()
    are_equal(got["wide_probabilities"][:, 1], expected[[name for name in expected if name.startswith("wide_")][1]])


@pytest.mark.slow
def test_the_folder_is_the_saved_model(project: Project, typed: Typed) -> None:
    told = exported(typed, "shops", "--to", "folder", "-o", "shops_folder")
    assert told["comparison"]["largest_relative_difference"] < 1e-6
    model = project.runs["shops"].folder / "model"
    names = {path.name for path in model.iterdir() if path.is_file()}
    for name in names - {"sums.json"}:
        assert (project.folder / "shops_folder" / name).read_bytes() == (model / name).read_bytes()


@pytest.mark.slow
def test_a_difference_is_an_error_unless_it_is_accepted(
    project: Project, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written then; what was accepted says so in the file."""
    monkeypatch.setattr("annpipe.interchange.parity.TOLERANCE", -1.0)
    code, printed, said = typed("export", "lines", "--to", "torch", "-o", "far.pt2")
    assert (code, printed) == (1, "")
    assert "differ from `annpipe predict`" in said
    assert not [path for path in project.folder.iterdir() if "far.pt2" in path.name]
    assert exported(typed, "lines", "--to", "torch", "-o", "far.pt2", "--accept")["comparison"]["accepted"]


@pytest.mark.slow
def test_without_the_data_the_example_is_compared(project: Project, typed: Typed) -> None:
    """A warning says so, and the file."""
    data = project.folder / "lines.csv"
    shutil.move(data, project.folder / "away.csv")
    try:
        code, printed, said = typed("export", "lines", "--to", "torch", "-o", "alone.pt2", "--json")
    finally:
        shutil.move(project.folder / "away.csv", data)
    assert code == 0, said
    assert "the run's own rows cannot be made again" in said
    assert json.loads(printed)["comparison"]["source"].startswith("model.json")


@pytest.mark.slow
def test_the_record_has_the_file_and_the_difference(project: Project, typed: Typed) -> None:
    """As tags and as an artifact of the MLflow run."""
    typed.is_recorded = True
    told = exported(typed, "lines", "--to", "torch", "-o", "kept.pt2")
    folder = project.runs["lines"].folder
    wait_until_recorded(folder)
    state = read_state(folder)
    client = MlflowClient(state.store)
    tags = client.get_run(state.run_id or "").data.tags
    assert tags["annpipe.export.torch.file"] == str(project.folder / "kept.pt2")
    largest = told["comparison"]["largest_relative_difference"]
    assert float(tags["annpipe.export.torch.largest_relative_difference"]) == pytest.approx(largest, rel=0.01)
    assert "export/model.pt2" in [item.path for item in client.list_artifacts(state.run_id or "", "export")]
    kept = folder / "artifacts" / "export" / "model.pt2"
    assert kept.read_bytes() == (project.folder / "kept.pt2").read_bytes()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--to", "onnx", "-o", "mine.onnx"), "say --force"),
        (("--to", "onnx", "-o", "mine.pt2"), "is called mine.onnx"),
        (("--to", "torch", "-o", "deep.pt2", "--force"), "is a folder"),
        (("--to", "folder", "-o", "mine", "--force"), "no folder of an exported model"),
        (("--to", "folder", "-o", ".", "--force"), "or around it"),
        (("--to", "torch", "-o", "runs/RUN/plan.pt2"), "is part of the run"),
    ],
)
def test_only_an_earlier_export_is_replaced(project: Project, typed: Typed, words: Any, reason: str) -> None:
    """And that only with --force."""
    (project.folder / "mine.onnx").write_text("mine")
    (project.folder / "mine").mkdir(exist_ok=True)
    (project.folder / "deep.pt2").mkdir(exist_ok=True)
    (project.folder / "mine" / "letter.txt").write_text("mine")
    folder = project.runs["lines"].folder
    words = [word.replace("RUN", folder.name) for word in words]
    code, _, said = typed("export", "lines", *words)
    assert (code, reason in said) == (2, True), said
    assert (project.folder / "mine.onnx").read_text() == "mine"
    assert (project.folder / "mine" / "letter.txt").read_text() == "mine"
    assert not (folder / "plan.pt2").exists()


def test_a_lacking_package_is_named_with_its_remedy(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annpipe.runs.export.PACKAGES", ("onnx", "no_such_package"))
    code, _, said = typed("export", "lines", "--to", "onnx")
    assert (code, said.startswith("error: the format onnx needs no_such_package")) == (2, True)
    assert "pip install 'annpipe[export]'" in said


def test_a_run_is_named_once(typed: Typed) -> None:
    """By its name or by --last."""
    assert [typed("export", *words, "--to", "onnx")[0] for words in ((), ("lines", "--last"), ("nothing",))] == [
        2,
        2,
        2,
    ]


def test_a_run_of_others_is_not_exported(typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its model is code: --trust says that it may be run."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, _, said = typed("export", "lines", "--to", "torch", "-o", "others.pt2")
    assert (code, "say --trust" in said) == (2, True), said


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_names_of_columns_are_no_code_and_meet_no_name_of_the_file(
    to: str, tmp_path: Path, annpipe_here: CliHere
) -> None:
    """Torch runs source code that it makes of names; ONNX has a name for each value within."""
    code = f" + str(__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()) + "
    names = [code, 'it\'s "quoted"', "cat", "linear", "in_0", "inner.x", "y"]
    rows = [[n, n % 2, "abc"[n % 3], n % 5, n % 7, -n, 1.5 * n] for n in range(12)]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "odd.csv", index=False)
    (tmp_path / "odd.yaml").write_text(
        "version: 1\nname: odd\ndata: {csv: {files: odd.csv, target: y}, transforms: {category: one_hot}}\n"
        "model: [Linear: 1]\nloss: MSELoss\noptimizer: Adam\ntrain: {epochs: 1}\nplots: []\n"
    )
    assert annpipe_here("run", "odd.yaml")[0] == 0
    status, printed, err = annpipe_here("export", "odd", "--to", to, "-o", f"odd{ENDINGS[to]}", "--json")
    assert status == 0, err
    assert not (tmp_path / "ran").exists()
    assert [item["column"] for item in json.loads(printed)["inputs"]] == names[:-1]
