"""What stands in the report of a run, as data; the templates only lay it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from annpipe.inspection.importance import ColumnImportance
from annpipe.report.bootstrap import Estimate
from annpipe.report.network import LayerRow
from annpipe.report.results import TargetResult
from annpipe.report.worst import WorstRows


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the run: its name, the file within the folder, and the file's bytes as a `data:` address."""

    name: str
    file: str
    address: Markup


@dataclass(frozen=True)
class Curves:
    """The curves of one measure: the chart, the names of its series, and some of their values as a table."""

    name: str
    chart: Markup
    series: tuple[str, ...]
    points: tuple[tuple[int, tuple[float | None, ...]], ...]


@dataclass(frozen=True)
class MetricRow:
    """A recorded metric: its final value on each split, None where there is none, and the best one while it trained.

    `best` is that on the held-out rows, where there are some.
    """

    name: str
    finals: tuple[float | None, ...]
    best: float | None


@dataclass(frozen=True)
class MetricTable:
    """The recorded metrics, a row each, with a column for each of `splits`."""

    splits: tuple[str, ...]
    rows: tuple[MetricRow, ...]


@dataclass(frozen=True)
class DataOverview:
    """Rows by split and a line for each column; `sampled` says of which rows the figures are, where not of all."""

    splits: Mapping[str, int]
    columns: tuple[Any, ...]
    n_left_out: int
    classes: Mapping[str, Mapping[str, Mapping[str, int]]]
    sampled: str


@dataclass(frozen=True)
class Measured:
    """What the trained model was asked for: all that needs its data and its weights.

    `rows` says which rows were measured, in words. `loss` is the whole loss over them. `no_importances` says why the
    importance of columns is left out, where it could be measured.
    """

    rows: str
    is_held_out: bool
    results: tuple[TargetResult, ...]
    loss: Estimate
    worst: WorstRows | None
    importances: tuple[ColumnImportance, ...]
    no_importances: str
    layers: tuple[LayerRow, ...]
    picture: Markup
    n_parameters: int
    n_frozen: int
    data: DataOverview
    task: str
    asked: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunReport:
    """The report of a run; `measured` is None where its model or its data are not at hand, as `notes` then say."""

    name: str
    id: str
    status: str
    description: str
    begun: str
    took: str
    spec: str
    metrics: MetricTable
    curves: tuple[Curves, ...]
    figures: tuple[ReportFigure, ...]
    environment: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    version: str
    measured: Measured | None = None
    notes: tuple[str, ...] = field(default=())
