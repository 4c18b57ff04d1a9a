"""Sends the items of one run to a store, and notes what it has taken and what it refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from annpipe.errors.redact import scrub
from annpipe.record.journal.state import Shipped
from annpipe.record.shipper.retry import Caller
from annpipe.record.shipper.thin import SeriesPoint
from annpipe.record.store.client import Store
from annpipe.record.store.content import Content
from annpipe.record.store.faults import ItemRefused
from annpipe.record.store.items import Item, Metric, first_call, item_text

ITEMS_WAITING = 1000
MOST_REFUSED = 1000  # that are told by name
T = TypeVar("T")
log = logging.getLogger("annpipe.record")


class Sender:
    """Points, params and tags wait here until there is a call's worth of them; all else goes at once.

    `note` keeps each new state. Where `wanted` is given, nothing but that is sent, and of its series no point that is
    `present`, told by step and time. Raises RunDeleted and RunGone where nothing can be written to the run.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        calling: Caller,
        state: Shipped,
        note: Callable[[Path, Shipped], None],
        *,
        wanted: Content | None = None,
        present: Mapping[str, set[tuple[int, int]]] | None = None,
    ) -> None:
        self.state = state
        self.store = store
        self.calling = calling
        self._folder = folder
        self._keep = note
        self._wanted = wanted
        self._present = present or {}
        self._waiting: list[Item] = []

    @property
    def run(self) -> str:
        """The id of the MLflow run."""
        assert self.state.run_id, "the first event of a journal makes the run"
        return self.state.run_id

    @property
    def is_mending(self) -> bool:
        """Whether the run is there already, and gets what it lacks."""
        return self._wanted is not None

    def wants(self, item: str) -> bool:
        """Whether an item is to be sent."""
        return self._wanted is None or item in self._wanted.items

    @property
    def has_enough(self) -> bool:
        """Whether a call's worth waits."""
        return len(self._waiting) >= ITEMS_WAITING

    def point(self, key: str, point: SeriesPoint) -> None:
        """Lets a point wait."""
        if self._wanted is not None and (
            key not in self._wanted.points or (point.step, point.time_ms) in self._present.get(key, ())
        ):
            return
        self._waiting.append(Metric(key, point.value, point.time_ms, point.step))
        # One line may hold a million points: they go in whole calls, and the place is noted after the last.
        if len(self._waiting) >= 2 * ITEMS_WAITING:
            self._drain()

    def facts(self, items: Sequence[Item]) -> None:
        """Lets params and tags wait."""
        self._waiting += [item for item in items if self.wants(item_text(item))]

    def drain(self) -> None:
        """Sends all that waits."""
        while self._waiting:
            self._drain()

    def offer(self, item: str, action: Callable[[], T]) -> T | None:
        """Does what brings an item into the store, where it is wanted; None where the store refuses it."""
        return self.attempt(item, action) if self.wants(item) else None

    def attempt(self, what: str, action: Callable[[], T]) -> T | None:
        """Does it; None where the store refuses."""
        try:
            return self.calling(action)
        except ItemRefused as error:
            self.calling(lambda: self.store.check(self.run))
            self.refuse(what, error)
            return None

    def end(self, status: str, time_ms: int) -> None:
        """Sets the status of the run."""
        if self._wanted is None or self._wanted.status:
            self.attempt(f"status {status}", lambda: self.store.end(self.run, status, time_ms))

    def note(self, **changes: Any) -> None:
        """Moves the state forward."""
        self.state = replace(self.state, **changes)
        self._keep(self._folder, self.state)

    def _drain(self) -> None:
        n_items = first_call(self._waiting)
        batch, self._waiting = self._waiting[:n_items], self._waiting[n_items:]
        self._send(batch)

    def _send(self, items: Sequence[Item], *, is_part: bool = False) -> None:
        """Ships a batch; when it is refused, its halves, so that one bad item costs only itself."""
        try:
            self.calling(lambda: self.store.log(self.run, items))
        except ItemRefused as error:
            if not is_part:
                self.calling(lambda: self.store.check(self.run))
            if len(items) == 1:
                self.refuse(item_text(items[0]), error)
                return
            middle = len(items) // 2
            self._send(items[:middle], is_part=True)
            self._send(items[middle:], is_part=True)

    def refuse(self, what: str, error: ItemRefused) -> None:
        """Notes that an item is not taken."""
        log.error("refused: %s: %s", what, error)
        refusal = scrub(f"{what}: {error}")[:500]
        if refusal not in self.state.refused:
            self.note(refused=(*self.state.refused, refusal)[:MOST_REFUSED])
