"""`annpipe new`: begins a plugin."""

from __future__ import annotations

import click

from annpipe.cli import LazyGroup

COMMANDS = {
    "component": "add a component and its test to the plugins/ of this project",
    "plugin": "write a distribution of components that pip installs",
}


@click.group("new", cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Begin a plugin: a component of this project, or a distribution to publish."""
