"""`annpipe plugins`: where components come from, why one is missing, and whether they keep their promises."""

from __future__ import annotations

import click

from annpipe.cli import LazyGroup

COMMANDS = {
    "list": "list where components come from: built-in, distributions, files of this project",
    "why": "say where one component comes from, or why it is missing",
    "check": "test components of any kind: options, batches, training, resume, the saved model",
}


@click.group("plugins", cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Look into plugins: where components come from, why one is missing, whether they work."""
