"""Looks into a finished run's model: on rows of the run itself, or on those of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from annpipe.backend.device import one_thread
from annpipe.backend.streams import generator
from annpipe.backend.torch_globals import torch_defaults
from annpipe.contract import Dataset
from annpipe.errors import DataError, NotFound
from annpipe.errors.suggest import did_you_mean
from annpipe.inspection.attributions import Attributions, attribute
from annpipe.inspection.dependence import Dependence, dependence
from annpipe.inspection.gradients import GradientNorms, checkpoint_norms, recorded_norms
from annpipe.inspection.importance import ColumnImportance, draw_orders, permutation_importance
from annpipe.inspection.passes import RowPass, row_pass
from annpipe.inspection.subject import LOSS, ModelSubject, SubjectMeasures, subject_of
from annpipe.inspection.units import Units, look_at_units
from annpipe.observer import Observer
from annpipe.record.journal import journal as journals
from annpipe.record.journal.summary import summarize
from annpipe.runs.inspected_model import InspectedModel, opened_model
from annpipe.runs.trained import TrainedRun
from annpipe.train.loop.checkpoint import FOLDER, load_checkpoint
from annpipe.train.schedule import schedule

SECTIONS = ("importance", "dependence", "units", "gradients", "row", "attributions")
USUAL = ("importance", "units", "gradients")  # what is shown where nothing is asked for
MANY_PASSES = 2_000  # of which a person who waits is told
MOST_ROWS = {"importance": 10_000, "units": 10_000, "dependence": 1_000, "attributions": 200}


@dataclass(frozen=True)
class Asked:
    """What to look at: sections, columns for the dependence, the number of a row (from 1), a method of attribution.

    `rows` are used at most, None for a number that suits the section; `repeats` shuffles of each column, `grid` values
    of a column. Sections that are not `named` may be left out with a reason.
    """

    named: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    row: int | None = None
    method: str | None = None
    metric: str | None = None
    repeats: int = 10
    rows: int | None = None
    grid: int = 100
    seed: int = 0

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections in their order."""
        return tuple(name for name in SECTIONS if name in (self.named or USUAL))

    def some(self, subject: ModelSubject, section: str) -> ModelSubject:
        """The subject with as many rows as the section takes."""
        return subject.some(self.rows or MOST_ROWS[section])


@dataclass(frozen=True)
class Importance:
    """The importance of columns for a metric, whose value is that of the rows as they are."""

    metric: str
    higher_is_better: bool
    value: float
    rows: int
    repeats: int
    columns: tuple[ColumnImportance, ...]


@dataclass
class Inspected:
    """What was found; None where it was not asked for or `left_out`, which has the reasons by section.

    `rows` of `rows_name` were there, before some of them were taken.
    """

    run: str
    rows_name: str
    rows: int
    importance: Importance | None = None
    dependence: list[Dependence] = field(default_factory=list)
    units: Units | None = None
    units_rows: int = 0
    gradients: GradientNorms | None = None
    row: RowPass | None = None
    row_number: int = 0
    row_values: dict[str, str] = field(default_factory=dict)
    attributions: list[Attributions] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


@torch_defaults()
def inspect_run(
    folder: Path, source: str | None, asked: Asked, observer: Observer, *, trust: bool = False
) -> Inspected:
    """Looks into the model of the run's folder, on its own rows of val (else test, else train) or those of `source`.

    Raises NotFound, DataError, SpecError, RunError, and NotTrusted where the run is not known as the user's own, unless
    `trust` says that it is.
    """
    with one_thread(), opened_model(folder, source, observer, trust=trust) as model:
        subject = model.subject
        inspected = Inspected(folder.name, subject.rows_name, subject.dataset.rows)
        passes = len(subject.inputs) * asked.repeats
        if "importance" in asked.sections and passes > MANY_PASSES:
            observer.event(f"the importance of {len(subject.inputs):,} columns takes {passes:,} passes over the rows …")
        for section in asked.sections:
            try:
                _SECTIONS[section](model, asked, inspected)
            except DataError as error:
                if section in asked.named:
                    raise
                inspected.left_out[section] = str(error)
    return inspected


def _importance(model: InspectedModel, asked: Asked, inspected: Inspected) -> None:
    subject = asked.some(model.subject, "importance")
    measures = _measures(model)
    key = asked.metric or _headline(model.folder, measures)
    if key not in measures.keys:
        hint = did_you_mean(key, measures.keys) or f"it measures {', '.join(measures.keys)}"
        raise NotFound(f"the run measures no '{key}'; {hint}")
    if len(subject.inputs) == 1 and (tensor := next(iter(subject.inputs.values()))).ndim > 1:
        message = f"the model takes one input '{next(iter(subject.inputs))}' of the shape {tuple(tensor.shape[1:])}"
        raise DataError(message, "shuffled as a whole it tells nothing; `--attributions` looks at its positions")
    orders = draw_orders(subject.dataset.rows, asked.repeats, generator(asked.seed, "importance"))
    higher = measures.higher_is_better(key)
    inspected.importance = Importance(
        metric=key,
        higher_is_better=higher,
        value=subject.value(key, subject.inputs),
        rows=subject.dataset.rows,
        repeats=asked.repeats,
        columns=permutation_importance(
            lambda inputs: subject.value(key, inputs), subject.inputs, orders, higher_is_better=higher
        ),
    )


def _measures(model: InspectedModel) -> SubjectMeasures:
    """The measures; raises the reason where the rows have no targets."""
    if model.subject.measures is None:
        assert model.unmeasured is not None
        raise model.unmeasured
    return model.subject.measures


def _headline(folder: Path, measures: SubjectMeasures) -> str:
    """The metric that the run is judged by, without the split; the loss where that is none of rows."""
    key = (summarize(folder).metric or "").partition("/")[2]
    return key if key in measures.keys else LOSS


def _dependence(model: InspectedModel, asked: Asked, inspected: Inspected) -> None:
    subject = asked.some(model.subject, "dependence")
    inspected.dependence = [dependence(subject, column, asked.grid) for column in asked.columns]


def _units(model: InspectedModel, asked: Asked, inspected: Inspected) -> None:
    subject = asked.some(model.subject, "units")
    inspected.units = look_at_units(subject.network, subject.features(subject.inputs))
    inspected.units_rows = subject.dataset.rows


def _gradients(model: InspectedModel, asked: Asked, inspected: Inspected) -> None:
    events = journals.read(model.folder)
    recorded = recorded_norms(point for event in events for point in journals.points(event))
    if recorded is None and model.run is None:
        message = "the run recorded no norms of gradients, and computes them from its own data alone"
        raise DataError(message, "leave DATA out, or train with `callbacks: [gradient_norms]`")
    inspected.gradients = recorded or _of_checkpoints(model.run, model.folder)


def _of_checkpoints(run: TrainedRun | None, folder: Path) -> GradientNorms:
    """Of the checkpoints that are kept, in the order of their steps."""
    assert run is not None
    home = folder / FOLDER
    names = sorted(path.name for path in home.iterdir() if not path.name.startswith(".")) if home.is_dir() else []
    if not names:
        raise DataError("the run has no checkpoint, and recorded no norms", "train with `callbacks: [gradient_norms]`")
    per_epoch = schedule(run.plan, len(run.parts.rows["train"])).steps_per_epoch
    gears = {gear["step"]: gear for gear in (load_checkpoint(folder, name)["gear"] for name in names)}
    states = [(step / per_epoch, gears[step]) for step in sorted(gears)]
    rows = subject_of(run.plan, run.parts, "train").some(2048)
    tensors = rows.rows(rows.inputs)
    return checkpoint_norms(run.parts.model, run.parts.loss, states, tensors.x, tensors.y)


def _row(model: InspectedModel, asked: Asked, inspected: Inspected) -> None:
    all_rows = model.all_rows
    number = asked.row or 1
    if number > all_rows.dataset.rows:
        raise DataError(
            f"there is no row {number:,}", f"{all_rows.rows_name} has {all_rows.dataset.rows:,}; rows count from 1"
        )
    one_row = all_rows.at(torch.tensor([number - 1]))
    x, loss, y = one_row.features(one_row.inputs), None, None
    if x.is_floating_point() and bool(x.isnan().any()):
        raise DataError(f"row {number:,} lacks a value that nothing fills in", "choose another row")
    if one_row.measures is not None:
        loss, y = one_row.measures.loss, one_row.rows(one_row.inputs).y
    inspected.row, inspected.row_number = row_pass(one_row.network, x, loss, y), number
    inspected.row_values = _cells(one_row.dataset)


def _cells(dataset: Dataset) -> dict[str, str]:
    """The cells of one row in words, of arrays their shape."""
    cells = {}
    for name, tensor in {**dataset.inputs, **dataset.targets}.items():
        words = dataset.categories.get(name, ())
        value = tensor[0].item() if tensor.ndim == 1 else None
        if value is None:
            cells[name] = f"an array of the shape {tuple(tensor.shape[1:])}"
        else:
            cells[name] = words[int(value)] if words and 0 <= value < len(words) else f"{value:.6g}"
    return cells


def _attributions(model: InspectedModel, asked: Asked, inspected: Inspected) -> None:
    subject = asked.some(model.subject, "attributions")
    inspected.attributions = attribute(subject, asked.method or "integrated_gradients", asked.seed)


_SECTIONS = {
    "importance": _importance,
    "dependence": _dependence,
    "units": _units,
    "gradients": _gradients,
    "row": _row,
    "attributions": _attributions,
}
