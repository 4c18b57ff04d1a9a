"""`annpipe ui`: starts MLflow's UI on the project's store, until Ctrl-C."""

from __future__ import annotations

import click


@click.command("ui")
@click.option("--port", type=click.IntRange(1, 65535), help="The port on 127.0.0.1 [default: 5000, or a free one].")
@click.option("--tracking-uri", metavar="URI", help="Show this store instead of the project's.")
@click.option("--open/--no-open", "in_browser", default=False, help="Open the page in a browser [default: no-open].")
def command(port: int | None, tracking_uri: str | None, in_browser: bool) -> None:
    """Start MLflow's UI on this project's store and print its address; Ctrl-C stops it."""
    from annpipe.cli.project_runs import runs_of
    from annpipe.record.journal.location import is_server, resolve_tracking_uri, scrub
    from annpipe.record.journal.project import find_project

    project = find_project()
    runs_of(project)  # tells what is passed over
    uri = resolve_tracking_uri(tracking_uri, project, None)
    if not is_server(uri):
        click.echo("loading MLflow …", err=True)  # it takes seconds to import
    from annpipe.record.store.ui import latest_page, serve

    if is_server(uri):
        click.echo(f"{scrub(uri)}/{latest_page(project, uri)}")
        return
    with serve(uri, project, port, lambda notice: click.echo(notice, err=True)) as server:
        page = latest_page(project, uri, server.address)
        click.echo(f"{server.address}/{page}")
        if not page:
            click.echo("no runs yet: `annpipe run SPEC` makes one", err=True)
        click.echo("Ctrl-C stops it", err=True)
        if in_browser:
            click.launch(f"{server.address}/{page}")
        server.wait()
