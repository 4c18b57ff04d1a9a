"""What a draft says of parameters beside initializers: those frozen for some epochs, and weights to begin with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from annpipe.draft.parameter_groups import means
from annpipe.errors import Place


@dataclass(frozen=True)
class Thaw:
    """Parameters that are frozen in the first `until` epochs, and trained from the next one on."""

    patterns: tuple[str, ...]
    until: int
    place: Place | None = field(default=None, compare=False)

    def to_data(self) -> dict[str, Any]:
        """As a spec says it."""
        return {"layers": list(self.patterns), "until": self.until}


def thawed_after(thaws: Iterable[Thaw], freeze: Sequence[str], names: Iterable[str]) -> dict[str, int]:
    """The parameters that are frozen for some epochs only, each with how many: the most that is said of it."""
    epochs: dict[str, int] = {}
    for name in names:
        of_name = [thaw.until for thaw in thaws if any(means(pattern, name) for pattern in thaw.patterns)]
        if of_name and not any(means(pattern, name) for pattern in freeze):
            epochs[name] = max(of_name)
    return epochs
