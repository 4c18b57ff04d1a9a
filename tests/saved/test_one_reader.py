"""A cell is read in one way: every training cell is known to `predict`, `evaluate` and the pyfunc model, alike in all.

Random tables of text, codes with leading zeros, long whole numbers, dates, booleans, decimals and missing cells are
written as CSV and as Parquet, one step is trained on them, and the saved model answers for the same rows in every way
that there is: what it gives must be what the network gives for the rows as training laid them out.
"""

from __future__ import annotations

import csv
import datetime
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from annpipe.backend.device import computing
from annpipe.datasets.steps.make import make_data
from annpipe.draft.draft import draft
from annpipe.errors import DataError
from annpipe.export.model import export_model
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.saved.labelled import labelled
from annpipe.saved.model import SavedModel
from annpipe.saved.predict import predict
from annpipe.spec import load_spec
from annpipe.train.parts import Parts, build
from annpipe_std.tables import sources

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

DAY, NOON = datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 12, 30)
DAYS = datetime.timedelta(days=1)
# What a column may hold: its values, no two of which are equal, and the type that Parquet keeps them in.
COLUMNS: dict[str, tuple[list[Any], pa.DataType]] = {
    "word": (["a", "B c", "é, d", 'q"r', "nanny", "1st", "true story", "-"], pa.string()),
    "code": (["01", "1", "001", "10", "1.0", "1e1", "0x1", "+1"], pa.string()),
    "zip": (["01067", "10115", "20095", "04109"], pa.string()),
    "whole": ([0, 1, 2, 10, -3], pa.int64()),
    "long": ([1582218195625938945, 1582218195625938944, 11898508762506083287, 11898508762506083288], pa.uint64()),
    "endless": ([10**24, 10**24 + 1, 7], pa.decimal128(30, 0)),
    "real": ([0.0, 0.5, 1e-7, 1.25e300, 3.0, 2.0**53], pa.float64()),
    "single": ([0.10000000149011612, 0.5, 3.0], pa.float32()),
    "decimal": ([Decimal("1.50"), Decimal("2.00"), Decimal("0.01")], pa.decimal128(9, 2)),
    "flag": ([True, False], pa.bool_()),
    "date": ([DAY, DAY + DAYS, DAY + 400 * DAYS], pa.date32()),
    "moment": ([NOON, NOON + DAYS, NOON + datetime.timedelta(microseconds=7)], pa.timestamp("us")),
    "clock": ([datetime.time(8, 30), datetime.time(23, 59, 58)], pa.time64("us")),
}
FOUND = {"eighths": pa.float64(), "count": pa.int64(), "truth": pa.bool_()}  # whose type is not said
SPEC = """
version: 1
name: cells
device: {{type: cpu, threads: 1, precision: float64}}
data:
  {kind}: {{files: t.{kind}, target: {target}, types: {types}, in_memory: {in_memory}}}
  transforms: {{category: one_hot, number: {{impute: mean}}, boolean: {{impute: most_frequent}}}}
model: [Linear: {width}]
loss: {loss}
optimizer: {{SGD: {{lr: 0.01}}}}
train: {{epochs: 1, batch_size: 10}}
"""


@dataclass(frozen=True)
class Table:
    """Columns by name with None where missing; `target` is one of them that lacks nothing."""

    columns: dict[str, list[Any]]
    types: dict[str, pa.DataType]
    target: str

    def write(self, folder: Path) -> None:
        with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows(zip(*([_written(cell) for cell in cells] for cells in self.columns.values()), strict=True))
        arrays = {name: pa.array(cells, self.types[name]) for name, cells in self.columns.items()}
        parquet.write_table(pa.table(arrays), folder / "t.parquet", row_group_size=17)


def _written(cell: Any) -> str:
    return "" if cell is None else repr(cell) if isinstance(cell, float) else str(cell)


@st.composite
def tables(draw: st.DrawFn, most: int = 7) -> Table:
    """Some of the columns, thirty to fifty rows, missing cells in most of them; a number; one that is the target."""
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=2, max_size=most, unique=True))
    random_ = random.Random(draw(st.integers(0, 2**32)))
    rows, lost = draw(st.integers(30, 50)), draw(st.sampled_from([0.0, 0.2]))
    columns: dict[str, list[Any]] = {}
    for name in names:
        values = COLUMNS[name][0]
        cells = [*values, *(random_.choice(values) for _ in range(rows - len(values)))]
        random_.shuffle(cells)
        columns[name] = cells if name == names[0] else [None if random_.random() < lost else cell for cell in cells]
    found: dict[str, Callable[[], Any]] = {
        "eighths": lambda: random_.randrange(1000) / 8,
        "count": lambda: random_.randrange(1000),
        "truth": lambda: random_.random() < 0.5,
    }
    for name, value in found.items():
        columns[name] = [None if random_.random() < lost else value() for _ in range(rows)]
    return Table(columns, {name: COLUMNS[name][1] for name in names} | FOUND, names[0])


@pytest.fixture
def registry(registry_entries: Registry) -> Registry:
    return registry_entries


@dataclass(frozen=True)
class Trained:
    """A run's folder with its model, its parts, and what the network gives for the rows of training."""

    folder: Path
    parts: Parts
    expected: np.ndarray[Any, Any]
    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor


def trained(table: Table, folder: Path, kind: str, in_memory: bool, registry: Registry, spec: str = SPEC) -> Trained:
    """One step on the table, and the model saved as a run saves it."""
    types = "{" + ", ".join(f"{name}: category" for name in table.columns if name not in FOUND) + "}"
    width = len(set(table.columns[table.target]))
    text = spec.format(
        kind=kind,
        target=table.target,
        types=types,
        in_memory=str(in_memory).lower(),
        width=width,
        loss="CrossEntropyLoss",
    )
    run = folder / f"{kind}-{in_memory}"
    run.mkdir()
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
    plan = resolve(draft(load_spec(folder / "spec.yaml"), registry, project=folder))
    data = make_data(plan.data, 0)
    with computing("float64", deterministic=False) as dtype:
        parts = build(plan, torch.device("cpu"), dtype)
        x, y = (torch.cat(blocks) for blocks in zip(*parts.rows["train"].iter_chunks(1000), strict=True))
        torch.nn.functional.cross_entropy(parts.model(x), y).backward()
        parts.optimizer.step()
        export_model(plan, parts, run / "model")
        with torch.no_grad():
            expected = parts.model(x).numpy()
    passed = [data] if in_memory else list(data.passage())  # type: ignore[union-attr, list-item]
    inputs = {name: torch.cat([block.inputs[name] for block in passed]) for name in passed[0].inputs}
    labels = torch.cat([block.targets[table.target] for block in passed])
    return Trained(run, parts, expected, inputs, labels)


CSV: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "nullable": {"dtype_backend": "numpy_nullable"},
    "pyarrow": {"dtype_backend": "pyarrow"},
    "read by pyarrow": {"engine": "pyarrow"},
    "object": {"dtype": object},
    "text": {"dtype": str},
    "string": {"dtype": "string"},
    "category": {"dtype": "category"},
}
KEEPS_TEXT = {"object", "text", "string"}  # ways of pandas to read a file that change no cell


def frames(file: Path, table: Table) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """The file as pandas reads it; whether every cell is kept as the file has it."""
    if file.suffix == ".parquet":
        for backend in ({}, {"dtype_backend": "numpy_nullable"}, {"dtype_backend": "pyarrow"}):
            yield str(backend), True, pd.read_parquet(file, **backend)
        return
    for way, options in CSV.items():
        try:
            yield way, way in KEEPS_TEXT, pd.read_csv(file, **options)
        except (OverflowError, pa.ArrowInvalid):  # pandas itself cannot read it so
            continue
    dates = [name for name in table.columns if name in ("date", "moment")]
    yield "dates", False, pd.read_csv(file, parse_dates=dates)


def check(table: Table, kind: str, in_memory: bool, registry: Registry, folder: Path) -> None:
    """Trains on the table and asks the saved model for the same rows in every way."""
    import mlflow.pyfunc  # here, where its warnings are none of ours

    from annpipe.record.store.model import save_mlflow_model

    table.write(folder)
    run, file = trained(table, folder, kind, in_memory, registry), folder / f"t.{kind}"
    shares = torch.from_numpy(run.expected).softmax(1).numpy()
    done = predict(run.folder, str(file), run.folder / "answers.parquet", trust=True)
    answers = pd.read_parquet(run.folder / "answers.parquet")
    assert (done.rows, dict(done.unknown), done.lost) == (len(shares), {}, 0)
    np.testing.assert_allclose(answers.iloc[:, 1:].to_numpy(), shares, rtol=1e-12)
    again = labelled(SavedModel(run.folder, trust=True), str(file))
    assert torch.equal(again.targets[table.target], run.labels)
    for name, column in run.inputs.items():
        torch.testing.assert_close(again.inputs[name], column, rtol=0, atol=0, equal_nan=True)
    save_mlflow_model(run.folder / "model", run.folder / "mlflow", model_id=None, run_id=None)
    model: Any = mlflow.pyfunc.load_model(str(run.folder / "mlflow"))
    for way, is_kept, frame in frames(file, table):
        try:
            found = model.predict(frame.drop(columns=table.target))
        except ValueError as error:
            assert not is_kept, (way, error)
            assert "as text" in str(error), (way, error)
        else:
            np.testing.assert_allclose(found.iloc[:, 1:].to_numpy(), shares, rtol=1e-12, err_msg=way)


@pytest.fixture(autouse=True)
def small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, seven rows a block."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "MOST_ROWS", 7)


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a table is made smaller in minutes, and is small
ALONE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=ALONE, phases=PHASES)
@given(tables(), st.sampled_from(["csv", "parquet"]), st.booleans())
def test_every_training_cell_is_known(
    registry: Registry, tmp_path_factory: pytest.TempPathFactory, table: Table, kind: str, in_memory: bool
) -> None:
    check(table, kind, in_memory, registry, tmp_path_factory.mktemp("cells"))


def test_a_model_of_before_answers_as_it_did(registry: Registry, tmp_path: Path) -> None:
    """Its model.json says nothing of thousands, units and the types of targets."""
    columns: dict[str, list[Any]] = {
        "code": ["01", "1", "x", None] * 10,
        "truth": [True, False] * 20,
        "count": [*range(40)],
    }
    table = Table(columns | {"word": ["a", "b"] * 20}, {"code": pa.string(), "word": pa.string()} | FOUND, "word")
    table.write(tmp_path)
    run = trained(table, tmp_path, "csv", True, registry)
    described = json.loads((run.folder / "model" / "model.json").read_text(encoding="utf-8"))
    del described["reading"]["thousands"], described["reading"]["units"], described["targets"][0]["type"]
    (run.folder / "model" / "model.json").write_text(json.dumps(described), encoding="utf-8")
    (run.folder / "model" / "sums.json").unlink()
    predict(run.folder, str(tmp_path / "t.csv"), run.folder / "answers.parquet", trust=True)
    answers = pd.read_parquet(run.folder / "answers.parquet").iloc[:, 1:].to_numpy()
    np.testing.assert_allclose(answers, torch.from_numpy(run.expected).softmax(1).numpy(), rtol=1e-12)
    model = SavedModel(run.folder, trust=True)
    assert torch.equal(labelled(model, str(tmp_path / "t.csv")).targets["word"], run.labels)


def test_a_number_that_stands_for_a_missing_value(registry: Registry, tmp_path: Path) -> None:
    """Missing for predict in a Parquet file and for the pyfunc model in what pandas reads, as in training."""
    import mlflow.pyfunc  # here, where its warnings are none of ours

    from annpipe.record.store.model import save_mlflow_model

    columns: dict[str, list[Any]] = {
        "code": ["1", "-999", "2", "1"] * 10,
        "truth": [True, False] * 20,
        "count": [*range(38), -999, -999],
    }
    table = Table(columns | {"word": ["a", "b"] * 20}, {"code": pa.string(), "word": pa.string()} | FOUND, "word")
    table.write(tmp_path)
    spec = SPEC.replace("in_memory: {in_memory}", 'in_memory: {in_memory}, missing: ["-999", ""]')
    run = trained(table, tmp_path, "csv", True, registry, spec)
    assert int(run.inputs["count"].isnan().sum()) == 2
    assert int(run.inputs["code"].isnan().sum()) == 10
    frame = pd.read_csv(tmp_path / "t.csv")
    frame.to_parquet(tmp_path / "numbers.parquet")
    save_mlflow_model(run.folder / "model", run.folder / "mlflow", model_id=None, run_id=None)
    model: Any = mlflow.pyfunc.load_model(str(run.folder / "mlflow"))
    shares = torch.from_numpy(run.expected).softmax(1).numpy()
    for file in ("t.csv", "numbers.parquet"):
        predict(run.folder, str(tmp_path / file), run.folder / "answers.parquet", trust=True)
        answers = pd.read_parquet(run.folder / "answers.parquet").iloc[:, 1:].to_numpy()
        np.testing.assert_allclose(answers, shares, rtol=1e-12, err_msg=file)
    for way, options in CSV.items():
        found = model.predict(pd.read_csv(tmp_path / "t.csv", **options).drop(columns="word"))
        np.testing.assert_allclose(found.iloc[:, 1:].to_numpy(), shares, rtol=1e-12, err_msg=way)


@pytest.mark.parametrize("lost", [None, float("nan")])
def test_a_target_that_is_missing_is_told(lost: float | None, registry: Registry, tmp_path: Path) -> None:
    """As null and as the number nan, which Parquet keeps apart."""
    columns: dict[str, list[Any]] = {"real": [0.5, 1.0] * 20, "count": [*range(40)], "word": ["a", "b"] * 20}
    columns["truth"] = [True, False] * 20
    table = Table(columns, {"real": pa.float64(), "word": pa.string()} | FOUND, "real")
    table.write(tmp_path)
    run = trained(table, tmp_path, "parquet", True, registry)
    columns["real"][7] = lost
    table.write(tmp_path)
    with pytest.raises(DataError, match="row 8 of the column 'real' is missing"):
        labelled(SavedModel(run.folder, trust=True), str(tmp_path / "t.parquet"))


@pytest.mark.soak
@settings(max_examples=100, deadline=None, suppress_health_check=ALONE, phases=PHASES)
@given(tables(most=13), st.sampled_from(["csv", "parquet"]), st.booleans())
def test_every_training_cell_is_known_in_many_tables(
    registry: Registry, tmp_path_factory: pytest.TempPathFactory, table: Table, kind: str, in_memory: bool
) -> None:
    check(table, kind, in_memory, registry, tmp_path_factory.mktemp("cells"))
