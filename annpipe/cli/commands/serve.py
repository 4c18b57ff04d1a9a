"""`annpipe serve RUN|models:/NAME@alias`: MLflow's scoring server for a model, until Ctrl-C."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path

import click

from annpipe.cli.completion import words

LOCAL = "127.0.0.1"


@click.command("serve")
@click.argument("model", metavar="RUN|models:/NAME@ALIAS", required=False, shell_complete=words.runs_and_models)
@click.option("--last", is_flag=True, help="The latest run of this project.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port [default: 5001, or a free one].")
@click.option("--host", default=LOCAL, help=f"The address to listen at; 0.0.0.0 lets others in [default: {LOCAL}].")
@click.option("--tracking-uri", metavar="URI", help="The store of a registered model, instead of the project's.")
@click.option(
    "--trust", is_flag=True, help="Serve a model that was made elsewhere: its code is run. A RUN is yours from now on."
)
@click.option("--json", "as_json", is_flag=True, help="Print address, request and model as JSON.")
def command(
    model: str | None,
    last: bool,
    port: int | None,
    host: str,
    tracking_uri: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Answer over HTTP with the model of a run, or with a registered model, by MLflow's scoring server.

    Prints a curl line that asks it about a row of the run's own data. Ctrl-C stops it.

    \b
    Example: annpipe serve penguins
             annpipe serve models:/penguins@champion --port 8080
    """
    import tempfile

    from annpipe.record.journal.location import prepare_for_mlflow
    from annpipe.record.store.local_server import check_port

    if (model is None) is not last:
        raise click.UsageError("say which model: a run, models:/NAME@alias, or --last")
    check_port(port, host)
    prepare_for_mlflow()
    with tempfile.TemporaryDirectory(prefix="annpipe-serve-") as scratch:
        folder, called = _model(model, tracking_uri, Path(scratch), last=last, trust=trust)
        _serve(folder, called, port, host, as_json=as_json)


def _model(model: str | None, tracking_uri: str | None, scratch: Path, *, last: bool, trust: bool) -> tuple[Path, str]:
    """The MLflow model to serve, and what it is called."""
    from annpipe.record.journal.location import resolve_tracking_uri
    from annpipe.record.journal.project import find_project, find_run
    from annpipe.record.store.registry_names import SCHEME, parsed_address

    project = find_project()
    if model is None or not model.startswith(SCHEME):
        run = find_run(project, model, last)
        _load_mlflow()
        from annpipe.record.store.served import model_of_run

        return model_of_run(run, scratch, trust=trust)
    try:
        address = parsed_address(model)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    uri = resolve_tracking_uri(tracking_uri, project, None)
    _load_mlflow()
    from annpipe.record.store.served import registered_model

    return registered_model(address, uri, project, scratch, trust=trust)


def _load_mlflow() -> None:
    """Imports MLflow's models, which takes seconds, without what it warns of meanwhile."""
    click.echo("loading MLflow …", err=True)
    with warnings.catch_warnings(action="ignore"):
        importlib.import_module("annpipe.record.store.serving")


def _serve(folder: Path, called: str, port: int | None, host: str, *, as_json: bool) -> None:
    from annpipe.record.store.serving import curl_line, serve_model

    click.echo("starting MLflow's scoring server: it takes some seconds …", err=True)
    with serve_model(folder, port, host) as server:
        line = curl_line(server.address, folder)
        if as_json:
            click.echo(json.dumps({"address": server.address, "model": called, "request": line}, indent=2))
        else:
            click.echo(f"{called} at {server.address}/invocations" + (f"\n{line}" if line else ""))
        if host != LOCAL:
            click.echo(f"warning: whoever reaches '{host}' may ask it; nobody has to log in", err=True)
        click.echo("Ctrl-C stops it", err=True)
        server.wait()
