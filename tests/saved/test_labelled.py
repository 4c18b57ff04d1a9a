"""Rows of a file with their targets: the inputs and labels that a run's own data has, or the row that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.backend.device import computing
from annpipe.errors import DataError
from annpipe.export.model import export_model
from annpipe.registry.registry import Registry
from annpipe.saved import rows
from annpipe.saved.labelled import labelled
from annpipe.saved.model import SavedModel
from annpipe.train.parts import build
from tests.training import planner

SPEC = """
version: 1
name: small
data:
  csv: {{files: rows.csv, target: {target}}}
  transforms: {{category: one_hot, boolean: {{impute: most_frequent}}}}
model: [Linear: {width}]
loss: {loss}
optimizer: SGD
train: {{epochs: 1}}
device: {{type: cpu, threads: 1}}
"""
ROWS = """\
size,town,open,word,flag,label,price
1.5,Bern,yes,low,no,0,10
2.5,Köln,no,high,yes,2,20.5
3.5,Bern,no,mid,yes,1,30
4.5,Wien,yes,low,no,0,40
"""
INPUTS = ("size", "town", "open")
Make = Any


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, registry_entries: Registry) -> Make:
    """Saves the untrained model of a target; gives it."""
    models: dict[str, SavedModel] = {}

    def made(target: str, loss: str, width: int) -> SavedModel:
        if target not in models:
            folder = tmp_path_factory.mktemp(target)
            columns = [*INPUTS, target]
            header, *lines = (line.split(",") for line in ROWS.splitlines())
            kept = [header.index(name) for name in columns]
            text = "\n".join(",".join(line[index] for index in kept) for line in [header, *lines])
            (folder / "rows.csv").write_text(text, encoding="utf-8")
            spec = SPEC.format(target=target, loss=loss, width=width)
            plan = planner(folder, registry_entries)(spec)
            (folder / "run").mkdir()
            with computing("float32", deterministic=False) as dtype:
                export_model(plan, build(plan, torch.device("cpu"), dtype), folder / "run" / "model")
            models[target] = SavedModel(folder / "run", trust=True)
        return models[target]

    return made


def words(make: Make) -> SavedModel:
    model: SavedModel = make("word", "CrossEntropyLoss", 3)
    return model


def numbers(make: Make) -> SavedModel:
    model: SavedModel = make("price", "MSELoss", 1)
    return model


def labels(make: Make) -> SavedModel:
    model: SavedModel = make("label", "CrossEntropyLoss", 3)
    return model


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_inputs_are_those_of_the_columns(make: Make, tmp_path: Path) -> None:
    """Words as positions among the categories, in the order of the model; other columns are passed over."""
    data = labelled(numbers(make), written(tmp_path, ROWS))
    assert list(data.inputs) == list(INPUTS)
    assert data.inputs["size"].tolist() == [1.5, 2.5, 3.5, 4.5]
    towns = numbers(make).description.inputs[1].categories
    assert [towns[int(position)] for position in data.inputs["town"]] == ["Bern", "Köln", "Bern", "Wien"]
    assert [int(value) for value in data.inputs["open"]] == [1, 0, 0, 1]
    assert data.targets["price"].tolist() == [10.0, 20.5, 30.0, 40.0]
    assert data.targets["price"].dtype == torch.float64
    assert data.categories["town"] == towns


def test_words_of_a_target_are_labels(make: Make, tmp_path: Path) -> None:
    """By the order of the classes of the run."""
    model = words(make)
    data = labelled(model, written(tmp_path, ROWS))
    classes = model.targets[0].words
    assert data.targets["word"].dtype == torch.int64
    assert [classes[label] for label in data.targets["word"].tolist()] == ["low", "high", "mid", "low"]
    assert data.categories["word"] == classes


def test_whole_numbers_of_a_target_are_labels(make: Make, tmp_path: Path) -> None:
    """As they stand."""
    assert labelled(labels(make), written(tmp_path, ROWS)).targets["label"].tolist() == [0, 2, 1, 0]


def test_a_boolean_target_is_read_however_it_is_spelt(make: Make, tmp_path: Path) -> None:
    """As in training."""
    model = make("flag", "BCEWithLogitsLoss", 1)
    text = "size,town,open,flag\n" + "".join(f"1,Bern,yes,{flag}\n" for flag in ("no", "yes", "true", "0"))
    assert labelled(model, written(tmp_path, text)).targets["flag"].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("model", "column", "cell", "message"),
    [
        (words, "word", "huge", "'huge' in row 4 of the target 'word' is no class of the run"),
        (labels, "label", "3", "in row 4 of the target 'label' is no class of the run"),
        (labels, "label", "-1", "in row 4 of the target 'label' is no class of the run"),
        (labels, "label", "1.5", "row 4 of the column 'label' is not a whole number"),
        (words, "word", "", "row 4 of the column 'word' is missing"),
        (numbers, "price", "", "row 4 of the column 'price' is missing"),
        (numbers, "price", "cheap", "'cheap' in row 4 of the column 'price' is not a number"),
        (numbers, "open", "maybe", "maybe"),
    ],
)
def test_a_row_without_an_answer_is_told(
    model: Any, column: str, cell: str, message: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from the first row of the file, though it is read in blocks."""
    monkeypatch.setattr(rows, "BYTES_AT_ONCE", 64)
    header, *lines = ROWS.splitlines()
    cells = lines[3].split(",")
    cells[header.split(",").index(column)] = cell
    text = "\n".join([header, *lines[:3], ",".join(cells)])
    with pytest.raises(DataError) as caught:
        labelled(model(make), written(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize("ignored", [{"label": -100}, {None: -100}])
def test_a_label_that_stands_for_no_class_is_kept(ignored: Any, make: Make, tmp_path: Path) -> None:
    """Of the target by name, or of the only one."""
    text = ROWS.replace(",0,10", ",-100,10")
    assert labelled(labels(make), written(tmp_path, text), ignored).targets["label"].tolist() == [-100, 2, 1, 0]
    with pytest.raises(DataError, match="labels go from 0 to 2"):
        labelled(labels(make), written(tmp_path, text), {"other": -100})


def test_the_blocks_of_a_file_are_joined(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order."""
    monkeypatch.setattr(rows, "BYTES_AT_ONCE", 64)
    prices = np.arange(200) / 4
    text = "size,town,open,price\n" + "".join(f"{price},Bern,yes,{price}\n" for price in prices)
    data = labelled(numbers(make), written(tmp_path, text))
    assert data.targets["price"].tolist() == prices.tolist() == data.inputs["size"].tolist()
