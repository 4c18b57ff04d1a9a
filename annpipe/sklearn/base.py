"""What the estimators share: rows are checked and trained on, a trained network is kept, and rows are answered."""

from __future__ import annotations

import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from annpipe.contract import Dataset
from annpipe.datasets.cell_columns import Array
from annpipe.draft.sections import Draft
from annpipe.errors import Problem
from annpipe.observer import SILENT, Observer
from annpipe.runs.launch import complete, launch
from annpipe.runs.notebook import default_observer
from annpipe.saved.in_memory import answers_for
from annpipe.sklearn.specs import Options, as_file, estimator_draft
from annpipe.sklearn.tables import columns_of, dataset_of, has_words, input_names, is_frame, weighed_rows
from annpipe.sklearn.trained import Trained
from annpipe.sklearn.training import FitTrainer, Training, files_of

SpecLike = str | Path | Mapping[str, Any]


class _Warnings(Observer):
    """Passes the warnings of a plan on as Python's."""

    def warn(self, problem: Problem) -> None:
        warnings.warn(f"{problem.message}; {problem.help}" if problem.help else problem.message, stacklevel=6)


class AnnpipeEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What regressor and classifier share: rows in, a trained network kept, rows answered."""

    def __init__(
        self,
        spec: SpecLike | None = None,
        *,
        overrides: Sequence[str] = (),
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        lr: float | None = None,
        epochs: int | None = None,
        batch_size: int | str | None = None,
        device: str | None = None,
        precision: str | None = None,
        random_state: Any = None,
        record: bool = False,
    ) -> None:
        self.spec, self.overrides = spec, overrides
        self.hidden, self.activation, self.lr, self.epochs, self.batch_size = hidden, activation, lr, epochs, batch_size
        self.device, self.precision, self.random_state, self.record = device, precision, random_state, record

    @abstractmethod
    def _targets(self, y: Any, names: Sequence[str], *, reset: bool) -> dict[str, Array]:
        """The targets by name, (rows,) each; with `reset` what is known of them is learned anew."""

    @property
    @abstractmethod
    def _defaults(self) -> dict[str, Any]:
        """The loss and the number of outputs of a network that no spec says."""

    @property
    def _classes(self) -> dict[str, Sequence[str]]:
        """The names of the classes by target."""
        return {}

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # scikit-learn's own name
        """Trains a new network on the rows; raises ValueError, SpecError and RunError.

        A row of weight 2 counts as two rows, one of weight 0 not at all: see the guide for scikit-learn.
        """
        dataset = self._dataset(X, y, sample_weight, reset=True)
        if self.record:
            self._trained = self._recorded(dataset)
            return self
        training = Training(complete(self._draft(dataset), self._observer))
        training.fit()
        self._keep(training)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:  # as above
        """Trains one epoch on the rows, from where it stands."""
        before: Trained | None = vars(self).get("_trained")
        dataset = self._dataset(X, y, sample_weight, reset=before is None)
        if before is None:
            training = Training(complete(self._draft(dataset, without_split=True), self._observer))
            training.take()
            self._keep(training, dataset)
        else:
            training = self._resumed(before)
            training.take(dataset)
            self._keep(training, before.first)
        return self

    def _resumed(self, before: Trained) -> Training:
        if before.training is not None:
            return before.training
        if before.first is None:
            message = "this estimator was trained by `fit` and then pickled or recorded, without what a step needs"
            raise ValueError(f"{message}: begin with `partial_fit`, or train it by `fit`")
        return Training(complete(self._draft(before.first, without_split=True), SILENT), before.state)

    def _keep(self, training: Training, first: Dataset | None = None) -> None:
        import pandas as pd

        series = training.reports.series
        self.history_ = pd.DataFrame({key: pd.Series(points) for key, points in series.items()}).rename_axis("epoch")
        self.plan_yaml_ = training.plan_yaml
        self._words: Mapping[str, Sequence[str]] = training.words
        training.forget_rows()
        self._trained = Trained(training, first)

    def _recorded(self, dataset: Dataset) -> Trained:
        """Trains as a run of the project, with a folder and a record in MLflow."""
        with tempfile.TemporaryDirectory(prefix="annpipe-") as folder:
            spec, base = as_file(self._spec(dataset), Path(folder))
            drafted = estimator_draft(spec, self.overrides, dataset, seed=self._seed, base=base)
            finished = launch(drafted, default_observer(), trainer=FitTrainer())
        if finished.outcome.error is not None:
            raise finished.outcome.error
        self.run_folder_, self.history_ = str(finished.folder), finished.metrics.history
        self.plan_yaml_, self._words = finished.plan.to_yaml(), {}
        return Trained(files=files_of(finished.folder / "model"))

    def _draft(self, dataset: Dataset, *, without_split: bool = False) -> Draft:
        return estimator_draft(
            self._spec(dataset), self.overrides, dataset, seed=self._seed, without_split=without_split
        )

    def _spec(self, dataset: Dataset) -> SpecLike:
        names = vars(Options()).keys()
        options = Options(**{name: getattr(self, name) for name in names})
        if self.spec is None:
            return options.spec(dataset, **self._defaults)
        if options.named:
            message = f"the spec says what {' and '.join(options.named)} would: give one of the two"
            raise ValueError(f'{message}; `overrides=["train.epochs=50"]` changes values of the spec')
        return self.spec

    @property
    def _seed(self) -> int | None:
        """The seed of the run; None for that of the spec."""
        if self.random_state is None or isinstance(self.random_state, int | np.integer):
            return None if self.random_state is None else int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    @property
    def _observer(self) -> Observer:
        return SILENT if self.spec is None else _Warnings()

    def _dataset(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Dataset:  # as above
        """The rows as annpipe has them; raises ValueError where they do not fit."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if reset:
            self._has_words = has_words(X)
        table = self._table(X, reset=reset)
        check_consistent_length(table, y)
        if reset:
            self._names = input_names(X if is_frame(X) else table)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, np.empty((len(table), 1)), ensure_non_negative=True)
        targets = self._targets(y, self._names, reset=reset)
        known = {} if reset else self._words
        rows = weighed_rows(len(table), weights)
        return dataset_of(columns_of(table, self._names), targets, self._classes, rows, known)

    def _table(self, X: Any, *, reset: bool) -> Any:  # as above
        """X as an array of numbers, or as a DataFrame where some of its columns are words."""
        if not self._has_words:
            return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        import pandas as pd

        validate_data(self, X, reset=reset, skip_check_array=True)
        return X if is_frame(X) else pd.DataFrame(X)

    def _answers(self, X: Any) -> dict[str, Array]:  # as above
        """What the saved model answers, by column."""
        check_is_fitted(self, "_trained")
        table = self._table(X, reset=False)
        return answers_for(self._trained.network, columns_of(table, self._names))

    @property
    def model_(self) -> torch.nn.Module:
        """The trained network as plain PyTorch, with its transforms: raw numbers in, the units of y out."""
        check_is_fitted(self, "_trained")
        return self._trained.network.network

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.spec is None  # missing numbers are filled in by their median
        return tags
