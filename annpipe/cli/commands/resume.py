"""`annpipe resume RUN`: continues a run, exactly, in the same MLflow run; one that finished too."""

from __future__ import annotations

import sys

import click

from annpipe.cli.completion import words
from annpipe.cli.options import trust_option


@click.command("resume")
@click.argument("run", required=False, shell_complete=words.open_runs)
@click.option("--last", is_flag=True, help="The latest run of this project.")
@click.option("--epochs", type=click.IntRange(min=1), help="Train it to so many epochs in all, finished or not.")
@click.option("--steps", type=click.IntRange(min=1), help="The same of a run that counts its length in steps.")
@click.option("--tracking-uri", metavar="URI", help="The run's store, where it needs credentials.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: str | None,
    last: bool,
    epochs: int | None,
    steps: int | None,
    tracking_uri: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Resume RUN (its id, a part of it, or its name) from its last checkpoint.

    A run that was interrupted and resumed ends with the same numbers, bit for bit, as one without interruption. With
    --epochs it is trained further, as in `annpipe resume --last --epochs 200`: it ends like a run of 200 epochs, and a
    warning says what differs where something depends on the length.
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.cli.views.run import conclude
    from annpipe.errors import NotFound
    from annpipe.record.journal import seal
    from annpipe.record.journal.journal import lacks_files, status
    from annpipe.record.journal.project import find_project, find_run
    from annpipe.runs.launch import go_on

    if epochs and steps:
        raise click.UsageError("a run counts in epochs or in steps: give one of --epochs and --steps")
    if not run and not last:
        raise NotFound("say which run: its id, its name, or --last; `annpipe runs` lists them")
    folder = find_run(find_project(), run, last)
    if trust:
        seal.trust(folder)
    how = status(folder)
    is_done = how == "FINISHED" and not lacks_files(folder) and not (epochs or steps)
    if how == "RUNNING" or is_done:
        what = "is still running" if how == "RUNNING" else "is finished: nothing is left to do"
        click.echo(f"{folder.name} {what}", err=True)
        sys.exit(0 if how == "FINISHED" else 1)
    with RunDisplay() as display:
        finished = go_on(folder, display, tracking_uri, epochs=epochs, steps=steps)
    sys.exit(conclude(finished, as_json=as_json))
