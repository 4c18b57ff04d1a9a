"""Dates and texts go with the saved model: raw cells in, in every way that there is, in memory and on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch

from annpipe.portable.network import SavedNetwork
from annpipe.saved.predict import predict

N = 60
SPEC = """
version: 1
name: flats
data:
  {kind}:
    files: {file}
    target: y
    {reading}
    types: {{sold: date, note: text, born: date}}
    texts: {{note: {{n_features: 8, analyzer: char_wb, ngram_range: [2, 3]}}}}
    in_memory: {in_memory}
  transforms:
    sold: [{{date_parts: {{parts: [month, weekday, hour], cyclic: true}}}}]
    born: [{{days_since: {{date: 2020-06-01, backwards: true}}}}, impute, standardize]
    size: standardize
model: [{{Linear: 4}}, Tanh, {{Linear: 1}}]
loss: MSELoss
optimizer: {{SGD: 0.01}}
train: {{epochs: 2, batch_size: 20}}
"""


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 10**6, N), unit="min")
    born = pd.Series(pd.Timestamp("1990-01-01") + pd.to_timedelta(random.integers(0, 9000, N), unit="D"))
    born[5] = pd.NaT
    notes = random.choice(["quiet and bright", "loud, dark", "Größe M", None], N)
    return pd.DataFrame({"sold": days, "born": born, "note": notes, "size": random.normal(size=N), "y": range(N)})


def as_csv(frame: pd.DataFrame, to: Path) -> None:
    written = frame.assign(sold=frame["sold"].dt.strftime("%d.%m.%Y %H:%M"), born=frame["born"].dt.strftime("%m/%d/%Y"))
    written.to_csv(to, index=False, sep=";", decimal=",")


READING = 'delimiter: ";"\n    decimal: ","\n    dates: ["%d.%m.%Y %H:%M", "%m/%d/%Y"]'


def answers(run: Path, source: Path, to: Path) -> list[float]:
    predict(run, str(source), to)
    return list(pd.read_csv(to)["y"])


@pytest.mark.slow
def test_a_saved_model_takes_raw_dates_and_texts(go: Any, frame: pd.DataFrame, tmp_path: Path) -> None:
    """CSV, Parquet, frames of text and of moments give the same; so does a run of rows on disk."""
    as_csv(frame, tmp_path / "flats.csv")
    frame.to_parquet(tmp_path / "flats.parquet")
    text = SPEC.format(kind="csv", file="flats.csv", reading=READING, in_memory="true")
    gone = go(text)
    assert gone.outcome.status == "FINISHED", gone.outcome.error
    run = gone.folder
    of_csv = answers(run, tmp_path / "flats.csv", tmp_path / "a.csv")
    assert answers(run, tmp_path / "flats.parquet", tmp_path / "b.csv") == of_csv
    network = SavedNetwork(run / "model")
    texts = frame.assign(sold=frame["sold"].dt.strftime("%Y-%m-%dT%H:%M"), born=frame["born"].dt.strftime("%Y-%m-%d"))
    for table in (frame, texts):
        outputs = network.outputs(network.features(network.columns(table)))
        np.testing.assert_allclose(outputs[:, 0], of_csv, rtol=1e-6)
    with pytest.raises(ValueError, match="'soon' in the column 'sold' is not a date"):
        network.columns(texts.assign(sold="soon"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_on_disk_are_those_in_memory(kind: str, planned: Any, frame: pd.DataFrame, tmp_path: Path) -> None:
    """The features, number by number."""
    from annpipe.datasets.prepare import prepare_rows
    from annpipe.observer import Observer

    as_csv(frame, tmp_path / "flats.csv")
    frame.to_parquet(tmp_path / "flats.parquet")
    reading = READING if kind == "csv" else ""
    rows = []
    for in_memory in ("true", "false"):
        plan = planned(SPEC.format(kind=kind, file=f"flats.{kind}", reading=reading, in_memory=in_memory))
        prepared = prepare_rows(plan.request, torch.device("cpu"), torch.float32, Observer())
        chunks = list(prepared.rows["train"].iter_chunks(N))
        rows.append(torch.cat([x for x, _ in chunks]))
        assert plan.model[0].input_shape == (6 + 1 + 1 + 8,)
    assert torch.equal(rows[0], rows[1])
