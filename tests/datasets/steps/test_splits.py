"""Splits: as large as asked, without a row twice, drawn from the seed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annpipe.datasets.steps.make import make_dataset
from annpipe.datasets.steps.splits import Splits, split_dataset
from annpipe.errors import SpecError

SPEC = """
version: 1
name: splits
data:
  formula: {rows: ROWS, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}}
  split: {val: VAL, test: TEST}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


def splits(planned: Any, rows: int, val: float, test: float, seed: int = 0) -> Splits:
    """The splits of a spec, its data made anew."""
    text = SPEC.replace("ROWS", str(rows)).replace("VAL", str(val)).replace("TEST", str(test)) + f"seed: {seed}\n"
    plan = planned(text)
    return split_dataset(make_dataset(plan.data, 0), plan.split, plan.head.seed)


def xs(part: Any) -> list[float]:
    """The inputs of a split, which tell its rows apart."""
    return [] if part is None else list(part.inputs["x"].tolist())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(10, 300), val=st.floats(0.1, 0.5), test=st.floats(0.1, 0.4), seed=st.integers(0, 2**40))
def test_every_row_is_in_exactly_one_split(planned: Any, rows: int, val: float, test: float, seed: int) -> None:
    """The sizes are the rounded fractions, inputs and targets stay together, and each split keeps the data's order."""
    found = splits(planned, rows, val, test, seed)
    everything = xs(make_dataset(planned(SPEC.replace("ROWS", str(rows)).replace("VAL", "0.0")
                                 .replace("TEST", "0.0")).data, 0))  # fmt: skip
    assert len(xs(found.val)) == round(rows * val)
    assert len(xs(found.test)) == round(rows * test)
    parts = [xs(found.train), xs(found.val), xs(found.test)]
    assert sorted(x for part in parts for x in part) == sorted(everything)
    for part, values in zip((found.train, found.val, found.test), parts, strict=True):
        assert values == [x for x in everything if x in set(values)]
        assert part is not None
        assert torch.equal(part.targets["y"], 2 * part.inputs["x"])
        assert torch.equal(part.truth["y"], part.targets["y"])


def test_another_seed_draws_other_rows(planned: Any) -> None:
    """The same data cut elsewhere."""
    assert xs(splits(planned, 100, 0.2, 0.1).val) == xs(splits(planned, 100, 0.2, 0.1).val)
    assert xs(splits(planned, 100, 0.2, 0.1).val) != xs(splits(planned, 100, 0.2, 0.1, seed=1).val)


def test_without_fractions_all_rows_train(planned: Any) -> None:
    """In their order."""
    found = splits(planned, 10, 0.0, 0.0)
    assert (found.val, found.test) == (None, None)
    assert len(xs(found.train)) == 10


def test_a_fraction_that_takes_no_row_or_every_row_is_refused(planned: Any) -> None:
    """Three rows: a tenth of them is none; most of them twice leaves none."""
    with pytest.raises(SpecError, match=r"the val split of 0\.1 takes none of the 3 rows"):
        splits(planned, 3, 0.1, 0.0)
    with pytest.raises(SpecError, match="leaves none of the 3 rows"):
        splits(planned, 3, 0.5, 0.45)


# --- rows chosen by what they hold

TABLE = """
version: 1
name: splits
data:
  csv: {files: rows.csv, target: y, features: x}
  split: SPLIT
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


def cut(planned: Any, folder: Path, split: str, **columns: list[Any]) -> dict[str, list[int]]:
    """The rows of each part by their numbers, which the column x holds."""
    rows = len(next(iter(columns.values())))
    lines = [",".join(["x", "y", *columns])]
    lines += [",".join(map(str, (row, 2 * row, *(column[row] for column in columns.values())))) for row in range(rows)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plan = planned(TABLE.replace("SPLIT", split))
    made = make_dataset(plan.data, 0, plan.split.columns)
    found = split_dataset(made, plan.split, plan.head.seed)
    return {name: [int(x) for x in part.inputs["x"].tolist()] for name, part in found.by_name.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(8, 60), min_size=2, max_size=4),
    val=st.sampled_from([0.0, 0.15, 0.25]),
    test=st.sampled_from([0.1, 0.25, 0.4]),
)
def test_a_stratified_split_has_the_classes_in_proportion(
    planned: Any, tmp_path: Path, sizes: list[int], val: float, test: float
) -> None:
    """Each class differs from its share by less than two rows, and the parts are as large as asked."""
    kinds = [kind for kind, size in enumerate(sizes) for _ in range(size)]
    text = f"{{val: {val}, test: {test}, stratify: kind}}"
    rows = len(kinds)
    lines = ["x,kind", *(f"{row},k{kind}" for row, kind in enumerate(kinds))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = TABLE.replace("SPLIT", text).replace("target: y", "target: kind")
    spec = spec.replace("MSELoss", "CrossEntropyLoss").replace("Linear: 1", f"Linear: {len(sizes)}")
    plan = planned(spec)
    found = split_dataset(make_dataset(plan.data, 0), plan.split, plan.head.seed).by_name
    assert sum(part.rows for part in found.values()) == rows
    for name, fraction in (("val", val), ("test", test)):
        part = found.get(name)
        assert (part.rows if part else 0) == round(rows * fraction)
        for kind, size in enumerate(sizes):
            has = int((part.targets["kind"] == kind).sum()) if part else 0
            assert abs(has - size * fraction) < 2


def test_groups_stay_in_one_part(planned: Any, tmp_path: Path) -> None:
    """No person is in two parts, and the parts are about as large as asked."""
    person = [f"p{row % 17}" for row in range(170)]
    found = cut(planned, tmp_path, "{val: 0.2, test: 0.3, groups: person}", person=person)
    people = {name: {person[row] for row in rows} for name, rows in found.items()}
    assert people["train"] | people["val"] | people["test"] == set(person)
    assert not people["train"] & people["val"]
    assert not people["test"] & (people["train"] | people["val"])
    assert [len(found[name]) for name in ("val", "test")] == [30, 50]


def test_an_order_holds_the_last_rows_out(planned: Any, tmp_path: Path) -> None:
    """The test is later than val, and val than what is trained on, wherever they stand in the file."""
    day = [f"2024-{1 + row * 7 % 12:02}-{1 + row * 5 % 28:02}" for row in range(40)]
    found = cut(planned, tmp_path, "{val: 0.25, test: 0.25, order: day}", day=day)
    days = {name: [day[row] for row in rows] for name, rows in found.items()}
    assert [len(days[name]) for name in ("train", "val", "test")] == [20, 10, 10]
    assert max(days["train"]) <= min(days["val"])
    assert max(days["val"]) <= min(days["test"])


def test_a_column_says_which_part(planned: Any, tmp_path: Path) -> None:
    part = ["Train", "test", "train", "VAL", "train", "test"]
    assert cut(planned, tmp_path, "{by: part}", part=part) == {"train": [0, 2, 4], "val": [3], "test": [1, 5]}


@pytest.mark.parametrize("in_memory", ["true", "false"])
@pytest.mark.parametrize(
    "watching",
    [
        "callbacks: [early_stopping: {patience: 3}]",
        "callbacks: [checkpoint: {best: val/loss}]",
        "scheduler: {ReduceLROnPlateau: {monitor: val/loss}}",
    ],
)
def test_a_metric_of_val_that_no_row_is_of_is_not_watched(
    planned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watching: str, in_memory: str
) -> None:
    """What the column says is known once the rows are: the plan refuses it, and no run is lost."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = "x,y,part\n" + "".join(f"{row},{row % 3},{'test' if row % 3 else 'train'}\n" for row in range(12))
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    spec = TABLE.replace("SPLIT", "{by: part}") + watching + "\n"
    with pytest.raises(SpecError) as caught:
        planned(spec, f"data.csv.in_memory={in_memory}", "train.batch_size=4")
    (problem,) = caught.value.problems
    assert problem.message.endswith("there is no metric 'val/loss' while this run trains")
    assert problem.help == "let the column 'part' say val in some rows, or watch train/loss"
    plan = planned(
        spec.replace("val/loss", "train/loss").replace("early_stopping: {", "early_stopping: {monitor: train/loss, ")
    )
    assert plan.measured_parts == ("train", "test")


def test_a_scheduler_follows_the_loss_of_train_where_no_row_is_of_val(planned: Any, tmp_path: Path) -> None:
    rows = "x,y,part\n" + "".join(f"{row},{row % 3},{'test' if row % 3 else 'train'}\n" for row in range(12))
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    spec = TABLE.replace("SPLIT", "{by: part}") + "scheduler: ReduceLROnPlateau\n"
    assert planned(spec).followed_metric == "train/loss"
    (tmp_path / "rows.csv").write_text(rows.replace("2,2,test", "2,2,val"), encoding="utf-8")
    assert planned(spec).followed_metric == "val/loss"


def test_files_say_which_rows(planned: Any, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text("4\n1\n", encoding="utf-8")
    found = cut(planned, tmp_path, "{test_rows: held.txt}", z=[0] * 6)
    assert found == {"train": [0, 2, 3, 5], "test": [1, 4]}


@pytest.mark.parametrize("more", ["", ", stratify: x", ", groups: g"])
def test_folds_are_each_row_once(planned: Any, tmp_path: Path, more: str) -> None:
    """The val parts of all folds are the rows without the test, which is the same in each."""
    g = [f"g{row // 3}" for row in range(48)]
    found = [cut(planned, tmp_path, f"{{folds: 4, fold: {fold}, test: 0.25{more}}}", g=g) for fold in range(4)]
    assert all(part["test"] == found[0]["test"] for part in found)
    together = sorted(row for part in found for row in part["val"])
    assert together == sorted(set(range(48)) - set(found[0]["test"]))
    assert all(sorted(part["train"] + part["val"] + part["test"]) == list(range(48)) for part in found)
    assert {len(part["val"]) for part in found} == {9}


def test_a_seed_of_its_own_holds_the_same_rows_out(planned: Any, tmp_path: Path) -> None:
    """Whatever the run's seed; another one of the split draws other rows."""
    kind = ["a", "b"] * 20
    text = TABLE.replace("features: x", "features: x, ignore: kind")
    (tmp_path / "rows.csv").write_text(
        "\n".join(["x,y,kind", *(f"{row},{row},{kind[row]}" for row in range(40))]) + "\n", encoding="utf-8"
    )
    held = []
    for seed, own in ((0, 0), (7, 0), (7, 1), (7, None)):
        plan = planned(
            f"seed: {seed}\n" + text.replace("SPLIT", f"{{test: 0.25, seed: {own}}}".replace("None", "null"))
        )
        made = make_dataset(plan.data, plan.head.seed, plan.split.columns)
        test = split_dataset(made, plan.split, plan.head.seed).test
        assert test
        held.append(test.inputs["x"].tolist())
    assert held[0] == held[1]
    assert len({tuple(rows) for rows in held[1:]}) == 3
