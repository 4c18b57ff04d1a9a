"""How does a journal become an MLflow run? Event by event, each shipped before its place is noted.

At the end the store is asked what it holds; what it lacks is sent again, and the record is complete when it says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.errors import BadRunFolder, StoreError
from annpipe.files.private import private_folder
from annpipe.record.journal import journal
from annpipe.record.journal.inside import check_inside, neighbour, path_inside
from annpipe.record.journal.journal import Event
from annpipe.record.journal.location import artifact_root
from annpipe.record.journal.state import Shipped, read_state, write_state
from annpipe.record.shipper.passes import Passes, no_trials
from annpipe.record.shipper.retry import Calling
from annpipe.record.shipper.sender import Sender
from annpipe.record.shipper.series import AllSeries
from annpipe.record.shipper.translation import Translation
from annpipe.record.store import keys
from annpipe.record.store.client import Store
from annpipe.record.store.content import Content
from annpipe.record.store.contents import Question, ask, present_points
from annpipe.record.store.faults import Refused, RunGone

SECONDS_BETWEEN_CALLS = 1.0
log = logging.getLogger("annpipe.record")


class Shipment:
    """Feeds on the events of one journal and moves the state forward with what the store has taken.

    Events before the state's offset are only counted: which points of a long series go depends on all before them.
    Points, params and tags wait until there is a call's worth of them. `trials` ships the runs of a sweep's trials;
    `note` keeps each new state. Where `wanted` is given, the run is there, and nothing but that is sent.
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
        wanted: Content | None = None,
        present: Mapping[str, set[tuple[int, int]]] | None = None,
    ) -> None:
        self._sender = Sender(folder, store, calling, state, note, wanted=wanted, present=present)
        self._folder = folder
        self._store = store
        self._calling = calling
        self._passes = Passes(folder, trials)
        self._series = AllSeries(folder)
        self._translation = Translation()
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
        self._ship(event, is_new=is_new)
        if not is_new:
            return
        self._read = end
        if self._sender.has_enough:
            self.flush()

    def flush(self) -> None:
        """Ships what waits, and notes the place."""
        self._sender.facts(self._translation.new_names())
        self._sender.drain()
        if self._passes.wait:
            self._passes.go()
        if self._read > self.state.offset:
            self._sender.note(offset=self._read, problem=None)
        self._flushed_at = time.monotonic()

    def flush_now_and_then(self) -> None:
        """Ships trials, and what else waits when the last call was a while ago: the UI shows a run as it goes."""
        self._passes.call_if_due()
        is_due = self._read > self.state.offset and time.monotonic() - self._flushed_at >= SECONDS_BETWEEN_CALLS
        if self._passes.wait or is_due:
            self.flush()

    def finish(self) -> None:
        """Nothing more will come: completes the series, sets the status, and asks the store whether it has all."""
        self._passes.call_all()
        self._conclude()
        expected, lacking = self._asked()
        if lacking or self.state.refused:
            log.warning("the store lacks %s: sent again", lacking.told(expected))
            self._send_again(lacking)
            expected, lacking = self._asked()
        problem = f"the store lacks {lacking.told(expected)}" if lacking else None
        if self.state.refused:
            problem = _summary(self.state.refused)
        self._sender.note(complete=problem is None, problem=problem, expected=expected.to_data())

    def _conclude(self) -> None:
        self.flush()
        if not self.state.run_id:
            raise StoreError("the journal has no run event, so there is nothing to record")
        if not self._filled:
            self._fill(self._place)
        self._ship_names()
        self._sender.end(self._end["status"], self._end["time"])

    def _asked(self) -> tuple[Content, Content]:
        """What the record is to hold, and what the store lacks of it or has refused."""
        points = {keys.mlflow_key(key): n for key, n in self._series.n_chosen.items()}
        expected = Content(self._end["status"], frozenset(self._translation.items), points)
        question = Question(self._sender.run, self.state.experiment_id or "", self.state.model_id, expected)
        held = self._calling(lambda: ask(self._store, [question])).get(self._sender.run)
        if held is None or held.is_deleted:
            self._calling(lambda: self._store.check(self._sender.run))
            raise RunGone(f"MLflow run {self._sender.run} is gone")
        refused = {item for item in expected.items if any(one.startswith(f"{item}: ") for one in self.state.refused)}
        return expected, expected.lacking_in(held.content).with_items(refused)

    def _send_again(self, lacking: Content) -> None:
        """Goes through the journal once more, and sends that of it; what is refused now is all that is."""
        state = replace(self.state, offset=0, filled=0, refused=(), model_id=None)
        kept = [key for key, n in lacking.points.items() if n]
        again = Shipment(
            self._folder,
            self._store,
            self._calling,
            state,
            note=lambda folder, state: None,
            wanted=lacking,
            present=self._calling(lambda: present_points(self._store, self._sender.run, kept)),
        )
        feed_all(again, self._folder, self._place)
        again._conclude()
        self._sender.note(refused=again.state.refused, model_id=again.state.model_id or self.state.model_id)

    @property
    def state(self) -> Shipped:
        """How far the record has come."""
        return self._sender.state

    @property
    def place(self) -> int:
        """The offset behind the last event that was fed."""
        return self._place

    @property
    def has_ended(self) -> bool:
        """Whether the journal's last word on the run is its end."""
        return self._ended is not None

    @property
    def _end(self) -> Event:
        return self._ended or {"status": "KILLED", "time": self._last_ms}

    def _count(self, event: Event, end: int, *, is_new: bool) -> None:
        kind = event["event"]
        if kind == "run":
            self._series.expected = event.get("expected_points")
        for name, point in self._series.kept(event):
            key = self._translation.names.key(name)
            if is_new:
                self._sender.point(key, point)
        if kind == "resumed":
            if not self._filled:
                self._fill(self._place)
            self._ended, self._filled = None, False
        elif kind in ("begun", "trial"):
            self._passes.take(event, is_new=is_new and not self._sender.is_mending)
        elif kind == "end":
            self._ended = event
            self._fill(end)
        self._last_ms = event.get("time") or event.get("end") or self._last_ms

    def _ship(self, event: Event, *, is_new: bool) -> None:
        """Ships an event that is new; of every one it is noted what the record is to hold of it."""
        kind = event["event"]
        if kind == "artifact":
            self._ship_artifact(event["file"], event.get("to"), is_new=is_new)
        elif kind == "model":
            self._ship_model(event["folder"], is_new=is_new)
        elif is_new and not self._sender.is_mending:
            if kind == "run":
                self._ship_run(event)
            elif kind == "resumed":
                self._sender.attempt("status RUNNING", lambda: self._store.reopen(self._sender.run))
        self._ship_facts(event, is_new=is_new)

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
        self._sender.note(experiment_id=experiment, run_id=run)
        log.info("run %s is MLflow run %s in experiment %s", event["id"], run, experiment)

    def _ship_facts(self, event: Event, *, is_new: bool) -> None:
        """What a run event may bring along and later events may add: tags, note, params, data."""
        facts = self._translation.facts(event)
        if is_new:
            self._sender.facts(facts)
        data = event.get("dataset")
        if data:
            item = self._translation.dataset(data)
            if is_new:
                self._sender.offer(item, lambda: self._store.dataset(self._sender.run, data))

    def _ship_model(self, name: str, *, is_new: bool) -> None:
        item = self._translation.model()
        if not is_new:
            return
        try:
            folder = self._model(name)
        except BadRunFolder as error:
            self._sender.refuse(item, Refused(str(error)))
            return
        self.flush()  # it takes a while
        experiment = self.state.experiment_id or ""
        made = self._sender.offer(
            item, lambda: self._store.model(self._sender.run, experiment, self.state.model_id, folder)
        )
        if made:
            self._sender.note(model_id=made)

    def _ship_file(self, path: Path, to: str | None, *, is_new: bool = True) -> None:
        place = self._translation.artifact(to, path.name)
        if is_new:
            self._sender.offer(f"artifact {place}", lambda: self._store.artifact(self._sender.run, path, place))

    def _ship_names(self) -> None:
        """The true names of what stands under other ones in the record."""
        names = self._translation.names
        if names:
            path = self._folder / "artifacts" / keys.FILE
            private_folder(path.parent)
            path.write_text(names.to_json() + "\n", encoding="utf-8")
            self._ship_file(path, None)
            self.flush()

    def _model(self, name: str) -> Path:
        """The folder of the model: in the run's own, or that of a trial of the sweep; raises BadRunFolder."""
        above, slash, below = str(name).removeprefix("../").partition("/")
        if not str(name).startswith("../") or not slash:
            return path_inside(self._folder, name)
        trial = neighbour(self._folder, above)
        check_inside(trial)
        return path_inside(trial, below)

    def _ship_artifact(self, name: str, to: str | None, *, is_new: bool) -> None:
        """A file that the journal names, if it is one of the run's folder."""
        try:
            path = path_inside(self._folder, name)
            if to:
                path_inside(self._folder, to)  # neither does it leave the run's artifacts in the store
        except BadRunFolder as error:
            if is_new:
                self._sender.refuse(f"artifact {name}", Refused(str(error)))
            return
        self._ship_file(path, to, is_new=is_new)

    def _fill(self, end: int) -> None:
        """Completes the series up to `end`, once it is known how long they are."""
        self._filled = True
        strides = self._series.strides(final=self._end["status"] == "FINISHED")
        is_new = end > self.state.filled
        if is_new:
            for points in (self._series.outstanding(strides), self._series.again(strides, end)):
                for name, point in points:
                    self._sender.point(self._translation.names.key(name), point)
            self._series.write_histories(end)
        for path in self._series.tables.values():
            self._ship_file(path, "history", is_new=is_new)
        if is_new:
            # The place of the lines themselves is noted by the caller: points first, then the mark that they are there.
            self._sender.drain()
            self._sender.note(filled=end)


def ship_all(shipment: Shipment, folder: Path) -> bool:
    """Ships all that there is of a run, to its status where nobody writes it any more; tells whether that is so."""
    is_over = not journal.is_held(folder)
    feed_all(shipment, folder)
    if is_over:
        shipment.finish()
    else:
        shipment.flush()
    return is_over


def feed_all(shipment: Shipment, folder: Path, until: int | None = None) -> None:
    """Feeds the shipment with all that it has not had yet, up to the offset `until`."""
    with open(folder / journal.FILE, "rb") as file:
        file.seek(shipment.place)
        for event, end in journal.lines(file):
            if until is not None and end > until:
                return
            shipment.feed(event, end)


def _experiment_name(event: Event) -> str:
    # Experiment 0 is everybody's drawer: a run that would land there gets an experiment of its own name.
    names = (event.get("experiment"), event.get("name"), "annpipe")
    return next(name for name in names if name and name != "Default")


def _summary(refused: Sequence[str]) -> str:
    return f"the store refused {len(refused)} of the run's items, first {refused[0]}"
