"""Rows that stay in files (`in_memory: false`): statistics, order, losses and records, against rows held in memory and
against plain torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from annpipe.backend.streams import generator, stream_seed
from annpipe.datasets.on_disk import fit as on_disk_fit
from annpipe.errors import SpecError
from annpipe.train.batches import on_disk
from annpipe.train.batches.on_disk import OnDiskBatches
from annpipe.train.loop import evaluate as evaluating
from annpipe.train.loop.evaluate import evaluate
from annpipe_std.tables import sources
from tests.training import Fit, Go, Planned

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

ROWS = 600
SPEC = """
version: 1
name: large
seed: 3
data:
  parquet: {files: rows.parquet, target: price, in_memory: false}
  transforms:
    word: [one_hot]
    number: [{impute: mean}, standardize]
    price: standardize
  split: {val: 0.2, test: 0.1}
device: {type: cpu, precision: float64, threads: 1}
model: [Linear: 8, Tanh, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
metrics: [R2Score]
train: {epochs: 3, batch_size: 32}
"""
IN_MEMORY = "data.parquet.in_memory=true"


@pytest.fixture(autouse=True)
def small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own; some dozen rows a block, some four a chunk and three chunks a buffer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # where files of overrides are looked for
    monkeypatch.setattr(sources, "MOST_ROWS", 37)
    monkeypatch.setattr(on_disk, "CHUNK_BYTES", 300)
    monkeypatch.setattr(on_disk, "BUFFER_BYTES", 4000)


def frame() -> pd.DataFrame:
    random = np.random.default_rng(5)
    made = pd.DataFrame(
        {
            "a": random.normal(3, 2, ROWS),
            "b": random.exponential(2, ROWS),
            "c": random.integers(0, 5, ROWS).astype(float),
            "word": random.choice(["u", "v", "w"], ROWS, p=[0.6, 0.3, 0.1]),
            "group": random.integers(0, 40, ROWS),
            "part": random.choice(["train", "val", "test"], ROWS, p=[0.7, 0.2, 0.1]),
        }
    )
    made["price"] = made["a"] * made["b"] + 5 * (made["word"] == "v")
    made["kind"] = np.where(made["price"] > 6, "dear", "cheap")
    made.loc[random.random(ROWS) < 0.15, ["a", "c"]] = None
    return made


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    made = frame()
    made.drop(columns=["group", "part", "kind"]).to_parquet(tmp_path / "rows.parquet")
    made.drop(columns=["kind"]).to_parquet(tmp_path / "more.parquet")
    made.drop(columns=["group", "part", "price"]).to_parquet(tmp_path / "kinds.parquet")
    (tmp_path / "val.txt").write_text("5\n17\n300\n599\n", encoding="utf-8")
    return made


def matrix(stored: Any) -> tuple[torch.Tensor, torch.Tensor]:
    xs, ys = zip(*((x.clone(), y) for x, y in stored.iter_chunks(50)), strict=True)
    return torch.cat(xs), torch.cat(ys)


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_a_category_that_is_missing_in_all_rows(in_memory: str, planned: Planned, tmp_path: Path) -> None:
    """It has no words; one_hot has a column for the missing ones."""
    made = pd.DataFrame({"a": np.arange(20.0) % 7, "word": [None] * 20, "price": np.arange(20.0) % 3})
    made.to_parquet(tmp_path / "rows.parquet")
    types = "data.parquet.types={word: category}"
    plan = planned(SPEC.replace("number: [{impute: mean}, standardize]", "number: standardize"), types,
                   f"data.parquet.in_memory={in_memory}")  # fmt: skip
    assert plan.fields.features == (2,)


SPLITS = [
    "{val: 0.2, test: 0.1}",
    "{}",
    "{val: 0.2, stratify: word}",
    "{val: 0.2, test: 0.2, order: group}",
    "{val: 0.3, groups: group}",
    "{by: part}",
    "{folds: 4, fold: 2}",
    "{val_rows: val.txt}",
]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.usefixtures("rows")
def test_each_part_has_the_same_rows_in_the_same_order(fit: Fit, split: str) -> None:
    more = ("data.parquet.files=more.parquet", f"data.split={split}", "train.epochs=1", "data.parquet.ignore=[part]")
    streamed, held = fit(SPEC, *more), fit(SPEC, *more, IN_MEMORY)
    assert streamed.parts.rows.keys() == held.parts.rows.keys()
    for name, part in held.parts.rows.items():
        x, y = matrix(streamed.parts.rows[name])
        torch.testing.assert_close(x, part.x, rtol=0, atol=1e-12)
        torch.testing.assert_close(y, part.y, rtol=0, atol=1e-12)
        torch.testing.assert_close(streamed.parts.rows[name].y, part.y, rtol=0, atol=1e-12)


CHAINS = [
    "[{impute: mean}, standardize]",
    "[{impute: {strategy: most_frequent}}, min_max]",
    "[{impute: {strategy: constant, value: 1.5}}, {clip: [0, 4]}, log, standardize]",
    "[{impute: {strategy: median, indicator: true}}, robust]",
    "[{impute: mean}, {quantile: {distribution: normal, n_quantiles: 20}}]",
    "[one_hot]",
    "[standardize, {impute: mean}]",
]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.usefixtures("rows")
def test_statistics_are_those_of_all_train_rows(planned: Planned, fit: Fit, chain: str) -> None:
    change = (f"data.transforms.number={chain}", "train.epochs=1")
    streamed, held = fit(SPEC, *change), fit(SPEC, *change, IN_MEMORY)
    assert streamed.plan.fields.features == held.plan.fields.features
    assert streamed.parts.fitted
    assert held.parts.fitted
    for found, wanted in (
        (streamed.parts.transformed.columns, held.parts.transformed.columns),
        (streamed.parts.transformed.targets, held.parts.transformed.targets),
    ):
        assert found is not None
        assert wanted is not None
        learnt, expected = found.state_dict(), wanted.state_dict()
        assert learnt.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(learnt[name], expected[name], rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.usefixtures("rows")
def test_quantiles_of_many_rows_are_those_of_a_sample_of_train(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk_fit, "MOST_ROWS", 200)
    change = ("data.transforms.number=[{impute: median}, robust]", "train.epochs=1")
    first = fit(SPEC, *change).parts.transformed.columns.state_dict()
    held = fit(SPEC, *change, IN_MEMORY).parts.transformed.columns.state_dict()
    (fill, wanted) = first["steps.1.0.fill"], held["steps.1.0.fill"]
    assert not torch.equal(fill, wanted)
    torch.testing.assert_close(fill, wanted, rtol=0.25, atol=0.3)


def test_rows_held_out_change_no_statistic(tmp_path: Path, rows: pd.DataFrame, fit: Fit) -> None:
    change = ("data.parquet.files=more.parquet", "data.split={by: part}", "train.epochs=1", "data.parquet.ignore=group")
    before = fit(SPEC, *change).parts
    held_out = rows["part"] != "train"
    rows.loc[held_out, ["a", "b"]] *= 1000
    rows.loc[held_out & (rows.index % 2 == 0), "word"] = "never seen"
    rows.drop(columns="kind").to_parquet(tmp_path / "more.parquet")
    after = fit(SPEC, *change).parts
    assert before.transformed.columns is not None
    assert after.transformed.columns is not None
    one, other = before.transformed.columns.state_dict(), after.transformed.columns.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert before.splits.train.categories == after.splits.train.categories
    assert not torch.equal(matrix(before.rows["val"])[0], matrix(after.rows["val"])[0])


def replayed(n_rows: int, row_bytes: int, seed: int, epochs: int) -> Iterator[torch.Tensor]:
    """The order of rows in each epoch, as the documentation has it, by plain torch."""
    draw = torch.Generator().manual_seed(stream_seed(seed, "shuffle"))
    chunk = 300 // row_bytes
    chunks = torch.split(torch.arange(n_rows), chunk)
    each = 4000 // (chunk * row_bytes)
    n_buffers = -(-len(chunks) // each)
    for _ in range(epochs):
        order = torch.randperm(len(chunks), generator=draw)
        seeds = torch.randint(2**62, (n_buffers,), generator=draw).tolist()
        buffers = [torch.cat([chunks[n] for n in part]) for part in torch.tensor_split(order, n_buffers)]
        mixed = [
            rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(own))]
            for rows, own in zip(buffers, seeds, strict=True)
        ]
        yield torch.cat(mixed)


@pytest.mark.usefixtures("rows")
def test_losses_are_those_of_plain_torch_in_the_same_order(fit: Fit) -> None:
    held, run = fit(SPEC, IN_MEMORY, "train.epochs=1"), fit(SPEC)
    x, y = held.parts.rows["train"].x, held.parts.rows["train"].y
    fresh = fit(SPEC, IN_MEMORY, "train.epochs=1", "optimizer.Adam.lr=1e-30").parts.model
    adam = torch.optim.Adam(fresh.parameters(), lr=0.01)
    losses = []
    for order in replayed(len(x), run.parts.rows["train"].row_bytes, 3, 3):
        assert sorted(order.tolist()) == list(range(len(x)))
        total = 0.0
        for chosen in torch.split(order, 32):
            adam.zero_grad()
            loss = torch.nn.functional.mse_loss(fresh(x[chosen]), y[chosen])
            loss.backward()
            adam.step()
            total += float(loss.detach()) * len(chosen)
        losses.append(total / len(x))
    np.testing.assert_allclose(run.losses, losses, rtol=1e-9)
    assert len(set(run.losses)) == 3


@pytest.mark.usefixtures("rows")
def test_without_shuffle_a_run_equals_that_of_rows_in_memory(fit: Fit) -> None:
    change = ("train.shuffle=false", "train.drop_last=true", "average=EMA", "train.accumulate=2")
    streamed, held = fit(SPEC, *change), fit(SPEC, *change, IN_MEMORY)
    np.testing.assert_allclose(streamed.losses, held.losses, rtol=1e-9)
    for key in ("val/loss", "val/r2_score"):
        np.testing.assert_allclose(
            list(streamed.told.series[key].values()), list(held.told.series[key].values()), rtol=1e-9
        )


@pytest.mark.usefixtures("rows")
def test_an_average_that_measures_batch_norm_anew_sees_the_rows_in_their_order(fit: Fit) -> None:
    change = ("model=[Linear: 8, BatchNorm1d, Tanh, Linear: 1]", "average=SWA", "train.shuffle=false")
    streamed, held = fit(SPEC, *change), fit(SPEC, *change, IN_MEMORY)
    for found, wanted in zip(streamed.parts.model.buffers(), held.parts.model.buffers(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("stop_at", [3, 13, 20, 27])
@pytest.mark.usefixtures("rows")
def test_a_run_goes_on_exactly_from_within_an_epoch(fit: Fit, stop_at: int) -> None:
    whole = fit(SPEC)
    begun = fit(SPEC, stop_at=stop_at)
    assert stop_at <= begun.loop.gear.step < whole.loop.gear.step
    resumed = fit(SPEC, resume=True)
    for one, other in zip(whole.parameters, resumed.parameters, strict=True):
        assert torch.equal(one, other)
    assert resumed.losses[-1] == whole.losses[-1]


@pytest.mark.usefixtures("rows")
def test_every_row_comes_once_an_epoch_wherever_the_reading_begins(fit: Fit) -> None:
    run = fit(SPEC, "train.epochs=1")
    rows, steps = run.parts.rows["train"], run.schedule
    batches = OnDiskBatches(rows, steps, 7, shuffle=True)
    epochs = []
    for _ in range(2):
        batches.begin_epoch()
        epochs.append([batches.at(place)[0].clone() for place in range(steps.steps_per_epoch)])
    for place in (5, 0, 12, 3):  # from anywhere, and backwards
        assert torch.equal(batches.at(place)[0], epochs[1][place])
    whole = {tuple(row) for row in matrix(rows)[0].tolist()}
    for epoch in epochs:
        assert {tuple(row) for row in torch.cat(epoch).tolist()} == whole
        assert sum(map(len, epoch)) == len(rows)
    assert not torch.equal(epochs[0][0], epochs[1][0])
    assert generator(7, "shuffle").get_state().equal(OnDiskBatches(rows, steps, 7, shuffle=True).state(mid_epoch=False))


def test_csv_and_parquet_train_alike(tmp_path: Path, rows: pd.DataFrame, fit: Fit) -> None:
    rows.drop(columns=["group", "part", "kind"]).to_csv(tmp_path / "rows.csv", index=False)
    text = SPEC.replace("parquet: {files: rows.parquet", "csv: {files: rows.csv")
    assert fit(text).losses == fit(SPEC).losses


CLASSES = (
    "data.parquet.files=kinds.parquet", "data.parquet.target=kind", "model=[Linear: 8, Tanh, Linear: 2]",
    "loss={CrossEntropyLoss: {weight: balanced}}", "metrics=[Accuracy, AUROC]",
)  # fmt: skip


@pytest.mark.parametrize("most", [10**6, 64])
@pytest.mark.usefixtures("rows")
def test_evaluation_in_pieces_equals_that_of_all_rows(fit: Fit, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(evaluating, "MOST_OUTPUTS", most)
    monkeypatch.setattr(evaluating, "BLOCK", 30)
    unset = "data.transforms={number: [{impute: mean}, standardize], word: one_hot}"
    for change in ((), (*CLASSES, unset), ("loss={MSELoss: {reduction: sum}}",)):
        run = fit(SPEC, *change, "train.shuffle=false", "train.epochs=1")
        held = fit(SPEC, *change, "train.shuffle=false", "train.epochs=1", IN_MEMORY)
        for name, rows in held.parts.rows.items():
            found = evaluate(run.plan, run.parts, run.parts.rows[name])
            wanted = evaluate(held.plan, held.parts, rows)
            is_weighted = bool(change) and change[0] == CLASSES[0]
            loss = {"rel": 0.05 if is_weighted and most == 64 else 1e-9}  # a weighted mean has no pieces
            assert found.pop("loss") == pytest.approx(wanted.pop("loss"), **loss)
            assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.usefixtures("rows")
def test_transforms_that_are_trained_begin_as_in_memory(fit: Fit) -> None:
    change = ("data.transforms.word=embedding", "train.shuffle=false")
    np.testing.assert_allclose(fit(SPEC, *change).losses, fit(SPEC, *change, IN_MEMORY).losses, rtol=1e-6)
    again = fit(SPEC, *change)
    np.testing.assert_allclose(again.losses, fit(SPEC, *change, IN_MEMORY).losses, rtol=1e-6)


def kept(tmp_path: Path) -> list[Path]:
    home = tmp_path / "cache" / "annpipe" / "rows"
    return sorted(home.iterdir()) if home.is_dir() else []


@pytest.mark.usefixtures("rows")
def test_rows_are_written_once_and_never_taken_when_they_are_not_whole(
    tmp_path: Path, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = fit(SPEC, "train.epochs=1").losses
    (folder,) = kept(tmp_path)
    written = (folder / "train.x").stat().st_mtime_ns
    assert fit(SPEC, "train.epochs=1").losses == wanted
    assert (folder / "train.x").stat().st_mtime_ns == written
    with (folder / "train.x").open("r+b") as file:
        file.truncate(100)
    assert fit(SPEC, "train.epochs=1").losses == wanted
    (folder / "state.json").unlink()
    with monkeypatch.context() as patch:

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        with pytest.raises(Exception, match="No space left on device; XDG_CACHE_HOME"):
            fit(SPEC, "train.epochs=1")
    assert kept(tmp_path) == [folder]
    dead = folder.with_name(f".{folder.name}.999999999")
    dead.mkdir()
    assert fit(SPEC, "train.epochs=1").losses == wanted
    assert kept(tmp_path) == [folder]


@pytest.mark.parametrize(
    "change",
    ["seed=4", "data.split.val=0.3", "device.precision=float32", "data.transforms.number=[{impute: mean}, min_max]"],
)
@pytest.mark.usefixtures("rows")
def test_what_decides_the_rows_decides_their_folder(tmp_path: Path, fit: Fit, change: str) -> None:
    fit(SPEC, "train.epochs=1")
    fit(SPEC, "train.epochs=1", "model.0.Linear=9", "optimizer.Adam.lr=0.5")
    assert len(kept(tmp_path)) == 1
    fit(SPEC, "train.epochs=1", change)
    assert len(kept(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("rows")
def test_the_saved_model_and_the_record_are_those_of_rows_in_memory(go: Go) -> None:
    change = ("train.shuffle=false", "plots=[predictions, residuals]", "callbacks=[{sample_predictions: 1}]")
    streamed, held = go(SPEC, *change), go(SPEC, *change, IN_MEMORY)
    assert (streamed.outcome.status, held.outcome.status) == ("FINISHED", "FINISHED"), streamed.outcome.error
    assert streamed.outcome.values == pytest.approx(held.outcome.values, rel=1e-9)
    one, other = (json.loads((run.folder / "model" / "model.json").read_text()) for run in (streamed, held))
    assert one == other
    assert (streamed.folder / "artifacts" / "looks" / "samples" / "epoch_1.csv").is_file()
    said = [line for line in streamed.said if "rows" in line]
    assert any("writing the rows" in line for line in said)
    assert not any("figures show" in line for line in said), "all rows fit into the sample"
    events = (streamed.folder / "journal.jsonl").read_text()
    assert '"rows": 600' in events.replace('\\"', '"')


@pytest.mark.usefixtures("rows")
def test_figures_of_many_rows_show_some_and_say_so(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    from annpipe.datasets.on_disk import split as on_disk_split

    monkeypatch.setattr(on_disk_split, "SAMPLE", 50)
    run = go(SPEC, "plots=[predictions]", "train.epochs=1")
    told = "figures show 50 of 420 rows of train, 50 of 120 rows of val, 50 of 60 rows of test, at equal distances"
    assert told in run.said


@pytest.mark.usefixtures("rows")
def test_a_batch_of_all_rows_is_refused(planned: Planned) -> None:
    with pytest.raises(SpecError, match="a batch of all 600 rows would hold them in memory"):
        planned(SPEC, "train.batch_size=all")


def test_a_class_that_train_lacks_is_told_by_all_rows(
    tmp_path: Path, rows: pd.DataFrame, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annpipe.datasets.on_disk import split as on_disk_split

    monkeypatch.setattr(on_disk_split, "SAMPLE", 20)
    rows["kind"] = ["cheap"] * 560 + ["dear"] * 38 + ["odd"] * 2
    rows["order"] = range(ROWS)
    rows.drop(columns=["group", "part", "price"]).to_parquet(tmp_path / "kinds.parquet")
    change = ("model=[Linear: 8, Tanh, Linear: 3]", "data.split={test: 0.004, order: order}")
    transforms = "data.transforms={number: [{impute: mean}, standardize], word: one_hot}"
    messages = [
        [problem.message for problem in planned(SPEC, *CLASSES, *change, transforms, *more).warnings]
        for more in ((), (IN_MEMORY,))
    ]
    assert messages[0] == messages[1] == ["no row of the train split has the class 'odd' of 'kind'; test has 2"]


MEMORY = """
import atexit, os, runpy, sys
from pathlib import Path
def tell():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    os.write(2, ("\\n" + peak).encode())
atexit.register(tell)
"""
RUN = """
sys.argv = ["annpipe", "run", "spec.yaml"]
runpy.run_module("annpipe", run_name="__main__")
"""
TRAIN = """
import torch
from annpipe.runs.launch import complete
from annpipe.runs.spec_source import SpecSource
from annpipe.observer import SILENT
from annpipe.backend.device import computing
from annpipe.train.loop.evaluate import evaluate
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.parts import build
from annpipe.train.schedule import schedule
plan = complete(SpecSource(Path("spec.yaml"), tuple(sys.argv[1:])).draft(), SILENT)
with computing("float32", deterministic=True) as dtype:
    parts = build(plan, torch.device("cpu"), dtype)
    steps = schedule(plan, len(parts.rows["train"]))
    Eager(plan, parts, steps).advance(steps.steps_per_epoch)
    evaluate(plan, parts, parts.rows["train"])
"""


def peak(folder: Path, script: str, *arguments: str) -> int:
    """MiB that were resident at the highest point."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ANNPIPE"))}
    command = [sys.executable, "-c", MEMORY + script, *arguments]
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stderr.rsplit("VmHWM:", 1)[1].split()[0]) // 1024


def numbers(folder: Path, rows: int) -> None:
    """A table of so many rows × 100, and a spec that trains on it once."""
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    with parquet.ParquetWriter(
        folder / "rows.parquet", pa.schema([(f"x{n}", pa.float32()) for n in range(101)])
    ) as file:
        for _ in range(rows // 20_000):
            columns = [pa.array(column) for column in random.standard_normal((101, 20_000), dtype=np.float32)]
            file.write_table(pa.Table.from_arrays(columns, schema=file.schema))
    (folder / "spec.yaml").write_text(
        "{version: 1, name: large, data: {parquet: {files: rows.parquet, target: x0, in_memory: false}, "
        "transforms: {number: standardize}}, model: [Linear: 1], loss: MSELoss, optimizer: SGD, "
        "train: {epochs: 1, batch_size: 512}}",
        encoding="utf-8",
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
def test_training_holds_less_in_memory_than_the_rows_take(tmp_path: Path) -> None:
    numbers(tmp_path, 160_000)  # 64 MB, and 128 MB in double precision
    assert peak(tmp_path, TRAIN) + 100 < peak(tmp_path, TRAIN, IN_MEMORY)


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
def test_a_million_rows_of_a_hundred_columns_stay_below_a_gigabyte_and_a_half(tmp_path: Path) -> None:
    numbers(tmp_path, 1_000_000)
    assert peak(tmp_path, RUN) < 1536
