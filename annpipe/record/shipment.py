"""How does a journal become an MLflow run? Event by event, each shipped before its place is noted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from mlflow.entities import Metric, Param, RunTag

from annpipe.errors import BadRunFolder, StoreError
from annpipe.record import journal
from annpipe.record.inside import check_inside, neighbour, path_inside
from annpipe.record.journal import Event
from annpipe.record.location import artifact_root
from annpipe.record.patience import Calling
from annpipe.record.series import AllSeries
from annpipe.record.state import Shipped, read_state, write_state
from annpipe.record.store import Item, Refused, Store, first_call
from annpipe.record.thin import Point
from annpipe.secrets import scrub

ITEMS_WAITING = 1000
SECONDS_BETWEEN_CALLS = 1.0
SECONDS_BETWEEN_PASSES = 3.0  # over the trials that are being trained
PASSES_SHARE = 0.1  # of the time, at most
T = TypeVar("T")
log = logging.getLogger("annpipe.record")


def no_trials(folders: Sequence[Path]) -> None:
    """What a run without trials does with them."""
    assert not folders


class Shipment:
    """Feeds on the events of one journal and moves the state forward with what the store has taken.

    Events before the state's offset are only counted: which points of a long series go depends on all before them.
    Points, params and tags wait until there is a call's worth of them. `trials` ships the runs of a sweep's trials;
    `note` keeps each new state.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        calling: Calling,
        state: Shipped,
        *,
        trials: Callable[[Sequence[Path]], None] = no_trials,
        note: Callable[[Path, Shipped], None] = write_state,
    ) -> None:
        self.state = state
        self._folder = folder
        self._store = store
        self._calling = calling
        self._trials = trials
        self._keep = note
        self._series = AllSeries(folder)
        self._waiting: list[Item] = []
        self._trials_waiting: dict[Path, None] = {}
        self._trials_running: dict[Path, None] = {}
        self._all_trials: dict[Path, None] = {}
        self._next_pass = 0.0
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
        self._ship(event)
        self._read = end
        if len(self._waiting) >= ITEMS_WAITING:
            self.flush()

    def flush(self) -> None:
        """Ships what waits, and notes the place."""
        while self._waiting:
            self._drain()
        if self._trials_waiting:
            self._pass_over_trials()
        if self._read > self.state.offset:
            self._note(offset=self._read, problem=None)
        self._flushed_at = time.monotonic()

    def flush_now_and_then(self) -> None:
        """Ships trials, and what else waits when the last call was a while ago: the UI shows a run as it goes."""
        now = time.monotonic()
        if now >= self._next_pass:
            self._trials_waiting.update(self._trials_running)
        is_due = self._read > self.state.offset and now - self._flushed_at >= SECONDS_BETWEEN_CALLS
        if self._trials_waiting or is_due:
            self.flush()

    def finish(self) -> None:
        """Nothing more will come: completes the series and sets the status that the journal tells."""
        self._trials_waiting = dict(self._all_trials)  # one that was begun may have come to no end of its own
        self.flush()
        if not self.state.run_id:
            raise StoreError("the journal has no run event, so there is nothing to record")
        if not self._filled:
            self._fill(self._place)
        end = self._ended or {"status": "KILLED", "time": self._last_ms}
        self._try(f"status {end['status']}", lambda: self._store.end(self._run, end["status"], end["time"]))
        self._note(complete=True, problem=_summary(self.state.refused))

    @property
    def place(self) -> int:
        """The offset behind the last event that was fed."""
        return self._place

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
            self._series.expected = event.get("expected_points")
        for key, point in self._series.kept(event):
            if is_new:
                self._wait(key, point)
        if kind == "resumed":
            if not self._filled:
                self._fill(self._place)
            self._ended, self._filled = None, False
        elif kind in ("begun", "trial"):
            trial = neighbour(self._folder, event["run"])
            self._all_trials[trial] = None
            self._trials_running.pop(trial, None)
            if kind == "begun":
                self._trials_running[trial] = None
        elif kind == "end":
            self._ended = event
            self._fill(end)
        self._last_ms = event.get("time") or event.get("end") or self._last_ms

    def _wait(self, key: str, point: Point) -> None:
        self._waiting.append(Metric(key, point.value, point.time_ms, point.step))
        # One line may hold a million points: they go in whole calls, and the place is noted after the last.
        if len(self._waiting) >= 2 * ITEMS_WAITING:
            self._drain()

    def _pass_over_trials(self) -> None:
        begin = time.monotonic()
        self._trials(list(self._trials_waiting))
        self._trials_waiting = {}
        end = time.monotonic()
        self._next_pass = end + max(SECONDS_BETWEEN_PASSES, (end - begin) / PASSES_SHARE)

    def _drain(self) -> None:
        n_items = first_call(self._waiting)
        batch, self._waiting = self._waiting[:n_items], self._waiting[n_items:]
        self._send(batch)

    def _ship(self, event: Event) -> None:
        kind = event["event"]
        if kind == "run":
            self._ship_run(event)
        elif kind == "resumed":
            self._try("status RUNNING", lambda: self._store.reopen(self._run))
        elif kind == "artifact":
            self._ship_artifact(event["file"], event.get("to"))
        elif kind == "model":
            self.flush()  # it takes a while
            self._ship_model(event["folder"])
        elif kind in ("begun", "trial"):
            self._trials_waiting[neighbour(self._folder, event["run"])] = None
        self._ship_facts(event)

    def _ship_run(self, event: Event) -> None:
        name = _experiment_name(event)
        try:
            # Where an experiment keeps its files is told by the store, and not by the journal, which may be anybody's.
            root = artifact_root(self._store.uri, self._folder.parent.parent)
            experiment = self._calling(lambda: self._store.experiment(name, root))
            sweep = neighbour(self._folder, event["parent"]) if event.get("parent") else None
            parent = read_state(sweep, self._store.uri).run_id if sweep else None
            run = self._calling(lambda: self._store.run(experiment, event, parent))
        except Refused as error:
            raise StoreError(f"the store refuses the run itself: {error}") from error
        self._note(experiment_id=experiment, run_id=run)
        log.info("run %s is MLflow run %s in experiment %s", event["id"], run, experiment)

    def _ship_facts(self, event: Event) -> None:
        """What a run event may bring along and later events may add: tags, note, params, data."""
        tags = {str(key): str(value) for key, value in (event.get("tags") or {}).items()}
        if event.get("description"):
            tags["mlflow.note.content"] = event["description"]
        self._waiting += [RunTag(key, value) for key, value in tags.items()]
        self._waiting += [Param(str(key), str(value)) for key, value in (event.get("params") or {}).items()]
        data = event.get("dataset")
        if data:
            self._try(f"dataset {data.get('name')}", lambda: self._store.dataset(self._run, data))

    def _ship_model(self, name: str) -> None:
        try:
            folder = self._model(name)
        except BadRunFolder as error:
            self._refuse("model", Refused(str(error)))
            return
        experiment = self.state.experiment_id or ""
        made = self._try(
            f"model {folder.name}",
            lambda: self._store.model(self._run, experiment, self.state.model_id, folder),
        )
        self._note(model_id=made or self.state.model_id)

    def _model(self, name: str) -> Path:
        """The folder of the model: in the run's own, or that of a trial of the sweep; raises BadRunFolder."""
        above, slash, below = str(name).removeprefix("../").partition("/")
        if not str(name).startswith("../") or not slash:
            return path_inside(self._folder, name)
        trial = neighbour(self._folder, above)
        check_inside(trial)
        return path_inside(trial, below)

    def _ship_artifact(self, name: str, to: str | None) -> None:
        """A file that the journal names, if it is one of the run's folder."""
        try:
            path = path_inside(self._folder, name)
            if to:
                path_inside(self._folder, to)  # neither does it leave the run's artifacts in the store
        except BadRunFolder as error:
            self._refuse(f"artifact {name}", Refused(str(error)))
            return
        self._ship_file(path, to, name)

    def _fill(self, end: int) -> None:
        """Completes the series up to `end`, once it is known how long they are."""
        self._filled = True
        status = self._ended["status"] if self._ended else "KILLED"
        strides = self._series.strides(final=status == "FINISHED")
        if end <= self.state.filled:
            return
        for points in (self._series.outstanding(strides), self._series.again(strides, end)):
            for key, point in points:
                self._wait(key, point)
        for path in self._series.write_histories(end):
            self._ship_file(path, "history", f"history/{path.name}")
        # The place of the lines themselves is noted by the caller: points first, then the mark that they are there.
        while self._waiting:
            self._drain()
        self._note(filled=end)

    def _ship_file(self, path: Path, to: str | None, name: str) -> None:
        self._try(f"artifact {name}", lambda: self._store.artifact(self._run, path, to))

    def _send(self, items: Sequence[Item]) -> None:
        """Ships a batch; when it is refused, its halves, so that one bad item costs only itself."""
        try:
            self._calling(lambda: self._store.log(self._run, items))
        except Refused as error:
            if len(items) == 1:
                self._refuse(f"{type(items[0]).__name__.lower()} {items[0].key}", error)
                return
            middle = len(items) // 2
            self._send(items[:middle])
            self._send(items[middle:])

    def _try(self, what: str, action: Callable[[], T]) -> T | None:
        try:
            return self._calling(action)
        except Refused as error:
            self._refuse(what, error)
            return None

    def _refuse(self, what: str, error: Refused) -> None:
        log.error("refused: %s: %s", what, error)
        self._note(refused=(*self.state.refused, scrub(f"{what}: {error}")[:500])[:100])

    def _note(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._keep(self._folder, self.state)


def ship_all(shipment: Shipment, folder: Path) -> bool:
    """Ships all that there is of a run, to its status where nobody writes it any more; tells whether that is so."""
    is_over = not journal.is_held(folder)
    feed_all(shipment, folder)
    if is_over:
        shipment.finish()
    else:
        shipment.flush()
    return is_over


def feed_all(shipment: Shipment, folder: Path) -> None:
    """Feeds the shipment with all that it has not had yet."""
    with open(folder / journal.FILE, "rb") as file:
        file.seek(shipment.place)
        for event, end in journal.lines(file):
            shipment.feed(event, end)


def _experiment_name(event: Event) -> str:
    # Experiment 0 is everybody's drawer: a run that would land there gets an experiment of its own name.
    names = (event.get("experiment"), event.get("name"), "annpipe")
    return next(name for name in names if name and name != "Default")


def _summary(refused: Sequence[str]) -> str | None:
    if not refused:
        return None
    return f"the store refused {len(refused)} of the run's items, first {refused[0]}"
