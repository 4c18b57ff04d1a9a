"""`AnnpipeRegressor` and `AnnpipeClassifier`: scikit-learn estimators of a spec, or of a few options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from annpipe.datasets.cell_columns import Array
from annpipe.sklearn.base import AnnpipeEstimator
from annpipe.sklearn.tables import target_names


class AnnpipeRegressor(RegressorMixin, AnnpipeEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A network that predicts numbers, one a row or several, trained as a spec or a few options say."""

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # scikit-learn's own name
        """Trains one epoch on these rows, from where it stands; scales are those of the first rows."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> Array:  # as above
        """(rows,), or (rows, targets) where y had two dimensions."""
        answers = self._answers(X)
        columns = [answers[name] for name in self._target_names]
        return columns[0] if self._is_flat else np.stack(columns, axis=1)

    def _targets(self, y: Any, names: Sequence[str], *, reset: bool) -> dict[str, Array]:
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if values.ndim > 2:
            raise ValueError(f"y must have one or two dimensions, however: {values.ndim}")
        if reset:
            self._is_flat = values.ndim == 1
            self._target_names = target_names(y, values, names)
        width = 1 if values.ndim == 1 else values.shape[1]
        if width != len(self._target_names):
            raise ValueError(f"y has {width} columns, and the first rows had {len(self._target_names)}")
        return dict(zip(self._target_names, values.reshape(len(values), -1).T, strict=True))

    @property
    def _defaults(self) -> dict[str, Any]:
        return {"loss": "MSELoss", "n_outputs": len(self._target_names)}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class AnnpipeClassifier(ClassifierMixin, AnnpipeEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A network that tells classes apart, trained as a spec or a few options say."""

    def partial_fit(
        self,
        X: Any,  # scikit-learn's own name
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Trains one epoch on these rows, from where it stands; the first call says all `classes`."""
        if "_trained" not in vars(self):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            self.classes_ = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes is not as on the first call of partial_fit: {list(self.classes_)}")
        self._are_said = True
        try:
            return self._partial_fit(X, y, sample_weight)
        finally:
            self._are_said = False

    def predict(self, X: Any) -> Array:  # as above
        """The class of each row, (rows,)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(1)])

    def predict_proba(self, X: Any) -> Array:  # as above
        """The probability of each of `classes_`, (rows, classes)."""
        answers = self._answers(X)
        target = self._target_names[0]
        probabilities = np.stack([answers[f"{target}_{name}"] for name in self._classes[target]], axis=1)
        lost = np.isnan(probabilities).any(1)
        if lost.any():
            raise ValueError(f"row {int(lost.argmax()) + 1} of X lacks a value that nothing fills in")
        return probabilities

    def _targets(self, y: Any, names: Sequence[str], *, reset: bool) -> dict[str, Array]:
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        if reset:
            self._target_names = target_names(y, labels, names)
            if not vars(self).get("_are_said"):
                self.classes_ = np.unique(labels)
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        wrong = self.classes_[codes] != labels
        if wrong.any():
            raise ValueError(f"y has the label {labels[wrong][0]!r}: the classes are {self.classes_.tolist()}")
        return {self._target_names[0]: codes.astype(np.int64)}

    @property
    def _classes(self) -> dict[str, Sequence[str]]:
        return {self._target_names[0]: [str(label) for label in self.classes_]}

    @property
    def _defaults(self) -> dict[str, Any]:
        return {"loss": "CrossEntropyLoss", "n_outputs": len(self.classes_)}
