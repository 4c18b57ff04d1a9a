"""`annpipe register RUN NAME`: makes a run's model a version of a registered model in MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from annpipe.cli.completion import words
from annpipe.cli.options import trust_option


def _checked(kind: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A click callback that holds what was typed, once or several times, against the rules of the registry."""

    def check(_: click.Context, __: click.Parameter, values: Any) -> Any:
        from annpipe.record.store import registry_names

        rule = getattr(registry_names, f"checked_{kind}")
        try:
            return tuple(map(rule, values)) if isinstance(values, tuple) else rule(values)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return check


@click.command("register")
@click.argument("run", shell_complete=words.runs)
@click.argument("name", callback=_checked("name"), shell_complete=words.registered_models)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    callback=_checked("alias"),
    help="A name for this version, as champion; the version that had it loses it. May be repeated.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_checked("tag"),
    help="A tag of this version; may be repeated.",
)
@click.option("--tracking-uri", metavar="URI", help="Another store than the run's, or the run's with its credentials.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: str,
    name: str,
    aliases: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    tracking_uri: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Register the model of RUN as a version of NAME in MLflow's model registry.

    A run, or a sweep with its best model, is shipped first where its record is not complete. Registered again, it keeps
    its version.

    \b
    Example: annpipe register penguins penguins --alias champion
    """
    from annpipe.record.journal.location import prepare_for_mlflow, resolve_tracking_uri
    from annpipe.record.journal.project import find_project, find_run

    project = find_project()
    folder = find_run(project, run)
    uri = resolve_tracking_uri(tracking_uri, project, None) if tracking_uri else None
    prepare_for_mlflow()
    from annpipe.record.shipper.registering import register_run

    version, store = register_run(
        folder, name, aliases, dict(tags), uri, lambda notice: click.echo(notice, err=True), trust=trust
    )
    facts = {"run": folder.name, "name": name, "version": int(version.number), "is_new": version.is_new}
    facts |= {"aliases": list(aliases), "model_id": version.model_id, "mlflow_run_id": version.run_id, "store": store}
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    how = "" if version.is_new else ", as it was already"
    click.echo(f"{folder.name} is version {version.number} of {name}{how}, in {store}")
    address = f"models:/{name}@{aliases[0]}" if aliases else f"models:/{name}/{version.number}"
    click.echo(f"  annpipe serve '{address}'    ask it over HTTP")
