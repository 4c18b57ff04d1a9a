"""The estimators keep scikit-learn's contract, and train what a spec or a few options say."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import annpipe
from annpipe.errors import RunError, SpecError
from annpipe.sklearn import AnnpipeClassifier, AnnpipeRegressor
from tests.conftest import unrecorded

EXPECTED_FAILURES: dict[str, dict[str, str]] = {"AnnpipeRegressor": {}, "AnnpipeClassifier": {}}
"""The checks of scikit-learn that an estimator fails, by name, each with its reason: there are none."""

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "lines",
    "device": {"type": "cpu", "precision": "float64"},
    "model": [{"Linear": 4}, "Tanh", {"Linear": 1}],
    "loss": "MSELoss",
    "optimizer": {"Adam": {"lr": 0.05}},
    "train": {"epochs": 10},
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # of scikit-learn's own check
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [AnnpipeRegressor(), AnnpipeClassifier()],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES[type(estimator).__name__],
    xfail_strict=True,
)
def test_scikit_learn_accepts_them(estimator: Any, check: Any) -> None:
    """Every check that it has for regressors and classifiers."""
    check(estimator)


def rows(n: int = 40, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """A frame with words, a column of categories, a boolean and missing cells, and classes that follow from them."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": random.normal(size=n), "town": random.choice(["Bern", "Köln"], n)})
    frame["open"] = random.random(n) < 0.5
    frame["kind"] = pd.Categorical(random.choice(["a", "b", "c"], n))
    classes = pd.Series(np.where(frame.town == "Bern", "cold", "warm"), name="weather")
    frame.loc[[1, 5], "size"] = np.nan
    frame.loc[2, "kind"] = None
    return frame, classes


def test_a_frame_with_words_goes_in_as_it_is() -> None:
    """Also columns in another type, a word that training had not, and a pickle; the names are those of y."""
    X, y = rows()
    estimator = AnnpipeClassifier(hidden=(8,), epochs=40).fit(X, y)
    assert estimator.score(X, y) == 1.0
    assert list(estimator.classes_) == ["cold", "warm"]
    new = X.head(3).assign(town=pd.Categorical([*X.town[:2], "Wien"]), kind=X.kind[:3].astype(object))
    np.testing.assert_array_equal(estimator.predict_proba(new)[:2], estimator.predict_proba(X)[:2])
    assert estimator.predict_proba(new)[2].sum() == pytest.approx(1.0)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(new), estimator.predict_proba(new))
    assert list(estimator.history_.index) == list(range(1, 41))
    assert "in_memory" in estimator.plan_yaml_
    assert not estimator.model_.training


def test_a_search_in_a_pipeline_varies_a_spec() -> None:
    """By options, or by overrides of the user's own spec, whose transforms and split stay."""
    random = np.random.default_rng(0)
    X = random.normal(size=(30, 2))
    y = X @ [2.0, -1.0]
    spec = SPEC | {"data": {"csv": {"files": "absent.csv", "target": "t"}, "split": {"val": 0.2}}}
    pipeline = make_pipeline(MinMaxScaler(), AnnpipeRegressor(spec))
    grid = {"annpiperegressor__overrides": [["train.epochs=1"], ["train.epochs=60"]]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_ == {"annpiperegressor__overrides": ["train.epochs=60"]}
    best = search.best_estimator_[-1]
    assert list(best.history_) == ["train/loss", "val/loss"]
    assert clone(best).get_params() == best.get_params()


@pytest.mark.parametrize("loss", ["MSELoss", {"L1Loss": {"reduction": "sum"}}, "plugin"])
def test_a_weight_of_two_is_a_row_that_stands_twice(loss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To rounding: whole weights, and weights in the same proportions, which go into the loss; 0 leaves a row out."""
    random = np.random.default_rng(1)
    X = random.normal(size=(12, 2))
    y, weights = random.normal(size=12), random.integers(0, 4, 12)
    spec = SPEC | {"loss": loss}
    if loss == "plugin":  # it has no values of rows: each is asked for by itself
        source = "import torch\nfrom annpipe import loss\n\n@loss\nclass Fourth(torch.nn.Module):\n"
        source += '    """The fourth power."""\n    def forward(self, p, t):\n        return ((p - t) ** 4).mean()\n'
        (tmp_path / "fourth.py").write_text(source, encoding="utf-8")
        spec |= {"loss": "Fourth", "plugins": ["fourth.py"]}
        monkeypatch.chdir(tmp_path)
    if isinstance(loss, dict):  # a sum does not forget how large its weights are
        in_loss = weights.astype(float)
        in_loss[0], weights[0] = 1.0, 1
        in_loss += 1e-12
    else:
        in_loss = weights * 0.25
    repeated = AnnpipeRegressor(spec).fit(X.repeat(weights, axis=0), y.repeat(weights)).predict(X)
    whole = AnnpipeRegressor(spec).fit(X, y, sample_weight=weights).predict(X)
    weighted = AnnpipeRegressor(spec).fit(X, y, sample_weight=in_loss).predict(X)
    np.testing.assert_allclose(whole, repeated, rtol=1e-12)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-8)
    assert not np.allclose(repeated, AnnpipeRegressor(spec).fit(X, y).predict(X))


def test_partial_fit_goes_on_also_from_a_pickle() -> None:
    """Each call is an epoch over its rows, with the scales and words of the first."""
    X, y = rows()
    estimator = AnnpipeClassifier(hidden=(8,), lr=0.05)
    with pytest.raises(ValueError, match="classes must be passed"):
        estimator.partial_fit(X, y)
    for part in (slice(0, 15), slice(10, 40), slice(5, 30)) * 6:
        estimator.partial_fit(X[part], y[part], classes=["cold", "warm"])
    assert estimator.score(X, y) == 1.0
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(
        again.partial_fit(X, y).predict_proba(X), estimator.partial_fit(X, y).predict_proba(X)
    )
    with pytest.raises(ValueError, match="the label 'mild'"):
        estimator.partial_fit(X, y.replace("warm", "mild"))


def test_partial_fit_after_fit_goes_on_in_this_process_alone() -> None:
    """A pickle of a fit holds no rows and no optimizer, and says so."""
    X = np.linspace(-1, 1, 20)[:, None]
    estimator = AnnpipeRegressor(SPEC).fit(X, X[:, 0])
    again = pickle.loads(pickle.dumps(estimator))
    longer = AnnpipeRegressor(SPEC, overrides=["train.epochs=11"]).fit(X, X[:, 0])
    np.testing.assert_allclose(estimator.partial_fit(X, X[:, 0]).predict(X), longer.predict(X), rtol=1e-12)
    assert list(estimator.history_.index) == list(range(1, 12))
    with pytest.raises(ValueError, match="begin with `partial_fit`"):
        again.partial_fit(X, X[:, 0])


@pytest.mark.parametrize(
    ("spec", "options", "error", "said"),
    [
        (SPEC, {"epochs": 3}, ValueError, r"the spec says what epochs would.*overrides"),
        (SPEC, {"overrides": ["optimizer.Adam.lr=high"]}, SpecError, "`Adam.lr` must be a number"),
        (SPEC | {"model": [{"Linear": 3}]}, {}, SpecError, r"the targets \(y\) need \(rows, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused(spec: Any, options: dict[str, Any], error: type[Exception], said: str) -> None:
    """With the name of the option, and what to do."""
    with pytest.raises(error, match=said):
        AnnpipeRegressor(spec, **options).fit(np.eye(6), np.arange(6.0))


def test_a_schedule_has_an_end_which_partial_fit_has_not() -> None:
    """It is refused by name."""
    spec = SPEC | {"scheduler": {"StepLR": {"step_size": 2}}}
    with pytest.raises(RunError, match="no end that the scheduler"):
        AnnpipeRegressor(spec).partial_fit(np.eye(6), np.arange(6.0))


def test_a_fit_makes_no_run_unless_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `record` it is one of the project, whose model answers as the estimator."""
    monkeypatch.chdir(tmp_path)
    X, y = rows()
    AnnpipeClassifier(hidden=(4,), epochs=2).fit(X, y)
    assert list(tmp_path.iterdir()) == []
    overrides = ["tracking.wait_seconds=0"]
    with unrecorded():
        estimator = AnnpipeClassifier(hidden=(4,), epochs=2, overrides=overrides, record=True).fit(
            X, y, np.full(40, 0.5)
        )
    run = annpipe.load("estimator")
    assert str(run.folder) == estimator.run_folder_
    answers = run.predict(X)
    assert list(answers.weather) == list(estimator.predict(X))
    assert run.metrics.final["train/loss"] == estimator.history_["train/loss"].iloc[-1]
    with pytest.raises(ValueError, match="begin with `partial_fit`"):
        estimator.partial_fit(X, y)


def test_importing_annpipe_does_not_import_scikit_learn() -> None:
    """Nor torch; without it the estimators say what to install."""
    code = "import sys, annpipe; assert not {'torch', 'sklearn', 'pandas'} & sys.modules.keys()"
    absent = "import sys; sys.modules['sklearn'] = None\nimport annpipe.sklearn"
    subprocess.run([sys.executable, "-c", code], check=True)
    said = subprocess.run([sys.executable, "-c", absent], check=False, capture_output=True, text=True, encoding="utf-8")
    assert "pip install 'annpipe[sklearn]'" in said.stderr
