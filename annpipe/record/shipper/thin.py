"""Thins a long series for the record: at most 10,000 points, and always the first, last and best ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

BUDGET = 10_000
# Of the budget: what even strides may use, the non-finite points that lie between them, and what a run that
# was killed may use (it may be resumed, and MLflow can take nothing back).
STRIDED = 9_000
NON_FINITE = 500
WHILE_RESUMABLE = 8_000
UNANNOUNCED = 5_000


@dataclass(frozen=True)
class SeriesPoint:
    """One value of a series, as MLflow keeps it."""

    step: int
    value: float
    time_ms: int


class Thinner:
    """Decides point by point, from the journal alone, so that a shipper that starts again decides the same.

    A series that is announced (`expected`) to fit the budget is kept whole. A longer one is kept at an even stride;
    one that outgrows its announcement gets half of what is left for each doubling.
    """

    def __init__(self, key: str, expected: int | None) -> None:
        self._wants_low = "loss" in key.lower()
        announced = expected or 0
        self._stage_end = announced if announced > BUDGET else max(announced, UNANNOUNCED)
        self._stride = math.ceil(announced / STRIDED) if announced > BUDGET else 1
        self._budget = BUDGET
        self.expected = announced
        self.n_seen = 0
        self.n_kept = 0
        self._n_non_finite = 0
        self._n_aside = 10
        self._last: tuple[SeriesPoint, bool, int] | None = None  # point, whether it is kept, its place in the series
        self._low: tuple[SeriesPoint, bool, int] | None = None
        self._high: tuple[SeriesPoint, bool, int] | None = None
        self._chosen: bytearray | None = None  # by place whether a point is in the record, once one was left out

    @property
    def is_whole(self) -> bool:
        """Whether every point so far is kept."""
        return self.n_kept >= self.n_seen

    def keep(self, point: SeriesPoint) -> bool:
        """Whether this next point of the series goes into the record at once."""
        if self.n_seen == self._stage_end:
            self._next_stage()
        finite = math.isfinite(point.value)
        kept = self._stride > 0 and self.n_seen % self._stride == 0
        if not kept and not finite and self._n_non_finite < NON_FINITE:
            kept = True
            self._n_non_finite += 1
        self._last = point, kept, self.n_seen
        self.n_kept += kept
        if self._chosen is not None:
            self._chosen.append(kept)
        elif not kept:
            self._chosen = bytearray(b"\1" * self.n_seen + b"\0")
        self.n_seen += 1
        if finite:
            self._note_extremes(point, kept)
        return kept

    def announce(self, expected: int) -> None:
        """The series will be so long after all: a run that is trained further. What comes now has a budget of its own,
        as long as it makes the series longer."""
        n_more = max(0, expected - self.n_seen)
        self.expected = expected
        self._budget = max(self._budget, self.n_kept + min(n_more, BUDGET) + NON_FINITE + self._n_aside)
        self._stage_end = max(expected, self.n_seen + UNANNOUNCED)
        self._stride = max(1, _stride(n_more, self._room(self._budget)))

    @property
    def n_chosen(self) -> int:
        """How many points are to be in the record: those that were kept, and those that `fill` added."""
        return self.n_seen if self._chosen is None else sum(self._chosen)

    def outstanding(self) -> list[SeriesPoint]:
        """The last and best points, where `keep` had to leave them out."""
        return list(dict.fromkeys(point for point, _ in self._left_out()))

    def _left_out(self) -> list[tuple[SeriesPoint, int]]:
        best = [self._low] if self._wants_low else [self._low, self._high]
        marked = [mark for mark in (*best, self._last) if mark is not None]
        return [(point, index) for point, kept, index in marked if not kept]

    def fill(self, *, final: bool) -> int:
        """Uses what is left of the budget once the length is known: the stride to go through the series again.

        0 means that the series is kept well enough as it is. A run that is not `final` leaves room to be resumed.
        """
        if self.is_whole:
            return 0
        self._n_aside += 3  # the outstanding ones
        over = BUDGET - WHILE_RESUMABLE
        limit = self._budget if final or self.n_seen >= self.expected else self._budget - over
        stride = 1 if self.n_seen <= limit else _stride(self.n_seen, self._room(limit))
        if not 0 < stride < max(self._stride, 2):
            stride = 0
        self._choose(stride)
        if not stride:
            return 0
        self.n_kept = self.n_seen if stride == 1 else self.n_kept + math.ceil(self.n_seen / stride)
        self._stride = _stride(max(self._stage_end - self.n_seen, self.n_seen // 2), self._room(self._budget))
        return stride

    def _choose(self, stride: int) -> None:
        assert self._chosen is not None  # the series is not whole
        if stride:
            self._chosen[::stride] = b"\1" * len(self._chosen[::stride])
        for _, index in self._left_out():
            self._chosen[index] = 1

    def _room(self, limit: int) -> int:
        """How many points at an even stride still fit, beside the non-finite ones and the best ones."""
        return limit - NON_FINITE - self._n_aside - self.n_kept + self._n_non_finite

    def _next_stage(self) -> None:
        self._stride = _stride(2 * self.n_seen, self._room(self._budget))
        self._stage_end *= 2

    def _note_extremes(self, point: SeriesPoint, kept: bool) -> None:
        if self._low is None or point.value < self._low[0].value:
            self._low = point, kept, self.n_seen - 1
        if self._high is None or point.value > self._high[0].value:
            self._high = point, kept, self.n_seen - 1


def _stride(n_points: int, room: int) -> int:
    """The stride at which so many points fit the room; 0 where there is none."""
    return math.ceil(n_points / room) if room > 0 else 0
