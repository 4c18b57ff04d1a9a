"""Partial dependence and ICE: the grid and the numbers of scikit-learn on the same model."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.inspection import partial_dependence

from annpipe.errors import DataError
from annpipe.inspection.dependence import dependence, grid_of
from annpipe.inspection.subject import subject_of
from annpipe.portable.network import SavedNetwork
from annpipe.record.journal.project import find_run
from annpipe.runs.trained import trained_run
from tests.inspection.conftest import Inspector, SavedEstimator, curve, flowers


class Classifier(ClassifierMixin, SavedEstimator):
    """Gives the probabilities of the classes."""

    classes_ = np.array(["iris", "poppy", "rose"])

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        return torch.from_numpy(self.outputs(frame)).softmax(1).numpy()


class Regressor(RegressorMixin, SavedEstimator):
    """Gives numbers in the units of the data."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return self.outputs(frame)[:, 0]


@pytest.mark.parametrize("column", ["length", "soil"])
def test_probabilities_depend_on_a_column_as_scikit_learn_says(project: Inspector, column: str) -> None:
    """Numbers that all differ, fewer than the grid has, and categories; the curves of single rows too."""
    folder = find_run(project.folder, "flowers")
    flowers()[["kind", "soil", "noise", "length"]].to_csv(project.folder / "turned.csv", index=False)
    code, printed, said = project.call("inspect", "flowers", "turned.csv", "--dependence", column, "--json")
    assert code == 0, said
    (found,) = json.loads(printed)["dependence"]
    estimator = Classifier(SavedNetwork(folder / "model"))
    theirs = partial_dependence(
        estimator,
        flowers().drop(columns="kind"),
        [column],
        categorical_features=["soil"],
        kind="both",
        grid_resolution=100,
    )
    if column == "soil":
        assert found["values"] == theirs["grid_values"][0].tolist()
    else:
        assert [float(value) for value in found["values"]] == pytest.approx(theirs["grid_values"][0], rel=1e-5)
    for name, expected in zip(estimator.classes_, theirs["average"], strict=True):
        assert found["mean"][f"kind_{name}"] == pytest.approx(expected.tolist(), abs=1e-6)
    assert np.ptp(theirs["average"]) > 0.3


def test_numbers_in_their_units_and_their_ice_curves(project: Inspector) -> None:
    """Of more different values than the grid has points: these lie between the 5 % and the 95 % quantile."""
    folder = find_run(project.folder, "curve")
    with pytest.MonkeyPatch.context() as patch, trained_run(folder) as run:
        patch.chdir(project.folder)
        ours = dependence(subject_of(run.plan, run.parts), "a", points=25)
    theirs = partial_dependence(
        Regressor(SavedNetwork(folder / "model")), curve().drop(columns="y"), ["a"], kind="both", grid_resolution=25
    )
    assert ours.grid.numpy() == pytest.approx(theirs["grid_values"][0])
    assert ours.mean["y"].numpy() == pytest.approx(theirs["average"][0], rel=1e-9)
    assert ours.curves["y"].numpy() == pytest.approx(theirs["individual"][0], rel=1e-9)
    assert np.ptp(theirs["average"]) > 500


def test_what_has_no_range_is_refused() -> None:
    """A constant column, as nine tenths of its values are; a column without values. Whole numbers stay whole."""
    mostly = torch.cat([torch.zeros(980), torch.arange(20.0)]).double()
    with pytest.raises(DataError, match="the same"):
        grid_of("a", mostly, 10, is_category=False)
    with pytest.raises(DataError, match="is missing"):
        grid_of("a", torch.full((5,), torch.nan), 10, is_category=False)
    whole = grid_of("a", torch.arange(1000), 7, is_category=False)
    assert torch.equal(whole, whole.round())


def test_a_column_that_is_none_is_refused_with_the_nearest(project: Inspector) -> None:
    code, _, said = project.call("inspect", "flowers", "--dependence", "lenght")
    assert code == 3
    assert "did you mean 'length'?" in said
