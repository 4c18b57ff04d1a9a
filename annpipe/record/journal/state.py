"""How far a run's record has come: the shipper's own small file beside the journal, replaced atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from annpipe.errors.redact import scrubbed
from annpipe.files.descriptors import move
from annpipe.files.lock import sole
from annpipe.files.private import write_private
from annpipe.record.journal.inside import is_file
from annpipe.record.journal.journal import complete_size
from annpipe.record.journal.location import database_file, same_store, scrub

FILE = "shipped.json"
LOCK = "shipped.lock"


@dataclass(frozen=True)
class Shipped:
    """What one store holds of a run: `offset` bytes of the journal, and all of it when `complete`: it said so itself.

    `sampled` counts the bytes of `system.jsonl`, as `offset` those of the journal.
    `expected` is what it was asked for, see `store.content.Content`; None where an earlier version shipped the run.
    """

    store: str = ""
    run_id: str | None = None
    experiment_id: str | None = None
    model_id: str | None = None
    offset: int = 0
    filled: int = 0
    sampled: int = 0
    complete: bool = False
    problem: str | None = None
    refused: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    expected: dict[str, Any] | None = None


def read_state(folder: Path, uri: str | None = None) -> Shipped:
    """The state of a run's record in the store `uri`; of its first record when no store is named."""
    first = _load(folder / FILE)
    if uri is None or same_store(first.store, uri):
        return first
    if not first.run_id:
        return Shipped(store=scrub(uri))
    return _load(_other_file(folder, uri), Shipped(store=scrub(uri)))


def write_state(folder: Path, state: Shipped) -> None:
    """Replaces the file of the state's store in one move."""
    first = _load(folder / FILE)
    is_first = not first.run_id or same_store(first.store, state.store)
    path = folder / FILE if is_first else _other_file(folder, state.store)
    new = path.with_name(path.name + ".new")
    write_private(new, json.dumps(scrubbed(asdict(state)), indent=1) + "\n")
    move(new, path)


def is_recorded(folder: Path, uri: str | None = None) -> bool:
    """Whether the store held all of the run when it was asked last, also of what a resumed trainer wrote since.

    A database that is no longer there holds nothing.
    """
    state = read_state(folder, uri)
    database = database_file(state.store)
    if database is not None and not database.is_file():
        return False
    return state.complete and state.offset >= complete_size(folder)


@contextmanager
def sole_shipper(folder: Path) -> Iterator[bool]:
    """Holds the run's shipping lock; yields False when another shipper has it."""
    with sole(folder / LOCK) as is_sole:
        yield is_sole


def _other_file(folder: Path, uri: str) -> Path:
    digest = hashlib.sha256(scrub(uri).rstrip("/").encode()).hexdigest()[:8]
    return folder / f"shipped-{digest}.json"


def _load(path: Path, default: Shipped = Shipped()) -> Shipped:
    if not is_file(path):
        return default
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return default
    if not isinstance(data, dict):
        return default
    known = {field.name for field in fields(Shipped)}
    kept = {name: value for name, value in data.items() if name in known}
    lists = {name: _texts(kept.get(name) or ()) for name in ("refused", "notices")}
    state = Shipped(**{**kept, **lists})
    return state if _is_sound(state) else default


def _texts(value: object) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_sound(state: Shipped) -> bool:
    """Whether the fields are of their types; a file that is no state tells of no record, which is then made anew."""
    texts = (state.run_id, state.experiment_id, state.model_id, state.problem)
    return (
        isinstance(state.store, str)
        and all(text is None or isinstance(text, str) for text in texts)
        and all(type(number) is int and number >= 0 for number in (state.offset, state.filled, state.sampled))
        and isinstance(state.complete, bool)
        and all(isinstance(text, str) for text in (*state.refused, *state.notices))
    )
