"""The content of a run's record: what its journal says it is to hold, and what of that a store lacks.

Items are named as people are told of them: `param lr`, `tag annpipe.seed`, `artifact plots/a.svg`, `dataset iris`,
`model`. Points are counted by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

MODEL = "model"
MOST_TOLD = 5


@dataclass(frozen=True)
class Content:
    """A record, or a part of one: the run's status, its items, and how many points each series has."""

    status: str | None = None
    items: frozenset[str] = frozenset()
    points: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.status or self.items or self.points)

    def of_kind(self, kind: str) -> list[str]:
        """The names of the items of a kind: `artifact`, `dataset`, `param` or `tag`."""
        return sorted(item.removeprefix(f"{kind} ") for item in self.items if item.startswith(f"{kind} "))

    def lacking_in(self, held: Content) -> Content:
        """What of this the store that holds `held` does not have; `points` then says how many it has of a series."""
        return Content(
            self.status if self.status != held.status else None,
            self.items - held.items,
            {key: held.points.get(key, 0) for key, n in self.points.items() if held.points.get(key, 0) < n},
        )

    def with_items(self, items: Iterable[str]) -> Content:
        """This with more items."""
        return Content(self.status, self.items | frozenset(items), self.points)

    def text(self, expected: Content) -> str:
        """In words what lacks of `expected`."""
        series = [
            f"{expected.points[key] - n} of {expected.points[key]} points of {key}" for key, n in self.points.items()
        ]
        parts = [*([f"the status {self.status}"] if self.status else []), *sorted(self.items), *series]
        more = f" and {len(parts) - MOST_TOLD} more" if len(parts) > MOST_TOLD else ""
        return ", ".join(parts[:MOST_TOLD]) + more

    def to_data(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {"status": self.status, "items": sorted(self.items), "points": dict(self.points)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Out of what `to_data` gave."""
        return cls(data["status"], frozenset(data["items"]), dict(data["points"]))


@dataclass(frozen=True)
class Held:
    """What a store says of a run: what it holds, and whether somebody put it into MLflow's bin."""

    content: Content
    is_deleted: bool = False
