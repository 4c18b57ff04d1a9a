"""Permutation importance: the numbers of scikit-learn, by raw columns, of labelled rows in any order of columns."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from sklearn.inspection import permutation_importance as of_sklearn
from sklearn.metrics import accuracy_score, mean_squared_error

from annpipe.inspection.importance import draw_orders, permutation_importance
from annpipe.inspection.subject import subject_of
from annpipe.portable.network import SavedNetwork
from annpipe.record.journal.project import find_run
from annpipe.runs.trained import trained_run
from tests.inspection.conftest import Inspector, SavedEstimator, curve, flowers


def orders_of_sklearn(rows: int, repeats: int, seed: int) -> torch.Tensor:
    """The shuffles that scikit-learn makes of every column from a seed: each shuffles what the one before left."""
    drawn = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    order, whole = np.arange(rows), np.arange(rows)
    orders = []
    for _ in range(repeats):
        drawn.shuffle(order)
        whole = whole[order]
        orders.append(whole)
    return torch.from_numpy(np.stack(orders))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("flowers", "loss"),
        pytest.param("flowers", "accuracy", marks=pytest.mark.slow),
        pytest.param("curve", "loss", marks=pytest.mark.slow),
    ],
)
def test_the_same_shuffles_give_scikit_learns_numbers(project: Inspector, name: str, metric: str) -> None:
    """With words and standardized targets, a metric of which large values are good, and losses."""
    folder = find_run(project.folder, name)
    network = SavedNetwork(folder / "model")
    frame = flowers() if name == "flowers" else curve()
    with pytest.MonkeyPatch.context() as patch, trained_run(folder) as run:
        patch.chdir(project.folder)
        subject = subject_of(run.plan, run.parts)
        inputs = {
            key: np.array([*subject.dataset.categories[key]], dtype=object)[tensor.long()]
            if key in subject.dataset.categories
            else tensor.numpy()
            for key, tensor in subject.inputs.items()
        }
        y = subject.rows(subject.inputs).y.numpy()
        scale = 1.0 if name == "flowers" else frame["y"].std(ddof=0)

        def score(model: SavedEstimator, x: pd.DataFrame, truth: np.ndarray) -> float:
            outputs = model.outputs(x)
            if metric == "accuracy":
                return float(accuracy_score(truth, outputs.argmax(1)))
            if name == "flowers":
                logs = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
                return float(logs[np.arange(len(logs)), truth].mean())
            return -float(mean_squared_error(truth, (outputs - frame["y"].mean()) / scale))

        theirs = of_sklearn(
            SavedEstimator(network), pd.DataFrame(inputs), y, scoring=score, n_repeats=4, random_state=7
        )
        ours = permutation_importance(
            lambda x: subject.value(metric, x),
            subject.inputs,
            orders_of_sklearn(len(y), 4, 7),
            higher_is_better=metric == "accuracy",
        )
    by_name = {importance.column: importance.values for importance in ours}
    for column, values in zip(inputs, theirs.importances, strict=True):
        assert by_name[column] == pytest.approx(tuple(values), rel=1e-5, abs=1e-6), column
    assert any(abs(value) > 0.01 for value in theirs.importances.flatten())


def test_orders_are_permutations_of_a_seed() -> None:
    orders = draw_orders(20, 3, torch.Generator().manual_seed(1))
    assert torch.equal(orders.sort(1).values, torch.arange(20).repeat(3, 1))
    assert torch.equal(orders, draw_orders(20, 3, torch.Generator().manual_seed(1)))
    assert not torch.equal(orders[0], orders[1])


def test_a_file_with_columns_in_another_order_gives_the_same(project: Inspector) -> None:
    """The columns that matter come first, the noise last; categories are one column."""
    flowers().to_csv(project.folder / "rows.csv", index=False)
    flowers()[["kind", "noise", "soil", "length"]].to_parquet(project.folder / "turned.parquet")
    found = []
    for file in ("rows.csv", "turned.parquet"):
        code, printed, said = project.call("inspect", "flowers", file, "--metric", "accuracy", "--json")
        assert code == 0, said
        found.append(json.loads(printed)["importance"])
    assert found[0] == found[1]
    columns = {column["column"]: column for column in found[0]["columns"]}
    assert list(columns) == ["length", "soil", "noise"]
    assert columns["length"]["mean"] - columns["length"]["half_width"] > 0.2
    assert columns["length"]["mean"] == pytest.approx(np.mean(columns["length"]["values"]))
    assert len(columns["length"]["values"]) == 10
    assert found[0]["value"] > 0.85


def test_the_metric_is_the_one_that_the_run_is_judged_by(project: Inspector) -> None:
    """Without a word it is the loss of val; an unknown one is answered with the nearest."""
    code, printed, _ = project.call("inspect", "flowers", "--importance", "--repeats", "2", "--json")
    importance = json.loads(printed)["importance"]
    assert (code, importance["metric"], importance["rows"]) == (0, "loss", 60)
    code, _, said = project.call("inspect", "flowers", "--metric", "acuracy")
    assert code == 2
    assert "accuracy" in said
