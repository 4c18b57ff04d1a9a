"""How good the model is: a headline measure of each target with its interval, beside simple predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from annpipe.contract import Dataset
from annpipe.datasets.cell_columns import Array
from annpipe.report.answers import ModelAnswers, ReportRows, TargetAnswers
from annpipe.report.baselines import TREE, NoTable, constant_answers, fitted_answers
from annpipe.report.bootstrap import Estimate, Estimates, estimates
from annpipe.report.classes import Calibration, ClassMeasures, calibration, class_measures
from annpipe.report.wording import number

MODEL = "this model"
NO_SKLEARN = f'{TREE} to compare with need scikit-learn: `pip install "annpipe[sklearn]"`'


@dataclass(frozen=True)
class Compared:
    """A predictor with its measure; `difference` is its measure minus that of the model, None for the model itself."""

    name: str
    measure: Estimate
    difference: Estimate | None


@dataclass(frozen=True)
class TargetResult:
    """The headline measure of a target for the model and for simple predictors, and what else is told of it.

    `others` are further measures of the model by name. `notes` say which predictor is left out, and why.
    """

    target: str
    measure: str
    higher_is_better: bool
    rows: int
    compared: tuple[Compared, ...]
    others: Mapping[str, Estimate]
    classes: tuple[ClassMeasures, ...]
    calibration: Calibration | None
    notes: tuple[str, ...]

    def in_words(self, value: float) -> str:
        """A value of the measure: shares of rows in percent."""
        return f"{number(100 * value)} %" if self.classes else number(value)

    @property
    def headline(self) -> Estimate:
        """The measure of the model."""
        return self.compared[0].measure

    @property
    def best_other(self) -> Compared | None:
        """The best of the simple predictors."""
        others = [other for other in self.compared[1:] if np.isfinite(other.measure.value)]
        if not others:
            return None
        return (max if self.higher_is_better else min)(others, key=lambda other: other.measure.value)


def target_results(train: Dataset, rows: ReportRows, answers: ModelAnswers, *, tree: bool) -> tuple[TargetResult, ...]:
    """The results by target; with `tree` boosted trees of scikit-learn are fitted, where it is installed."""
    return tuple(_result(train, rows.rows, target, tree=tree) for target in answers.targets)


def loss_estimate(answers: ModelAnswers) -> Estimate:
    """The loss over the rows, with an interval where it is the mean of the losses of single rows."""
    losses = answers.losses
    if not len(losses) or not np.isclose(losses.mean(), answers.loss, rtol=1e-3, atol=1e-12):
        return Estimate(answers.loss, np.nan, np.nan)
    return estimates({MODEL: losses[:, None]}, lambda means: means[..., 0]).values[MODEL]


def _result(train: Dataset, rows: Dataset, answers: TargetAnswers, *, tree: bool) -> TargetResult:
    predictors, notes = _predictors(train, rows, answers, tree=tree)
    if answers.kind == "classes":
        return _of_classes(answers, predictors, notes)
    return _of_numbers(answers, predictors, notes)


def _predictors(
    train: Dataset, rows: Dataset, answers: TargetAnswers, *, tree: bool
) -> tuple[dict[str, Array], list[str]]:
    predictors: dict[str, Array] = {MODEL: answers.predicted}
    predictors |= dict(constant_answers(train, answers))
    try:
        for name, answered in fitted_answers(train, rows, answers, tree=tree):
            predictors[name] = answered
    except NoTable as error:
        return predictors, [f"No least squares and no boosted trees beside it: {error}."]
    except ImportError:
        return predictors, [NO_SKLEARN]
    except (ValueError, np.linalg.LinAlgError) as error:  # infinite inputs, a matrix that no solver takes
        return predictors, [f"Least squares and boosted trees could not be fitted: {error}."]
    return predictors, []


def _of_classes(answers: TargetAnswers, predictors: Mapping[str, Array], notes: list[str]) -> TargetResult:
    labelled = answers.truth >= 0
    rows = labelled.reshape(len(labelled), -1)
    some = rows.any(1)
    columns = {}
    for name, predicted in predictors.items():
        right = ((predicted == answers.truth) & labelled).reshape(len(rows), -1)
        columns[name] = (right.sum(1)[some] / rows.sum(1)[some])[:, None]
    measured = estimates(columns, lambda means: means[..., 0])
    n = int(some.sum())
    if n and measured.values[MODEL].value == 1:
        notes.append(
            f"No row is wrong, so resamples cannot show what an error would do: {n:,} such rows speak for an accuracy "
            f"above {max(0.0, 1 - 3 / n):.1%} (at the level of 95 %, by the rule of three)."
        )
    return TargetResult(
        answers.target,
        "accuracy",
        True,
        n,
        _compared(measured),
        {},
        class_measures(answers),
        calibration(answers),
        tuple(notes),
    )


def _of_numbers(answers: TargetAnswers, predictors: Mapping[str, Array], notes: list[str]) -> TargetResult:
    truth = answers.truth.reshape(len(answers.truth), -1)
    there: Any = np.isfinite(truth).all(1)
    truth = truth[there]
    errors = {
        name: np.asarray(predicted, dtype=np.float64).reshape(len(there), -1)[there] - truth
        for name, predicted in predictors.items()
    }
    squares = {name: (error**2).mean(1)[:, None] for name, error in errors.items()}
    measured = estimates(squares, lambda means: np.sqrt(means[..., 0]))
    centred = truth - truth.mean() if truth.size else truth
    of_model = [np.abs(errors[MODEL]).mean(1), squares[MODEL][:, 0], centred.mean(1), (centred**2).mean(1)]
    columns = {MODEL: np.stack(of_model, 1)}
    mae = estimates(columns, lambda means: means[..., 0]).values[MODEL]
    r2 = estimates(columns, lambda means: 1 - means[..., 1] / (means[..., 3] - means[..., 2] ** 2)).values[MODEL]
    others = {"mean absolute error": mae}
    others |= {"R²": r2} if truth.shape[1] == 1 else {}
    return TargetResult(
        answers.target,
        "root mean squared error",
        False,
        int(there.sum()),
        _compared(measured),
        others,
        (),
        None,
        tuple(notes),
    )


def _compared(measured: Estimates) -> tuple[Compared, ...]:
    return tuple(Compared(name, value, measured.differences.get(name)) for name, value in measured.values.items())
