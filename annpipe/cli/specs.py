"""The arguments and options of commands that read specs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from annpipe.cli import words

F = TypeVar("F", bound=Callable[..., Any])

spec_argument = click.argument("spec", type=click.Path(path_type=Path), shell_complete=words.specs)
spec_arguments = click.argument(
    "specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...", shell_complete=words.specs
)
untrusted_option = click.option(
    "--untrusted", is_flag=True, help="For a stranger's spec: import no plugin of it, read nothing outside its folder."
)


def value_options(function: F) -> F:
    """--set and --unset."""
    set_ = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        shell_complete=words.set_paths,
        help="Replace a value of the spec, or append to a list with PATH+=VALUE; may be repeated.",
    )
    unset = click.option(
        "--unset",
        multiple=True,
        metavar="PATH",
        shell_complete=words.unset_paths,
        help="Leave out what stands at PATH.",
    )
    return set_(unset(function))


def spec_options(function: F) -> F:
    """--set, --unset and --device."""
    device = click.option(
        "--device",
        metavar="WORD",
        shell_complete=words.devices,
        help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.",
    )
    return value_options(device(function))
