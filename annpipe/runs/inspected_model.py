"""Opens the model of a finished run to be looked into, with the rows of the run itself or those of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from annpipe.backend.device import computing
from annpipe.contract import Dataset
from annpipe.draft.metrics_only import Measures, draft_measures
from annpipe.errors import DataError
from annpipe.inspection.subject import ModelSubject, SubjectMeasures, subject_of
from annpipe.observer import Observer
from annpipe.plan.output_roles import points, roles
from annpipe.record.journal.project import find_project
from annpipe.record.journal.seal import PLAN, check_own
from annpipe.registry.registry import Registry
from annpipe.registry.renames import Earlier, earlier_names
from annpipe.runs.evaluate import ignored_labels, network_of, spec_of_model, trained_loss, without_lost_rows
from annpipe.runs.trained import TrainedRun, trained_run
from annpipe.saved.cells import STDIN, shown
from annpipe.saved.labelled import labelled, unlabelled
from annpipe.saved.model import SavedModel


@dataclass(frozen=True)
class InspectedModel:
    """A run's model with rows to look at it: `all_rows` has also those without an answer, which `subject` lacks.

    `unmeasured` says why the rows have no targets; `run` is None where the rows are those of a file.
    """

    folder: Path
    subject: ModelSubject
    all_rows: ModelSubject
    run: TrainedRun | None
    unmeasured: DataError | None = None


@contextmanager
def opened_model(folder: Path, source: str | None, observer: Observer, *, trust: bool) -> Iterator[InspectedModel]:
    """The model of the run's folder with its own rows, or those of a file; inside, new tensors have its precision.

    Raises NotFound, DataError, SpecError, RunError, and NotTrusted.
    """
    if source is None:
        with trained_run(folder, observer, trust=trust) as run:
            subject = subject_of(run.plan, run.parts)
            yield InspectedModel(folder, subject, subject, run)
        return
    model = SavedModel(folder, trust=trust)
    check_own(folder, PLAN, trusted=trust)
    with earlier_names(Earlier.READ):
        spec = spec_of_model(folder, model)
        drafted = draft_measures(spec, Registry.installed(), project=find_project())
    dataset, unmeasured = _rows_of(model, drafted, source)
    with computing(spec.device.precision, deterministic=spec.device.deterministic) as dtype:
        all_rows = _subject_of_file(model, drafted, dataset, source, dtype)
        kept = without_lost_rows(model, dataset, shown(source), observer)
        subject = all_rows if kept is dataset else _subject_of_file(model, drafted, kept, source, dtype)
        yield InspectedModel(folder, subject, all_rows, None, unmeasured)


def _rows_of(model: SavedModel, drafted: Measures, source: str) -> tuple[Dataset, DataError | None]:
    """The rows of a file, without targets where these cannot be read, and then why."""
    try:
        return labelled(model, source, ignored_labels(drafted)), None
    except DataError as error:
        if source == STDIN:
            raise
        return unlabelled(model, source), error


def _subject_of_file(
    model: SavedModel, drafted: Measures, dataset: Dataset, source: str, dtype: torch.dtype
) -> ModelSubject:
    network, once = network_of(model)
    names = [target.name for target in model.targets]
    measures = None
    if dataset.targets:
        known = roles(drafted.loss, drafted.heads, names)
        measures = SubjectMeasures(
            loss=trained_loss(model, drafted).eval(),
            metrics=drafted.metrics,
            predictions=points(known, has_heads=bool(drafted.heads)),
            takes_classes=not drafted.heads and model.targets[0].labels,
            labels=[target.name for target in model.targets if target.name in drafted.heads and target.labels],
            heads=list(drafted.heads),
        )
    name = "standard input" if source == STDIN else Path(source).name
    return ModelSubject(network, once, dataset, name, model.targets, dtype, measures)
