"""`annpipe best SWEEP`: prints the plan of a sweep's best trial, as a complete spec."""

from __future__ import annotations

import click

from annpipe.cli.completion import words


@click.command("best")
@click.argument("sweep", required=False, shell_complete=words.runs)
@click.option("--last", is_flag=True, help="The latest sweep of this project.")
def command(sweep: str | None, last: bool) -> None:
    """Print the plan of the best trial of SWEEP as a complete spec: `annpipe best SWEEP > best.yaml`."""
    from annpipe.cli.project_runs import runs_of
    from annpipe.errors import DataError, NotFound
    from annpipe.record.journal.inside import check_inside
    from annpipe.record.journal.project import find_project
    from annpipe.record.journal.summary import find_sweep, is_sweep

    project = find_project()
    if last:
        sweeps = [folder for folder in runs_of(project) if is_sweep(folder)]
        if not sweeps:
            raise NotFound("there are no sweeps here; `annpipe sweep SPEC --over PATH=VALUES` makes one")
        folder = sweeps[-1]
        check_inside(folder)
    elif sweep:
        folder = find_sweep(project, sweep)
    else:
        raise click.UsageError("say which sweep: its id, its name, or --last; `annpipe runs` lists them")
    if not (folder / "best.yaml").is_file():
        raise NotFound(f"no trial of {folder.name} finished, so there is no best one")
    try:
        text = (folder / "best.yaml").read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"'{folder / 'best.yaml'}' is not UTF-8 text any more", "run the sweep again") from error
    click.echo(text, nl=False)
