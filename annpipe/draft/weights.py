"""What a draft says of parameters beside initializers: those frozen for some epochs, and weights to begin with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a model begins with: what the spec names, of which parameters, and what a plan knows of them.

    `or_init` says that what is not there, or has another shape, begins as it would without. In a plan `source` is the
    id of the `run` where it is one, `digest` is that of the values taken, and `taken` and `left` are the names of the
    model's values that begin with them and that do not.
    """

    source: str
    patterns: tuple[str, ...] = ()
    or_init: bool = False
    digest: str | None = None
    project: Path = field(default=Path(), compare=False)
    file: Path = field(default=Path(), compare=False)
    run: str | None = field(default=None, compare=False)
    taken: tuple[str, ...] = field(default=(), compare=False)
    left: tuple[str, ...] = field(default=(), compare=False)

    def to_data(self) -> dict[str, Any]:
        """As a spec says it."""
        layers = {"layers": list(self.patterns)} if self.patterns else {}
        otherwise = {"else": "init"} if self.or_init else {}
        return {"weights": self.source, **layers, **otherwise, **({"digest": self.digest} if self.digest else {})}
