"""`annpipe new plugin NAME --kind KIND…`: writes a distribution of components that installs and passes its tests."""

from __future__ import annotations

import os
from pathlib import Path

import click

from annpipe.cli.completion import words
from annpipe.cli.options import known_kind, open_registry


@click.command("plugin")
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    required=True,
    metavar="KIND[=COMPONENT]",
    shell_complete=words.kinds,
    help="A kind of component to begin with, and what specs call it; may be repeated.",
)
def command(name: str, kinds: tuple[str, ...]) -> None:
    """Write the distribution annpipe-NAME into a new folder here: a package with a component of each KIND, its tests,
    specs that use them, and a README. It installs with pip; nothing is overwritten."""
    from annpipe.scaffold.distribution import new_distribution

    pairs = [(known_kind(kind), component) for kind, _, component in (text.partition("=") for text in kinds)]
    written = new_distribution(name, pairs, Path.cwd(), open_registry(()))
    folder = os.path.relpath(written.folder)
    click.echo(f"wrote {folder}{os.sep} with {', '.join(written.components)}\n\nnext:")
    click.echo(f"  python -m pip install -e ./{folder}")
    click.echo(f"  python -m pytest {folder}")
    click.echo(f"  annpipe run {Path(folder, written.specs[0])}")
