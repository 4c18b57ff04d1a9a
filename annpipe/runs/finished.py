"""A run that has ended, to use in Python and in a notebook: its answers, model, plan, metrics and figures."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.errors.redact import scrub
from annpipe.observer import Observer
from annpipe.record.journal import journal
from annpipe.record.journal.inside import is_file
from annpipe.record.journal.seal import PLAN
from annpipe.record.shipper.recorder import ShipState
from annpipe.runs.figures import Figures
from annpipe.runs.metrics import RunMetrics, values_table
from annpipe.runs.notebook import default_observer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from annpipe.plan.plan import Plan
    from annpipe.runs.evaluate import Evaluated
    from annpipe.runs.run import Outcome
    from annpipe.saved.in_memory import Table
    from annpipe.saved.model import SavedModel


class Finished:
    """A run that has ended: its folder, how it ended and with which values, and what can be done with it.

    `outcome` says how it ended, `record` how far its MLflow record is. What needs the model, the plan or the data opens
    them when it is asked for: predictions need neither the data nor the spec that the run was made with.
    """

    def __init__(self, plan: Plan | Callable[[], Plan], folder: Path, outcome: Outcome, record: ShipState) -> None:
        """`plan` is the one that was trained, or a function that makes it again."""
        self._plan = plan
        self.folder, self.outcome, self.record = folder, outcome, record

    @property
    def name(self) -> str:
        """The name of the run, as its spec says it."""
        return journal.run_begun(self.folder).name or self.folder.name

    @property
    def status(self) -> str:
        """FINISHED, FAILED or KILLED; RUNNING of one that still trains elsewhere."""
        return self.outcome.status

    @property
    def values(self) -> Mapping[str, float]:
        """The final values by metric key."""
        return self.outcome.values

    @cached_property
    def plan(self) -> Plan:
        """The plan that was trained; of a loaded run it is made again, for which its data and plugins must be there.

        Raises SpecError, RunError, and NotTrusted where the run is not known as the user's own.
        """
        return self._plan() if callable(self._plan) else self._plan

    @property
    def spec(self) -> str:
        """The YAML that the run was begun with, without credentials; a trial of a sweep has its plan alone."""
        file = self.folder / "spec.yaml"
        return (file if is_file(file) else self.folder / PLAN).read_text(encoding="utf-8")

    @property
    def model(self) -> torch.nn.Module:
        """The trained network as plain PyTorch on the CPU, in evaluation mode, with its transforms: raw numbers in, the
        units of the data out. Raises NotFound where the run did not finish, NotTrusted, DataError and Damaged."""
        return self._saved.network.network

    @cached_property
    def _saved(self) -> SavedModel:
        from annpipe.saved.model import SavedModel

        return SavedModel(self.folder)

    @property
    def metrics(self) -> RunMetrics:
        """The values that were recorded: `final`, `best`, and over the epochs `history`, a DataFrame."""
        return RunMetrics(self.folder)

    @property
    def figures(self) -> Figures:
        """The figures by name; a notebook shows them."""
        return Figures(self.folder)

    def predict(self, rows: Table) -> pd.DataFrame | dict[str, np.ndarray[Any, Any]]:
        """What `annpipe predict` writes for these rows: class names and probabilities, numbers in the data's units.

        `rows` are a DataFrame, a mapping of columns by name (single values are one row), or an array whose columns are
        the inputs in their order. The answer is a DataFrame with the index of `rows`; a mapping of arrays where answers
        have a shape of their own. A row that lacks a value which nothing fills in has no answer: NaN or None.
        Raises DataError where a column is missing or a cell does not fit, and what `model` raises.
        """
        import pandas as pd

        from annpipe.saved.in_memory import answers_for

        answers = answers_for(self._saved.network, rows)
        if any(column.ndim > 1 for column in answers.values()):
            return answers
        return pd.DataFrame(answers, index=rows.index if isinstance(rows, pd.DataFrame) else None)

    def evaluate(
        self,
        rows: Table | Path,
        name: str | None = None,
        *,
        observer: Observer | None = None,
        tracking_uri: str | None = None,
    ) -> Evaluated:
        """Measures the model on labelled rows, as `annpipe evaluate` does, and adds loss, metrics and figures to the
        run's record as `evaluated/<name>/…`.

        `rows` are a DataFrame or a mapping with inputs and targets, or the path of a file. `name` is the file's own, or
        `table`, where it is left out. Raises DataError, SpecError, NotTrusted, and RunError while the run is held.
        """
        from annpipe.runs.evaluate import evaluate_run

        source = str(rows) if isinstance(rows, Path) else rows
        return evaluate_run(self.folder, source, name, observer or default_observer(), tracking_uri)

    def __repr__(self) -> str:
        return f"<run {self.folder.name}: {self.status}>"

    def _repr_html_(self) -> str:
        """How the run ended, its values and its figures; every text in it is escaped."""
        head = f"<b>{html.escape(self.name)}</b> {self.status}<br/><code>{html.escape(_short(self.folder))}</code>"
        error = self.outcome.error
        reason = f"<p>{html.escape(scrub(f'{type(error).__name__}: {error}'))}</p>" if error is not None else ""
        return f"<div><p>{head}</p>{reason}{values_table(self.values)}{self.figures._repr_html_()}</div>"


def _short(folder: Path) -> str:
    """A folder as it is said from the working directory."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)
