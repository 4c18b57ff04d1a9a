"""`annpipe sync`: ship what the record of earlier runs still lacks."""

from __future__ import annotations

import os
from pathlib import Path

import click

from annpipe.cli import words

SECONDS_ALONE = 5.0


@click.command("sync")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=words.runs)
@click.option("--tracking-uri", metavar="URI", help="Ship to this store instead; there it is a new MLflow run.")
def command(runs: tuple[str, ...], tracking_uri: str | None) -> None:
    """Ship the journals of all runs whose record is not complete, or of those named.

    What the store has already is not sent twice, so a second sync does nothing.
    """
    from annpipe.cli.walking import runs_of
    from annpipe.errors import StoreError
    from annpipe.record.location import resolve_tracking_uri
    from annpipe.record.project import find_project, find_run

    project = find_project()
    folders = list(dict.fromkeys(find_run(project, run) for run in runs)) or runs_of(project)
    uri = resolve_tracking_uri(tracking_uri, project, None) if tracking_uri else None
    if not folders:
        click.echo("there are no runs to ship", err=True)
    failed = [folder.name for folder in folders if not _tried(folder, uri)]
    if failed:
        raise StoreError(f"{len(failed)} of {len(folders)} runs could not be shipped; their journals keep everything")


def _tried(folder: Path, uri: str | None) -> bool:
    """As `_sync`; a run that fails in a way of its own is told, and holds up no other."""
    from annpipe.cli.walking import tell_damage
    from annpipe.errors import AnnpipeError

    try:
        tell_damage(folder)
        return _sync(folder, uri)
    except AnnpipeError as error:
        click.echo(f"{folder.name}: not shipped: {error}", err=True)
    except OSError as error:
        click.echo(f"{folder.name}: not shipped: its folder cannot be used ({error.strerror})", err=True)
    return False


def _sync(folder: Path, uri: str | None) -> bool:
    """Ships one run and says what was done; False when its record still is not complete.

    A run folder that cannot be shipped as it is holds up no other.
    """
    from annpipe.errors import AnnpipeError

    try:
        return _shipped(folder, uri)
    except AnnpipeError as error:
        click.echo(f"{folder.name}: {error}", err=True)
        return False


def _shipped(folder: Path, uri: str | None) -> bool:
    from annpipe.record import journal
    from annpipe.record.inside import check_inside
    from annpipe.record.location import MLFLOW_ENVIRONMENT, URI_VARIABLE
    from annpipe.record.seal import seal_store
    from annpipe.record.state import is_recorded, read_state

    check_inside(folder)
    if journal.is_held(folder):
        click.echo(f"{folder.name}: still running; its own shipper records it")
        return True
    if uri:
        seal_store(folder, uri)
    target = uri or os.environ.get(URI_VARIABLE)
    if is_recorded(folder, target):
        click.echo(f"{folder.name}: complete already (MLflow run {read_state(folder, target).run_id})")
        return True
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return _ship(folder, target)


def _ship(folder: Path, uri: str | None) -> bool:
    from annpipe.record import journal
    from annpipe.record.location import scrub
    from annpipe.record.patience import Trainer
    from annpipe.record.ship import logging_to, ship, store_of
    from annpipe.record.state import read_state, sole_shipper

    store = store_of(folder, uri)
    before = read_state(folder, store).offset
    with sole_shipper(folder) as is_sole, logging_to(folder):
        if not is_sole:
            click.echo(f"{folder.name}: another shipper is at work on it")
            return True
        state = ship(folder, store, Trainer(None), SECONDS_ALONE)
    if not state.complete:
        click.echo(f"{folder.name}: not shipped to {scrub(store)}: {state.problem}", err=True)
        return False
    size = (state.offset - before + 1023) // 1024
    click.echo(f"{folder.name}: {journal.status(folder)}, shipped {size} KiB as MLflow run {state.run_id}")
    if state.problem:
        click.echo(f"{folder.name}: {state.problem}", err=True)
    return True
