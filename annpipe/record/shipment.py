"""How does a journal become an MLflow run? Event by event, each shipped before its place is noted."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from mlflow.entities import Metric, Param, RunTag

from annpipe.errors import StoreError
from annpipe.record import journal
from annpipe.record.journal import Event
from annpipe.record.patience import Patience
from annpipe.record.state import Shipped, is_recorded, read_state, sole_shipper, write_state
from annpipe.record.store import Refused, Store
from annpipe.record.thin import Point, Thinner
from annpipe.secrets import scrub

METRICS_A_CALL = 1000
PARAMS_A_CALL = 100
SECONDS_BETWEEN_CALLS = 1.0
T = TypeVar("T")
log = logging.getLogger("annpipe.record")


class Shipment:
    """Feeds on the events of one journal and moves the state forward with what the store has taken.

    Events before the state's offset are only counted: which points of a long series go depends on all before them.
    """

    def __init__(self, folder: Path, store: Store, patience: Patience, state: Shipped) -> None:
        self.state = state
        self._folder = folder
        self._store = store
        self._patience = patience
        self._series: dict[str, Thinner] = {}
        self._expected: int | None = None
        self._pending: list[Metric] = []
        self._place = 0
        self._read = state.offset
        self._flushed_at = 0.0
        self._last_ms = 0
        self._ended: Event | None = None
        self._filled = False

    def feed(self, event: Event, end: int) -> None:
        """Takes the next event, whose line ends at the offset `end`."""
        is_new = end > self.state.offset
        self._count(event, end, is_new=is_new)
        self._place = end
        if not is_new:
            return
        if event["event"] in {"series", "metrics"}:
            self._read = end
            if len(self._pending) >= METRICS_A_CALL:
                self.flush()
            return
        self.flush()
        self._ship(event)
        self._read = end
        self._note(offset=end, problem=None)

    def flush(self) -> None:
        """Ships the points that wait, and notes the place."""
        while self._pending:
            batch, self._pending = self._pending[:METRICS_A_CALL], self._pending[METRICS_A_CALL:]
            self._send(batch, lambda items: self._store.log(self._run, metrics=items))
        if self._read > self.state.offset:
            self._note(offset=self._read, problem=None)
        self._flushed_at = time.monotonic()

    def flush_now_and_then(self) -> None:
        """Ships what waits when the last call was a while ago, so that the UI shows a run as it goes."""
        if self._read > self.state.offset and time.monotonic() - self._flushed_at >= SECONDS_BETWEEN_CALLS:
            self.flush()

    def finish(self) -> None:
        """Nothing more will come: completes the series and sets the status that the journal tells."""
        self.flush()
        if not self.state.run_id:
            raise StoreError("the journal has no run event, so there is nothing to record")
        if not self._filled:
            self._fill(self._place)
        end = self._ended or {"status": "KILLED", "time": self._last_ms}
        self._try(f"status {end['status']}", lambda: self._store.end(self._run, end["status"], end["time"]))
        self._note(complete=True, problem=_summary(self.state.refused))

    @property
    def has_ended(self) -> bool:
        """Whether the journal's last word on the run is its end."""
        return self._ended is not None

    @property
    def _run(self) -> str:
        assert self.state.run_id, "the first event of a journal makes the run"
        return self.state.run_id

    def _count(self, event: Event, end: int, *, is_new: bool) -> None:
        kind = event["event"]
        if kind == "run":
            self._expected = event.get("expected_points")
        for key, step, value, time_ms in journal.points(event):
            point = Point(step, value, time_ms)
            kept = self._thinner(key).keep(point)
            self._last_ms = time_ms
            if kept and is_new:
                self._pending.append(_metric(key, point))
                if len(self._pending) >= 2 * METRICS_A_CALL:
                    self._drain()
        if kind == "resumed":
            if not self._filled:
                self._fill(self._place)
            self._ended, self._filled = None, False
        elif kind == "end":
            self._ended = event
            self._fill(end)
        self._last_ms = event.get("time") or self._last_ms

    def _thinner(self, key: str) -> Thinner:
        if key not in self._series:
            self._series[key] = Thinner(key, self._expected)
        return self._series[key]

    def _drain(self) -> None:
        # One line may hold a million points: they go in whole calls, and the place is noted after the last.
        batch, self._pending = self._pending[:METRICS_A_CALL], self._pending[METRICS_A_CALL:]
        self._send(batch, lambda items: self._store.log(self._run, metrics=items))

    def _ship(self, event: Event) -> None:
        kind = event["event"]
        if kind == "run":
            self._ship_run(event)
        elif kind == "resumed":
            self._try("status RUNNING", lambda: self._store.reopen(self._run))
        elif kind == "artifact":
            path = self._folder / event["file"]
            self._try(f"artifact {event['file']}", lambda: self._store.artifact(self._run, path, event.get("to")))
        elif kind == "model":
            self._ship_model(self._folder / event["folder"])
        elif kind == "trial":
            self._ship_trial(self._folder.parent / event["run"])
        self._ship_facts(event)

    def _ship_run(self, event: Event) -> None:
        name = _experiment_name(event)
        try:
            experiment = self._patience(lambda: self._store.experiment(name, event.get("artifact_root")))
            sweep = self._folder.parent / event["parent"] if event.get("parent") else None
            parent = read_state(sweep, self._store.uri).run_id if sweep else None
            run = self._patience(lambda: self._store.run(experiment, event, parent))
        except Refused as error:
            raise StoreError(f"the store refuses the run itself: {error}") from error
        self._note(experiment_id=experiment, run_id=run)
        log.info("run %s is MLflow run %s in experiment %s", event["id"], run, experiment)

    def _ship_trial(self, folder: Path) -> None:
        """The run of a trial, from its first event to its status; it is a child of this one."""
        with sole_shipper(folder) as is_sole:
            state = read_state(folder, self._store.uri)
            if not is_sole or (state.complete and is_recorded(folder, self._store.uri)):
                return
            trial = Shipment(folder, self._store, self._patience, replace(state, complete=False))
            with open(folder / journal.FILE, "rb") as file:
                for event, end in journal.lines(file):
                    trial.feed(event, end)
            trial.finish()

    def _ship_facts(self, event: Event) -> None:
        """What a run event may bring along and later events may add: tags, note, params, data."""
        tags = {str(key): str(value) for key, value in (event.get("tags") or {}).items()}
        if event.get("description"):
            tags["mlflow.note.content"] = event["description"]
        params = {str(key): str(value) for key, value in (event.get("params") or {}).items()}
        for part in _chunks([RunTag(key, value) for key, value in tags.items()]):
            self._send(part, lambda items: self._store.log(self._run, tags=items))
        for some in _chunks([Param(key, value) for key, value in params.items()]):
            self._send(some, lambda items: self._store.log(self._run, params=items))
        data = event.get("dataset")
        if data:
            self._try(f"dataset {data.get('name')}", lambda: self._store.dataset(self._run, data))

    def _ship_model(self, folder: Path) -> None:
        experiment = self.state.experiment_id or ""
        made = self._try(
            f"model {folder.name}",
            lambda: self._store.model(self._run, experiment, self.state.model_id, folder),
        )
        self._note(model_id=made or self.state.model_id)

    def _fill(self, end: int) -> None:
        """Completes the series up to `end`, once it is known how long they are."""
        self._filled = True
        status = self._ended["status"] if self._ended else "KILLED"
        strides = {key: series.fill(final=status == "FINISHED") for key, series in self._series.items()}
        if end <= self.state.filled:
            return
        left = {key: series.outstanding() for key, series in self._series.items()}
        again = {key: stride for key, stride in strides.items() if stride}
        self._pending += [_metric(key, point) for key, some in left.items() if strides[key] != 1 for point in some]
        if again:
            self._ship_again(again, end)
        self._ship_histories([key for key, series in self._series.items() if not series.is_whole], end)
        # The place of the lines themselves is noted by the caller: points first, then the mark that they are there.
        while self._pending:
            self._drain()
        self._note(filled=end)

    def _ship_again(self, strides: dict[str, int], end: int) -> None:
        seen = dict.fromkeys(strides, 0)
        for key, point in self._points_until(end):
            if key in strides:
                if seen[key] % strides[key] == 0:
                    self._pending.append(_metric(key, point))
                seen[key] += 1
            if len(self._pending) >= METRICS_A_CALL:
                self._drain()

    def _ship_histories(self, keys: Sequence[str], end: int) -> None:
        """Every point of the thinned series, as one table each among the artifacts."""
        if not keys:
            return
        folder = self._folder / "artifacts" / "history"
        folder.mkdir(parents=True, exist_ok=True)
        paths = {key: folder / name for key, name in _file_names(keys).items()}
        with ExitStack() as files:
            tables = {key: csv.writer(files.enter_context(open(path, "w", newline=""))) for key, path in paths.items()}
            for table in tables.values():
                table.writerow(["step", "value", "time_ms"])
            for key, point in self._points_until(end):
                if key in tables:
                    tables[key].writerow([point.step, repr(point.value), point.time_ms])
        for path in paths.values():
            self._ship_file(path, "history")

    def _ship_file(self, path: Path, to: str) -> None:
        self._try(f"artifact {to}/{path.name}", lambda: self._store.artifact(self._run, path, to))

    def _points_until(self, end: int) -> Iterator[tuple[str, Point]]:
        with open(self._folder / journal.FILE, "rb") as file:
            for event, place in journal.lines(file):
                if place > end:
                    return
                for key, step, value, time_ms in journal.points(event):
                    yield key, Point(step, value, time_ms)

    def _send(self, items: Sequence[Any], call: Callable[[Sequence[Any]], None]) -> None:
        """Ships a batch; when it is refused, its halves, so that one bad item costs only itself."""
        try:
            self._patience(lambda: call(items))
        except Refused as error:
            if len(items) == 1:
                self._refuse(f"{type(items[0]).__name__.lower()} {items[0].key}", error)
                return
            middle = len(items) // 2
            self._send(items[:middle], call)
            self._send(items[middle:], call)

    def _try(self, what: str, action: Callable[[], T]) -> T | None:
        try:
            return self._patience(action)
        except Refused as error:
            self._refuse(what, error)
            return None

    def _refuse(self, what: str, error: Refused) -> None:
        log.error("refused: %s: %s", what, error)
        self._note(refused=(*self.state.refused, scrub(f"{what}: {error}")[:500])[:100])

    def _note(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        write_state(self._folder, self.state)


def _metric(key: str, point: Point) -> Metric:
    return Metric(key, point.value, point.time_ms, point.step)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), PARAMS_A_CALL):
        yield items[first : first + PARAMS_A_CALL]


def _experiment_name(event: Event) -> str:
    # Experiment 0 is everybody's drawer: a run that would land there gets an experiment of its own name.
    names = (event.get("experiment"), event.get("name"), "annpipe")
    return next(name for name in names if name and name != "Default")


def _file_names(keys: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for key in keys:
        name = key.replace("/", "_")
        while f"{name}.csv" in names.values():
            name += "_"
        names[key] = f"{name}.csv"
    return names


def _summary(refused: Sequence[str]) -> str | None:
    if not refused:
        return None
    return f"the store refused {len(refused)} of the run's items, first {refused[0]}"
