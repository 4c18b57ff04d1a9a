"""MLflow's scoring server, asked over HTTP where annpipe cannot be imported, answers as `annpipe predict` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

import annpipe
from annpipe.record.store.serving import curl_line, serve_model, write_model
from annpipe.saved.predict import predict
from tests.conftest import unrecorded

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore:::mlflow\.")]

SPEC = """
version: 1
name: shops
seed: 3
device: {type: cpu, threads: 1}
data:
  csv: {files: shops.csv, target: kind, types: {zip: category}}
  transforms:
    number: [{impute: median}, standardize]
    category: one_hot
    boolean: {impute: most_frequent}
model: [Linear: 8, Tanh, Linear: 3]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 0.03}}
train: {epochs: 8, batch_size: 32}
plots: []
"""
# Python imports it as it starts: nothing of annpipe can be found, whatever PYTHONPATH says.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("annpipe", "annpipe_std"):
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""
SPLIT, RECORDS, INPUTS, INSTANCES, CSV = "dataframe_split", "dataframe_records", "inputs", "instances", "text/csv"
WAYS = (CSV, SPLIT, RECORDS, INPUTS, INSTANCES)


def shops(rows: int) -> pd.DataFrame:
    """Words, codes with zeros in front, a boolean, whole numbers and others."""
    random = np.random.default_rng(rows)
    frame = pd.DataFrame({"size": random.normal(50, 12, rows).round(2), "rooms": random.integers(1, 9, rows)})
    frame["open"] = np.where(random.random(rows) < 0.5, "yes", "no")
    frame["town"] = random.choice(["Bern", "Köln", "Wien"], rows)
    frame["zip"] = random.choice(["01067", "10115", "20095"], rows)
    score = frame["size"] / 12 + frame["rooms"] / 4 + (frame["town"] == "Wien") + (frame["open"] == "yes")
    frame["kind"] = np.array(["café", "bar", "hotel"])[np.digitize(score, [5.0, 6.5])]
    return frame


@dataclass(frozen=True)
class Served:
    """A run, the MLflow model that is made of it, and the address of its server."""

    run: Path
    model: Path
    address: str

    def ask(self, body: str | bytes, kind: str = "application/json") -> tuple[int, Any]:
        """Status and content of the answer."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(f"{self.address}/invocations", data, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read(), parse_constant=_no_constant)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def predicted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What `annpipe predict` writes for the rows."""
        rows.to_csv(self.run / "rows.csv", index=False)
        predict(self.run, str(self.run / "rows.csv"), self.run / "answers.parquet")
        return pd.read_parquet(self.run / "answers.parquet")

    def answers(self, rows: pd.DataFrame, way: str) -> pd.DataFrame:
        """What the server answers for rows that are sent in this form."""
        status, content = self.ask(*sent(rows, way))
        assert status == 200, content
        return pd.DataFrame(content["predictions"])


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def sent(rows: pd.DataFrame, way: str) -> tuple[str, str]:
    """The body of a request and its content type."""
    if way == CSV:
        return rows.to_csv(index=False), CSV
    cells = rows.astype(object).where(rows.notna(), None)
    contents: dict[str, Callable[[], Any]] = {
        SPLIT: lambda: {"columns": list(cells), "data": cells.to_numpy().tolist()},
        RECORDS: lambda: cells.to_dict("records"),
        INPUTS: lambda: cells.to_dict("list"),
        INSTANCES: lambda: cells.to_dict("records"),
    }
    return json.dumps({way: contents[way]()}), "application/json"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("shops")
    shops(240).to_csv(folder / "shops.csv", index=False)
    (folder / "shops.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "blocker").mkdir()
    (folder / "blocker" / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with unrecorded():
            run = annpipe.run(folder / "shops.yaml").folder
        write_model(run / "model", folder / "served")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "blocker"), *sys.path]))
        blocked = subprocess.run([sys.executable, "-c", "import annpipe"], capture_output=True, check=False)
        assert b"annpipe is blocked" in blocked.stderr
        with serve_model(folder / "served", None) as server:
            patch.undo()
            yield Served(run, folder / "served", server.address)


def check(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found) == list(expected)
    assert found["kind"].tolist() == expected["kind"].tolist()
    shares = expected.columns[1:]
    np.testing.assert_allclose(found[shares].to_numpy(float), expected[shares].to_numpy(float), rtol=0, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_every_form_of_rows_is_answered_as_predict_does(served: Served, way: str) -> None:
    """Ten thousand rows in one request, without annpipe."""
    rows = shops(10_000).drop(columns="kind")
    check(served.answers(rows, way), served.predicted(rows))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(size=rows["size"].round().astype(int)),
        lambda rows: rows.assign(rooms=rows["rooms"] * 1.0),
        lambda rows: rows.assign(
            size=rows["size"].where(rows.index % 3 > 0), rooms=rows["rooms"].where(rows.index > 4)
        ),
        lambda rows: rows.assign(open=rows["open"].where(rows.index > 2), town=rows["town"].where(rows.index > 3)),
        lambda rows: rows.assign(town="Atlantis", zip="99999"),
        lambda rows: rows[rows.columns[::-1]],
        lambda rows: rows.assign(size=rows["size"].astype(str), more=1),
        lambda rows: rows.astype({"rooms": "Int64"}).assign(rooms=lambda frame: frame["rooms"].where(frame.index > 4)),
        lambda rows: rows.assign(open=(rows["open"] == "yes").astype("boolean").where(rows.index > 4)),
        lambda rows: rows.iloc[:1],
    ],
    ids=[
        *("whole numbers in a column of doubles", "doubles in a column of whole numbers", "missing numbers"),
        *("missing words", "unknown words", "another order", "one too many", "nullable integers", "nullable booleans"),
        "one row",
    ],
)
def test_rows_of_any_make_are_answered_as_predict_does(
    served: Served, way: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    rows = change(shops(40).drop(columns="kind"))
    check(served.answers(rows, way), served.predicted(rows))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop(columns="town"), "must have the column 'town'"),
        (lambda rows: rows.assign(size="large"), "'large' in the column 'size' is not a number"),
        (lambda rows: rows.assign(size=1e400), "is not a finite number"),
        (lambda rows: rows.assign(open="perhaps"), "'perhaps' in the column 'open' is neither true nor false"),
    ],
    ids=["one too few", "a word for a number", "infinity", "no boolean"],
)
def test_rows_that_do_not_fit_are_refused_with_the_reason(
    served: Served, way: str, change: Callable[[pd.DataFrame], pd.DataFrame], told: str
) -> None:
    status, content = served.ask(*sent(change(shops(4).drop(columns="kind")), way))
    assert status == 400, content
    assert told in json.loads(content)["message"]
    assert "Traceback" not in content


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "valid JSON"),
        ("[]", "Received a list"),
        ('{"rows": []}', "exactly one of the input fields"),
        ('{"inputs": {"size": [1, 2], "rooms": [1], "open": ["no"], "town": ["Bern"], "zip": ["1"]}}', "as many rows"),
        ('{"inputs": {"size": [[1, 2]], "rooms": [1], "open": ["no"], "town": ["Bern"], "zip": ["1"]}}', "one value"),
        ('{"inputs": [[1, 2, 3]]}', "must have the 5 values size, rooms, open, town, zip, however: 3"),
        ('{"dataframe_split": {"columns": ["size", "size", "rooms", "open", "town", "zip"], "data": '
         '[[1, 1, 1, "no", "Bern", "1"]]}}', "has 2 columns 'size'"),
        ('{"dataframe_records": []}', "must have the column 'size'"),
    ],
    ids=["broken", "a list", "no rows", "uneven", "rows in a cell", "a value too few", "a name twice", "empty"],
)  # fmt: skip
def test_a_request_of_no_form_is_refused_with_the_reason(served: Served, body: str, told: str) -> None:
    status, content = served.ask(body)
    assert status == 400, content
    assert told in content
    assert "Traceback" not in content


def test_the_line_that_is_printed_asks_about_rows_of_the_run(served: Served) -> None:
    line = curl_line(served.address, served.model)
    assert line is not None
    body = line.partition(" -d ")[2].strip("'")
    status, content = served.ask(body)
    assert (status, len(content["predictions"])) == (200, 1)


def test_a_frame_is_answered_in_python_as_predict_does(served: Served, tmp_path: Path) -> None:
    """The MLflow model itself, ten thousand rows, of pandas' own types with missing values too."""
    import mlflow.pyfunc

    model: Any = mlflow.pyfunc.load_model(str(served.model))
    rows = shops(10_000).drop(columns="kind")
    expected = served.predicted(rows)
    check(model.predict(rows), expected)
    assert model.predict(rows).dtypes.astype(str).tolist()[1:] == ["float64"] * 3
    some = rows.head(50).assign(open=rows["open"].head(50) == "yes").astype({"rooms": "Int64", "open": "boolean"})
    some.loc[:5, ["rooms", "open"]] = pd.NA
    check(model.predict(some), served.predicted(some))
    with pytest.raises(ValueError, match="must have the column 'zip'"):
        model.predict(rows.drop(columns="zip"))
