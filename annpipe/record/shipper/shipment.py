"""Makes an MLflow run of a journal, event by event: each is shipped before its offset is noted.

At the end the store is asked what it holds; what it lacks is sent again, and the record is complete when it says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.errors import StoreError
from annpipe.record.journal import journal
from annpipe.record.journal.events import (
    ArtifactKept,
    DatasetUsed,
    Event,
    LengthChanged,
    MetricPoints,
    ModelSaved,
    RunBegun,
    RunEnded,
    RunResumed,
    TrialBegun,
    TrialEnded,
    time_of,
)
from annpipe.record.journal.inside import neighbour
from annpipe.record.journal.location import artifact_root
from annpipe.record.journal.state import Shipped, read_state, write_state
from annpipe.record.shipper.files import RunFiles
from annpipe.record.shipper.model_links import link_evaluation, model_facts
from annpipe.record.shipper.passes import TrialPasses, no_trials
from annpipe.record.shipper.retry import Caller
from annpipe.record.shipper.sender import Sender
from annpipe.record.shipper.series import AllSeries
from annpipe.record.shipper.system import SystemSamples
from annpipe.record.shipper.translation import Translation, experiment_name
from annpipe.record.store import keys
from annpipe.record.store.client import Store
from annpipe.record.store.content import Content
from annpipe.record.store.contents import Question, ask, present_points
from annpipe.record.store.faults import ItemRefused, RunGone

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
        calling: Caller,
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
        self._passes = TrialPasses(folder, trials)
        self._series = AllSeries(folder)
        self._samples = SystemSamples(folder)
        self._translation = Translation()
        self._files = RunFiles(folder, self._sender, self._translation)
        self._offset = 0
        self._read = state.offset
        self._flushed_at = 0.0
        self._last_ms = 0
        self._ended: RunEnded | None = None
        self._name: str | None = None
        self._filled = False

    def feed(self, event: Event, end: int) -> None:
        """Takes the next event, whose line ends at the offset `end`."""
        is_new = end > self.state.offset
        self._count(event, end, is_new=is_new)
        self._offset = end
        self._ship(event, is_new=is_new)
        if not is_new:
            return
        self._read = end
        if self._sender.has_enough:
            self.flush()

    def flush(self) -> None:
        """Ships what waits, and notes the offset."""
        sampled = self._samples.send(self._sender, self._translation.names) if self.state.run_id else 0
        self._sender.facts(self._translation.new_names())
        self._sender.drain()
        if sampled > self.state.sampled:
            self._sender.note(sampled=sampled)
        if self._passes.wait:
            self._passes.go()
        if self._read > self.state.offset:
            self._sender.note(offset=self._read, problem=None)
        self._flushed_at = time.monotonic()

    def flush_now_and_then(self) -> None:
        """Ships trials, and what else waits when the last call was a while ago: the UI shows a run as it goes."""
        self._passes.call_if_due()
        has_news = self._read > self.state.offset or self._samples.has_news()
        is_due = has_news and time.monotonic() - self._flushed_at >= SECONDS_BETWEEN_CALLS
        if self._passes.wait or is_due:
            self.flush()

    def finish(self) -> None:
        """Nothing more will come: completes the series, sets the status, and asks the store whether it has all."""
        self._passes.call_all()
        self._conclude()
        expected, lacking = self._asked()
        if lacking or self.state.refused:
            log.warning("the store lacks %s: sent again", lacking.text(expected))
            self._send_again(lacking)
            expected, lacking = self._asked()
        problem = f"the store lacks {lacking.text(expected)}" if lacking else None
        if self.state.refused:
            n_refused = len(self.state.refused)
            problem = f"the store refused {n_refused} of the run's items, first {self.state.refused[0]}"
        self._sender.note(complete=problem is None, problem=problem, expected=expected.to_data())

    def _conclude(self) -> None:
        self.flush()
        if not self.state.run_id:
            raise StoreError("the journal has no run event, so there is nothing to record")
        if not self._filled:
            self._fill(self._offset)
        if self._files.names():
            self.flush()
        self._sender.end(self._end.status, self._end.time)

    def _asked(self) -> tuple[Content, Content]:
        """What the record is to hold, and what the store lacks of it or has refused."""
        points = {keys.mlflow_key(key): n for key, n in self._series.n_chosen.items()} | self._samples.n_points
        expected = Content(self._end.status, frozenset(self._translation.items), points)
        question = Question(self._sender.run, self.state.experiment_id or "", self.state.model_id, expected)
        held = self._calling(lambda: ask(self._store, [question])).get(self._sender.run)
        if held is None or held.is_deleted:
            self._calling(lambda: self._store.check(self._sender.run))
            raise RunGone(f"MLflow run {self._sender.run} is gone")
        refused = {
            item for item in expected.items if any(refusal.startswith(f"{item}: ") for refusal in self.state.refused)
        }
        return expected, expected.lacking_in(held.content).with_items(refused)

    def _send_again(self, lacking: Content) -> None:
        """Goes through the journal once more, and sends that of it; what is refused now is all that is."""
        state = replace(self.state, offset=0, filled=0, sampled=0, refused=(), model_id=None)
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
        feed_all(again, self._folder, self._offset)
        again._conclude()
        self._sender.note(refused=again.state.refused, model_id=again.state.model_id or self.state.model_id)

    @property
    def state(self) -> Shipped:
        """How far the record has come."""
        return self._sender.state

    @property
    def offset(self) -> int:
        """The offset behind the last event that was fed."""
        return self._offset

    @property
    def has_ended(self) -> bool:
        """Whether the journal's last word on the run is its end."""
        return self._ended is not None

    @property
    def _end(self) -> RunEnded:
        return self._ended or RunEnded(status="KILLED", time=self._last_ms)

    def _count(self, event: Event, end: int, *, is_new: bool) -> None:
        if isinstance(event, RunBegun):
            self._series.expected, self._name = event.expected_points, event.name
        for name, point in self._series.kept(event):
            key = self._translation.names.key(name)
            if is_new:
                self._sender.point(key, point)
        if isinstance(event, RunResumed):
            if not self._filled:
                self._fill(self._offset)
            self._ended, self._filled = None, False
        elif isinstance(event, LengthChanged):
            self._series.announce(event.total)
        elif isinstance(event, TrialBegun | TrialEnded):
            self._passes.take(event, is_new=is_new and not self._sender.is_mending)
        elif isinstance(event, RunEnded):
            self._ended = event
            self._fill(end)
        self._last_ms = time_of(event) or self._last_ms

    def _ship(self, event: Event, *, is_new: bool) -> None:
        """Ships an event that is new; of every one it is noted what the record is to hold of it."""
        if isinstance(event, ArtifactKept):
            self._files.artifact(event.file, event.to, is_new=is_new)
        elif isinstance(event, MetricPoints) and is_new:
            link_evaluation(event, self._sender, self.flush)
        elif isinstance(event, ModelSaved):
            facts = model_facts(self._name or self._folder.name, self._translation, self._series)
            self._files.model(event.folder, facts, self.flush, is_new=is_new)
        elif is_new and not self._sender.is_mending:
            if isinstance(event, RunBegun):
                self._ship_run(event)
            elif isinstance(event, RunResumed):
                self._sender.attempt("status RUNNING", lambda: self._store.reopen(self._sender.run))
        self._ship_facts(event, is_new=is_new)

    def _ship_run(self, begun: RunBegun) -> None:
        begun = replace(begun, id=begun.id or self._folder.name, name=begun.name or self._folder.name)
        name = experiment_name(begun)
        try:
            # Where an experiment keeps its files is told by the store, and not by the journal, which may be anybody's.
            root = artifact_root(self._store.uri, self._folder.parent.parent)
            experiment = self._calling(lambda: self._store.experiment(name, root))
            sweep = neighbour(self._folder, begun.parent) if begun.parent else None
            parent = read_state(sweep, self._store.uri).run_id if sweep else None
            run = self._calling(lambda: self._store.run(experiment, begun, parent))
        except ItemRefused as error:
            raise StoreError(f"the store refuses the run itself: {error}") from error
        self._sender.note(experiment_id=experiment, run_id=run)
        log.info("run %s is MLflow run %s in experiment %s", begun.id, run, experiment)

    def _ship_facts(self, event: Event, *, is_new: bool) -> None:
        """What a run event may bring along and later events may add: tags, note, params, data."""
        facts = self._translation.facts(event)
        if is_new:
            self._sender.facts(facts)
        data = event.dataset if isinstance(event, RunBegun | DatasetUsed) else None
        if data:
            item = self._translation.dataset(data)
            if is_new:
                self._sender.offer(item, lambda: self._store.dataset(self._sender.run, data))

    def _fill(self, end: int) -> None:
        """Completes the series up to `end`, once it is known how long they are."""
        self._filled = True
        strides = self._series.strides(final=self._end.status == "FINISHED")
        is_new = end > self.state.filled
        if is_new:
            for points in (self._series.outstanding(strides), self._series.again(strides, end)):
                for name, point in points:
                    self._sender.point(self._translation.names.key(name), point)
            self._series.write_histories(end)
        for path in self._series.tables.values():
            self._files.file(path, "history", is_new=is_new)
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
        file.seek(shipment.offset)
        for event, end in journal.lines(file):
            if until is not None and end > until:
                return
            shipment.feed(event, end)
