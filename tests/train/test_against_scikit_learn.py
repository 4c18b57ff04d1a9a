"""One linear layer under LBFGS is scikit-learn's linear model: from the command line, on the same rows.

That `diabetes` has the coefficients of LinearRegression is held in tests/pipelines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.datasets import load_breast_cancer, load_diabetes  # type: ignore[import-untyped]  # it has no types
from sklearn.linear_model import LinearRegression, LogisticRegression  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from tests.sampling import sample

LINEAR = """
version: 1
name: linear
device: {type: cpu, threads: 1, precision: float64}
data: {sklearn: {load: diabetes}}
model: [Linear: 1]
loss: MSELoss
optimizer: {LBFGS: {line_search_fn: strong_wolfe}}
train: {epochs: 30}
metrics: [R2Score]
"""
LOGISTIC = """
version: 1
name: logistic
device: {type: cpu, threads: 1, precision: float64}
data: {npz: {file: tumours.npz, inputs: [x], targets: [kind]}}
model: [Linear: 2]
loss: CrossEntropyLoss
optimizer: {LBFGS: {line_search_fn: strong_wolfe, history_size: 50}}
train: {epochs: 100}
metrics: [Accuracy]
"""


def trained(
    annpipe: Callable[..., Any], folder: Path, text: str
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, float]]:
    """The weights in the run's model and its final values."""
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
    done = annpipe("run", "spec.yaml", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return load_file(Path(told["folder"]) / "model" / "weights.safetensors"), told["values"]


@pytest.mark.slow
def test_a_linear_layer_has_the_coefficients_of_linear_regression(annpipe: Callable[..., Any], tmp_path: Path) -> None:
    """All ten of them and the intercept, within a thousandth, on the whole of diabetes."""
    weights, values = trained(annpipe, tmp_path, LINEAR)
    x, y = load_diabetes(return_X_y=True)
    expected = LinearRegression().fit(x, y)
    np.testing.assert_allclose(weights["0.weight"][0], expected.coef_, rtol=1e-3)
    np.testing.assert_allclose(weights["0.bias"][0], expected.intercept_, rtol=1e-3)
    np.testing.assert_allclose(values["train/r2_score"], expected.score(x, y), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("columns", sample([30, 10], 2, first=1))
def test_a_linear_layer_of_two_scores_is_logistic_regression(
    annpipe: Callable[..., Any], tmp_path: Path, columns: int
) -> None:
    """Without penalty: the same class for at least 99 of 100 tumours. By all thirty measures they can be separated, and
    many a line does it; by the ten means they cannot, and the coefficients of the one best line are the same too.
    """
    raw, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(raw)[:, :columns]
    np.savez(tmp_path / "tumours.npz", x=x, kind=y)
    weights, values = trained(annpipe, tmp_path, LOGISTIC)
    called = (x @ weights["0.weight"].T + weights["0.bias"]).argmax(1)
    expected = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-10).fit(x, y)
    assert (called == expected.predict(x)).mean() >= 0.99
    assert values["train/accuracy"] == (called == y).mean()
    if columns == 10:
        found = weights["0.weight"][1] - weights["0.weight"][0]
        np.testing.assert_allclose(found, expected.coef_[0], rtol=1e-2)
