"""Registers a run's model in MLflow's registry, once the store has the whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from annpipe.errors import NotFound, RunError, StoreError
from annpipe.record.journal import journal
from annpipe.record.journal.location import scrub
from annpipe.record.journal.seal import MODEL, check_own, seal_store
from annpipe.record.journal.state import Shipped, is_recorded, read_state, sole_shipper
from annpipe.record.journal.summary import best_trial_of, is_sweep
from annpipe.record.shipper.follow import logging_to, ship, store_of
from annpipe.record.shipper.retry import TrainerPipe
from annpipe.record.store.client import Store
from annpipe.record.store.registry import Version, register

SECONDS_ALONE = 10.0


def register_run(
    folder: Path,
    name: str,
    aliases: Sequence[str],
    tags: Mapping[str, str],
    uri: str | None = None,
    notify: Callable[[str], None] = lambda _: None,
    *,
    trust: bool = False,
) -> tuple[Version, str]:
    """The version of the registered model `name` that is this run's model, made where there was none; and its store.

    A record that is not complete is made complete first. Raises NotFound for a run without a model, RunError for one
    that still runs, StoreError, and NotTrusted where the model is not known as the user's own, unless `trust` says so.
    """
    _check_model(folder, trust=trust)
    if uri:
        seal_store(folder, uri)
    store = store_of(folder, uri)
    state = read_state(folder, store)
    if not is_recorded(folder, store):
        notify("the run's record is not complete: shipping what the store lacks …")
        state = _shipped(folder, store)
    if not state.run_id:
        raise StoreError(f"the run {folder.name} has no record: `annpipe sync {folder.name}` tells why")
    return register(Store(store), name, state.run_id, state.model_id, aliases, tags), scrub(store)


def _check_model(folder: Path, *, trust: bool) -> None:
    """Whether the run has a model in the record, and one that the user made."""
    if journal.is_held(folder):
        raise RunError(f"the run {folder.name} is still running: register it when it has finished")
    parent = journal.run_begun(folder).parent
    if parent:
        remedy = f"`annpipe register {parent} NAME` registers the model of the best trial"
        raise NotFound(f"the run {folder.name} is a trial, whose model is not recorded by itself: {remedy}")
    owner = best_trial_of(folder) if is_sweep(folder) else folder
    if owner is None or not (owner / MODEL / "weights.safetensors").is_file():
        raise NotFound(f"the run {folder.name} has no model: it did not finish; `annpipe resume {folder.name}` goes on")
    check_own(owner, MODEL, trusted=trust)


def _shipped(folder: Path, store: str) -> Shipped:
    with sole_shipper(folder) as is_sole, logging_to(folder):
        if not is_sole:
            raise StoreError(f"another process ships {folder.name} at this moment: wait, and register it then")
        state = ship(folder, store, TrainerPipe(None), SECONDS_ALONE)
    if not state.complete:
        remedy = f"`annpipe sync {folder.name}` tries again"
        raise StoreError(f"the record of {folder.name} is not complete in {scrub(store)} ({state.problem}): {remedy}")
    return state
