"""The events of a journal: a frozen dataclass for each kind, `to_data` to write one and `from_data` to read one.

    run → tags, dataset, series, metrics, artifact, model, …, end        of a run
    run → begun and trial for each trial, artifact, model, …, end        of a sweep
    … end → resumed → … → end                                            of a run that was resumed
    … end → resumed → length → … → end                                   of one that was trained further

An event is a JSON object whose first member, `event`, is the kind and whose others are the fields of its dataclass, in
their order. Times are milliseconds since 1970. Journals outlive the version of annpipe that wrote them, so a field is
only ever added, with a default; a field that means something else is a new field. What a newer version added is
tolerated: a field that is not known here is passed over, and an event of another kind is an UnknownEvent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar

from annpipe.record.journal.event_fields import (
    CHECK,
    MAPPING,
    NEW_MAPPING,
    NUMBERS,
    NUMBERS_BY_KEY,
    OMITTED,
    STATUS,
    TAGS,
    TEXT,
    TIME,
    WHOLE,
)
from annpipe.record.journal.event_fields import Status as Status

VERSION = 2  # of the lines: those of version 1 had no check sums, which `lines` reads as well


@dataclass(frozen=True, kw_only=True)
class Event:
    """Anything that a journal tells."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class RunBegun(Event):
    """The first event of a run or a sweep: what it is called, where its record goes, and what it was asked for.

    `expected_points` announces the length of a series; `parent` is the id of the sweep that a trial belongs to.
    """

    kind: ClassVar[str] = "run"
    id: str | None = field(default=None, metadata=TEXT)
    name: str | None = field(default=None, metadata=TEXT)
    experiment: str | None = field(default=None, metadata=TEXT)
    tracking_uri: str | None = field(default=None, metadata=TEXT)
    artifact_root: str | None = field(default=None, metadata=TEXT)
    time: int | None = field(default=None, metadata=TIME)
    description: str | None = field(default=None, metadata=TEXT)
    expected_points: int | None = field(default=None, metadata=WHOLE)
    tags: Mapping[str, str] = field(default_factory=dict, metadata=TAGS)
    params: Mapping[str, Any] = field(default_factory=dict, metadata=MAPPING)
    dataset: Mapping[str, Any] | None = field(default=None, metadata=NEW_MAPPING)
    parent: str | None = field(default=None, metadata=TEXT)


@dataclass(frozen=True, kw_only=True)
class RunResumed(Event):
    """An interrupted run goes on from the checkpoint that was made after so many epochs (`step`)."""

    kind: ClassVar[str] = "resumed"
    time: int | None = field(default=None, metadata=TIME)
    step: int | None = field(default=None, metadata=WHOLE)


@dataclass(frozen=True, kw_only=True)
class LengthChanged(Event):
    """The run is to be `epochs` or `steps` long from now on, and was to be `before` in the same unit.

    `step` are the optimizer steps done then, `plan` is the digest of the plan with the new length.
    """

    kind: ClassVar[str] = "length"
    time: int = field(metadata=TIME)
    step: int = field(metadata=WHOLE)
    before: int = field(metadata=WHOLE)
    plan: str = field(metadata=TEXT)
    epochs: int | None = field(default=None, metadata=WHOLE)
    steps: int | None = field(default=None, metadata=WHOLE)

    @property
    def total(self) -> int:
        """The length, in epochs or in steps."""
        return self.epochs or self.steps or 0


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    """How a run or a sweep ended, and the error that it failed with."""

    kind: ClassVar[str] = "end"
    status: Status = field(metadata=STATUS)
    time: int = field(metadata=TIME)
    error: str | None = field(default=None, metadata=TEXT)


@dataclass(frozen=True, kw_only=True)
class SeriesPoints(Event):
    """Values of one key at consecutive steps from `first` on; `begin` is when the step before the first ended."""

    kind: ClassVar[str] = "series"
    key: str = field(metadata=TEXT)
    first: int = field(metadata=WHOLE)
    values: Sequence[float] = field(metadata=NUMBERS)
    begin: int = field(metadata=TIME)
    end: int = field(metadata=TIME)


@dataclass(frozen=True, kw_only=True)
class MetricPoints(Event):
    """Values of several keys at one step; `dataset` has name and digest of the rows of an evaluation after the run."""

    kind: ClassVar[str] = "metrics"
    step: int = field(metadata=WHOLE)
    time: int = field(metadata=TIME)
    values: Mapping[str, float] = field(metadata=NUMBERS_BY_KEY)
    dataset: Mapping[str, str] | None = field(default=None, metadata=TAGS | {OMITTED: True})


@dataclass(frozen=True, kw_only=True)
class TagsSet(Event):
    """Tags that the run has from now on."""

    kind: ClassVar[str] = "tags"
    tags: Mapping[str, str] = field(default_factory=dict, metadata=TAGS)


@dataclass(frozen=True, kw_only=True)
class ParamsSet(Event):
    """Params that the run has from now on, beside those of its first event."""

    kind: ClassVar[str] = "params"
    params: Mapping[str, Any] = field(default_factory=dict, metadata=MAPPING)


@dataclass(frozen=True, kw_only=True)
class DatasetUsed(Event):
    """The data of the run (name, digest, source, schema, profile and context, as MLflow has them).

    `facts` are what a resumed run must find unchanged, see `runs.provenance`.
    """

    kind: ClassVar[str] = "dataset"
    dataset: Mapping[str, Any] | None = field(default=None, metadata=MAPPING)
    facts: Mapping[str, Any] | None = field(default=None, metadata=NEW_MAPPING)


@dataclass(frozen=True, kw_only=True)
class ArtifactKept(Event):
    """A file of the run's folder goes into the folder `to` of the record's artifacts."""

    kind: ClassVar[str] = "artifact"
    file: str = field(metadata=TEXT)
    to: str | None = field(default=None, metadata=TEXT)


@dataclass(frozen=True, kw_only=True)
class ModelSaved(Event):
    """A folder with a saved model: in the run's folder, or of a sweep in that of its best trial, `../<run>/model`."""

    kind: ClassVar[str] = "model"
    folder: str = field(metadata=TEXT)


@dataclass(frozen=True, kw_only=True)
class FileUnwritten(Event):
    """A file that the disk had no room for; `annpipe resume` makes it from the last checkpoint."""

    kind: ClassVar[str] = "unwritten"
    file: str | None = field(default=None, metadata=TEXT)
    time: int | None = field(default=None, metadata=TIME)
    reason: str | None = field(default=None, metadata=TEXT)


@dataclass(frozen=True, kw_only=True)
class TrialBegun(Event):
    """The run of a trial has begun; `run` is its id."""

    kind: ClassVar[str] = "begun"
    run: str = field(metadata=TEXT)
    time: int | None = field(default=None, metadata=TIME)


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    """The run of a trial has ended; `run` is its id."""

    kind: ClassVar[str] = "trial"
    run: str = field(metadata=TEXT)
    time: int | None = field(default=None, metadata=TIME)


@dataclass(frozen=True, kw_only=True)
class UnknownEvent(Event):
    """An event of a newer version of annpipe; `members` are those of its JSON object."""

    members: Mapping[str, Any]


KINDS: Mapping[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        *(RunBegun, RunResumed, LengthChanged, RunEnded, SeriesPoints, MetricPoints, TagsSet, ParamsSet, DatasetUsed),
        *(ArtifactKept, ModelSaved, FileUnwritten, TrialBegun, TrialEnded),
    )
}


def to_data(event: Event) -> dict[str, Any]:
    """An event as the JSON object of its line, before the check sum; None of a later field is left out."""
    if isinstance(event, UnknownEvent):
        return dict(event.members)
    data: dict[str, Any] = {"event": event.kind}
    for item in fields(event):
        value = getattr(event, item.name)
        if value is not None or not item.metadata.get(OMITTED):
            data[item.name] = value
    return data


def from_data(data: object) -> Event | None:
    """The event of a JSON object; None where it is none, or lacks what its kind has, in the types of that."""
    if not isinstance(data, dict) or not isinstance(data.get("event"), str):
        return None
    cls = KINDS.get(data["event"])
    if cls is None:
        return UnknownEvent(members=data)
    values = {}
    for item in fields(cls):
        value = data.get(item.name)
        if value is None and _has_default(item):
            continue
        check: Callable[[object], bool] = item.metadata[CHECK]
        if not check(value):
            return None
        values[item.name] = value
    return _with_numbers(cls, values)


def time_of(event: Event) -> int | None:
    """When an event was, as far as it tells."""
    if isinstance(event, SeriesPoints):
        return event.end
    timed = RunBegun | RunResumed | LengthChanged | RunEnded | MetricPoints | FileUnwritten | TrialBegun | TrialEnded
    return event.time if isinstance(event, timed) else None


def without_infinities(value: object) -> object:
    """Data in which nan and infinities, which JSON lacks, are strings that `float` reads."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(item) for item in value]
    return value


def _with_numbers(cls: type[Event], values: dict[str, Any]) -> Event:
    """The event, whose numbers may have been written as strings."""
    if cls is SeriesPoints and not all(type(item) is float for item in values["values"]):
        values["values"] = [float(item) for item in values["values"]]
    elif cls is MetricPoints:
        values["values"] = {key: float(item) for key, item in values["values"].items()}
    return cls(**values)


def _has_default(item: Field[Any]) -> bool:
    return item.default is not MISSING or item.default_factory is not MISSING
