"""`annpipe sync`: asks the stores of earlier runs what they hold, and ships what they lack."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from annpipe.cli.completion import words

SECONDS_ALONE = 5.0


@click.command("sync")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=words.runs)
@click.option("--tracking-uri", metavar="URI", help="Ship to this store instead; there it is a new MLflow run.")
def command(runs: tuple[str, ...], tracking_uri: str | None) -> None:
    """Ask the store what it holds of all runs, or of those named, and ship what it lacks.

    What the store has already is not sent twice, so a second sync changes nothing.
    """
    from annpipe.cli.project_runs import runs_of
    from annpipe.errors import StoreError
    from annpipe.record.journal.location import URI_VARIABLE, prepare_for_mlflow, resolve_tracking_uri
    from annpipe.record.journal.project import find_project, find_run

    project = find_project()
    folders = list(dict.fromkeys(find_run(project, run) for run in runs)) or runs_of(project)
    chosen = resolve_tracking_uri(tracking_uri, project, None) if tracking_uri else None
    uri = chosen or os.environ.get(URI_VARIABLE)
    if not folders:
        click.echo("there are no runs to ship", err=True)
        return
    prepare_for_mlflow()
    known = _ask(folders, uri)
    away: dict[str, str] = {}
    failed = [
        folder.name for folder in folders if not _tried(folder, uri, known.get(folder), away, is_chosen=bool(chosen))
    ]
    if failed:
        raise StoreError(
            f"{len(failed)} of {len(folders)} runs could not be shipped whole; their journals keep everything"
        )


def _tried(folder: Path, uri: str | None, answer: Answer | None, away: dict[str, str], *, is_chosen: bool) -> bool:
    """As `_sync`; a run that fails in a way of its own is told, and holds up no other.

    A store that the command line chose is noted as one that the run may be shipped to.
    """
    from annpipe.cli.project_runs import warn_damaged
    from annpipe.errors import AnnpipeError
    from annpipe.record.journal.inside import check_inside
    from annpipe.record.journal.seal import seal_store

    try:
        check_inside(folder)
        if uri and is_chosen:
            seal_store(folder, uri)
        warn_damaged(folder)
        return _sync(folder, uri, answer, away)
    except AnnpipeError as error:
        click.echo(f"{folder.name}: not shipped: {error}", err=True)
    except OSError as error:
        click.echo(f"{folder.name}: not shipped: its folder cannot be used ({error.strerror})", err=True)
    return False


@dataclass(frozen=True)
class Answer:
    """What was found out of a run that was recorded whole: what the store lacks now, or that the run was deleted."""

    lacking: str
    is_deleted: bool = False


def _ask(folders: Sequence[Path], uri: str | None) -> dict[Path, Answer]:
    """What the stores say of the runs that were recorded whole; those that have to be shipped anyway are left out."""
    from annpipe.errors import AnnpipeError
    from annpipe.record.journal import journal
    from annpipe.record.journal.inside import check_inside
    from annpipe.record.journal.state import is_recorded
    from annpipe.record.shipper.follow import store_of

    by_store: dict[str, list[Path]] = defaultdict(list)
    for folder in folders:
        try:
            check_inside(folder)
            store = store_of(folder, uri)
            if not journal.is_held(folder) and is_recorded(folder, store):
                by_store[store].append(folder)
        except (AnnpipeError, OSError):  # told when it is to be shipped
            continue
    answers: dict[Path, Answer] = {}
    for store, some in by_store.items():
        answers |= _asked(store, some)
    return answers


def _asked(uri: str, folders: Sequence[Path]) -> dict[Path, Answer]:
    from annpipe.record.journal.state import read_state
    from annpipe.record.store.client import Store
    from annpipe.record.store.content import Content
    from annpipe.record.store.contents import Question, ask
    from annpipe.record.store.faults import first_line

    states = {folder: read_state(folder, uri) for folder in folders}
    questions = {
        folder: Question(str(state.run_id), str(state.experiment_id), state.model_id, Content.from_data(state.expected))
        for folder, state in states.items()
        if state.expected is not None  # else an earlier version shipped it: its journal tells what to ask for
    }
    store = Store(uri)
    try:
        held = ask(store, list(questions.values()))
    except Exception as error:  # whatever it is, the store gave no answer: each run is tried by itself, and tells
        click.echo(f"the store did not answer: {first_line(error)}", err=True)
        return {}
    for notice in store.notices:
        click.echo(notice, err=True)
    answers = {}
    for folder, question in questions.items():
        held_run = held.get(question.run_id)
        if held_run is None:
            answers[folder] = Answer("the run itself")
        else:
            lacking = question.expected.lacking_in(held_run.content)
            answers[folder] = Answer(lacking.text(question.expected), held_run.is_deleted)
    return answers


def _sync(folder: Path, uri: str | None, answer: Answer | None, away: dict[str, str]) -> bool:
    """Ships what is missing of one run and says what was done; False when its record still is not complete.

    `away` tells of stores that gave no answer: one run waits for a store, not each of hundreds.
    """
    from annpipe.record.journal import journal
    from annpipe.record.journal.state import read_state

    if journal.is_held(folder):
        click.echo(f"{folder.name}: still running; its own shipper records it")
        return True
    if answer is not None and answer.is_deleted:
        click.echo(f"{folder.name}: deleted in MLflow after it was recorded, and left there", err=True)
        return True
    if answer is not None and not answer.lacking:
        click.echo(f"{folder.name}: complete already (MLflow run {read_state(folder, uri).run_id})")
        return True
    if answer is not None:
        click.echo(f"{folder.name}: the store lacks {answer.lacking}")
    return _ship(folder, uri, away, is_mended=answer is not None)


def _ship(folder: Path, uri: str | None, away: dict[str, str], *, is_mended: bool) -> bool:
    from annpipe.cli.views.run import refusals
    from annpipe.record.journal import journal
    from annpipe.record.journal.location import scrub
    from annpipe.record.journal.state import read_state, sole_shipper
    from annpipe.record.shipper.follow import logging_to, ship, store_of
    from annpipe.record.shipper.retry import TrainerPipe
    from annpipe.record.store.client import Store

    store = store_of(folder, uri)
    if store in away:
        click.echo(f"{folder.name}: not complete in {scrub(store)}: {away[store]}", err=True)
        return False
    before = read_state(folder, store)
    with sole_shipper(folder) as is_sole, logging_to(folder):
        if not is_sole:
            click.echo(f"{folder.name}: another shipper is at work on it")
            return True
        state = ship(folder, store, TrainerPipe(None), SECONDS_ALONE)
    for notice in state.notices[len(before.notices) :]:
        click.echo(notice, err=True)
    if not state.complete:
        click.echo(f"{folder.name}: not complete in {scrub(store)}: {state.problem}", err=True)
        for line in refusals(state.refused):
            click.echo(f"  {line}", err=True)
        if not Store(store).answers():
            away[store] = str(state.problem)
        return False
    if state == before and not is_mended:
        click.echo(f"{folder.name}: complete already (MLflow run {state.run_id})")
    elif state.run_id == before.run_id and state.offset == before.offset:
        click.echo(f"{folder.name}: {journal.status(folder)}, asked and complete as MLflow run {state.run_id}")
    else:
        size = (state.offset - (before.offset if state.run_id == before.run_id else 0) + 1023) // 1024
        click.echo(f"{folder.name}: {journal.status(folder)}, shipped {size} KiB as MLflow run {state.run_id}")
    return True
