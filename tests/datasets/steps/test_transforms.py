"""Transforms in a run: fitted on the train split alone, part of the saved model, and back in the units of the data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from annpipe.export.model import export_model, saved_model
from annpipe.train.loop.evaluate import evaluate, predict
from annpipe.train.loop.figures import predictor

SPEC = """
version: 1
name: columns
device: {type: cpu, threads: 1, precision: float64}
data:
  csv: {files: people.csv, target: price}
  transforms:
    town: one_hot
    number: [{impute: median}, standardize]
  split: {val: 0.2, test: 0.2}
model: [Linear: 8, Tanh, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 3, batch_size: 16}
metrics: [MeanAbsoluteError]
"""


def people(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    """A table with missing numbers and words; the row's number is its first column."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows).astype(float),
            "height": random.normal(170, 10, rows).round(1),
            "town": random.choice(["Bonn", "Kiel", "Ulm"], rows),
        }
    )
    frame["price"] = 3 * frame["age"] + frame["height"] + 50 * (frame["town"] == "Kiel") + 1e-3 * np.arange(rows)
    frame.loc[random.random(rows) < 0.1, "height"] = np.nan
    frame.loc[random.random(rows) < 0.1, "town"] = None
    return frame


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    frame = people()
    frame.to_csv(tmp_path / "people.csv", index=False)
    return frame


def rows_of(parts: Any, frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of a split, found again by their targets, which differ."""
    targets = getattr(parts.splits, name).targets["price"].numpy()
    return frame.set_index("price").loc[targets].reset_index()


def test_features_equal_those_of_a_scikit_learn_pipeline_fitted_on_the_train_split(table: Any, fit: Any) -> None:
    """Impute, scale and one-hot, for the rows of every split."""
    assert table["price"].is_unique
    parts = fit(SPEC).parts
    columns = ColumnTransformer(
        [
            ("town", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"]),
            ("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "height"]),
        ]
    ).fit(rows_of(parts, table, "train"))
    for name, rows in parts.rows.items():
        expected = columns.transform(rows_of(parts, table, name))
        np.testing.assert_allclose(rows.x.numpy(), expected, atol=1e-12)


def test_other_rows_in_val_and_test_change_no_statistic(table: pd.DataFrame, tmp_path: Path, fit: Any) -> None:
    """Everything learnt, the names of categories and the trained weights are the same bit for bit."""
    before = fit(SPEC).parts
    held = {*before.splits.val.targets["price"].tolist(), *before.splits.test.targets["price"].tolist()}
    changed = table.copy()
    there = changed["price"].isin(held)
    changed.loc[there, "age"] = 1e6
    changed.loc[there, "height"] = np.nan
    changed.loc[there, "town"] = "Aachen"  # the first in the alphabet, so that the others' positions move
    changed.to_csv(tmp_path / "people.csv", index=False)
    after = fit(SPEC).parts
    assert after.dataset.categories["town"] == ("Aachen", "Bonn", "Kiel", "Ulm")
    assert after.splits.train.categories == before.splits.train.categories == {"town": ("Bonn", "Kiel", "Ulm")}
    ours, theirs = saved_model(before).state_dict(), saved_model(after).state_dict()
    assert list(ours) == list(theirs)
    assert [name for name in ours if not torch.equal(ours[name].nan_to_num(), theirs[name].nan_to_num())] == []
    assert "columns.steps.1.1.mean" in ours
    assert (after.rows["test"].x[:, :3] == 0).all()  # a category that the train split does not have


SCALED = SPEC.replace("    town: one_hot\n", "    town: {embedding: 2}\n    price: standardize\n")


def test_targets_are_scaled_for_the_loss_and_come_back_in_their_units(table: Any, fit: Any) -> None:
    done = fit(SCALED)
    parts, plan = done.parts, done.plan
    truth = parts.splits.train.targets["price"]
    np.testing.assert_allclose(
        parts.rows["train"].y[:, 0].numpy(), StandardScaler().fit_transform(truth[:, None])[:, 0]
    )
    rows = parts.rows["test"]
    scaled = predict(parts.model, rows.x)
    units = scaled[:, 0] * truth.std(correction=0) + truth.mean()
    found = evaluate(plan, parts, rows)
    assert found["loss"] == pytest.approx(float((scaled - rows.y).square().mean()))
    error = (units - parts.splits.test.targets["price"]).abs().mean()
    assert found["mean_absolute_error"] == pytest.approx(float(error))
    view = predictor(plan, parts)(parts.splits.test.inputs)
    torch.testing.assert_close(view["price"], units)


def test_an_embedding_is_trained_and_a_resumed_run_is_the_same(table: Any, fit: Any) -> None:
    whole = fit(SCALED)
    weight = dict(whole.parts.model.named_parameters())["columns.steps.0.0.tables.0.weight"]
    begun = fit(SCALED.replace("epochs: 3", "epochs: 1").replace("lr: 0.01", "lr: 1.0e-30"))
    before = dict(begun.parts.model.named_parameters())["columns.steps.0.0.tables.0.weight"]
    assert weight.shape == (4, 2)
    assert not torch.equal(weight, before)
    fit(SCALED, stop_at=7)
    again = fit(SCALED, resume=True)
    assert again.losses == whole.losses[-len(again.losses) :]
    assert all(torch.equal(a, b) for a, b in zip(again.parameters, whole.parameters, strict=True))


ASK = """
import json, sys
sys.modules["annpipe"] = sys.modules["annpipe_std"] = sys.modules["pydantic"] = None
import pandas as pd, torch
sys.path.insert(0, sys.argv[1])
import network
from safetensors.torch import load_file
model = network.build()
model.load_state_dict(load_file(sys.argv[1] + "/weights.safetensors"))
rows = torch.tensor(json.load(open(sys.argv[2])), dtype=torch.float64)
print(json.dumps(model.eval()(rows).tolist()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", [SPEC, SCALED, SCALED.replace("number: [{impute: median}, standardize]", "'*': impute")]
)
def test_the_saved_model_takes_raw_rows_where_annpipe_is_not(spec: str, table: Any, fit: Any, tmp_path: Path) -> None:
    """Missing values and an unseen category (-1) included; the same predictions as those of the run."""
    done = fit(spec)
    export_model(done.plan, done.parts, tmp_path / "model")
    raw = torch.stack(list(done.parts.splits.test.inputs.values()), 1)
    rows = [[None if value != value else value for value in row] for row in raw.tolist()]
    rows.append([30.0, None, -1.0])
    as_nan = [[float("nan") if value is None else value for value in row] for row in rows]
    (tmp_path / "rows.json").write_text(json.dumps(as_nan), encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path / "model"), str(tmp_path / "rows.json")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    given = torch.tensor(json.loads(answer.stdout), dtype=torch.float64)
    inputs = {name: torch.tensor([row[n] for row in as_nan]) for n, name in enumerate(done.plan.fields.inputs)}
    expected = predictor(done.plan, done.parts)({name: values.double() for name, values in inputs.items()})["price"]
    torch.testing.assert_close(given[:, 0], expected)


IMAGES = """
version: 1
name: images
device: {type: cpu, threads: 1}
data:
  sklearn: {load: digits, images: true}
  transforms: {image: [normalize, {random_shift: 1}]}
  split: {test: 0.5}
model: [Conv2d: [4, 3], ReLU, Flatten, Linear: 10]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 1, batch_size: 64}
"""


def test_images_are_scaled_once_and_moved_in_each_batch(fit: Any, tmp_path: Path) -> None:
    done = fit(IMAGES)
    train = done.parts.splits.train.inputs["image"]
    x = done.parts.rows["train"].x
    assert float(x.mean()) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(x, ((train - train.mean()) / train.std(correction=0)).float())
    shift = done.parts.model.get_submodule("columns")
    torch.manual_seed(1)
    assert not torch.equal(shift.train()(x), x)
    assert torch.equal(shift.eval()(x), x)
    export_model(done.plan, done.parts, tmp_path / "model")
    (tmp_path / "rows.json").write_text(json.dumps(train[:3].tolist()), encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path / "model"), str(tmp_path / "rows.json")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    torch.testing.assert_close(torch.tensor(json.loads(answer.stdout)), predict(done.parts.model, x[:3]))
