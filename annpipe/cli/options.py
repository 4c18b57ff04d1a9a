"""The arguments and options that several commands share: specs and their values, a run and rows for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from annpipe.cli.completion import words

F = TypeVar("F", bound=Callable[..., Any])

spec_argument = click.argument("spec", type=click.Path(path_type=Path), shell_complete=words.specs)
spec_arguments = click.argument(
    "specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...", shell_complete=words.specs
)


def untrusted_option(function: F) -> F:
    """--untrusted; a command that takes it is held to the time and memory that a stranger's spec is worth."""

    @functools.wraps(function)
    def held(*, untrusted: bool, **others: Any) -> Any:
        from annpipe.files.guard import guarded

        with guarded(untrusted):
            return function(untrusted=untrusted, **others)

    help_ = "For a stranger's spec: import no plugin of it, read nothing outside its folder, and work within bounds."
    return click.option("--untrusted", is_flag=True, help=help_)(held)  # type: ignore[return-value]  # as above


trust_option = click.option(
    "--trust", is_flag=True, help="Take RUN, which was made elsewhere, for your own: its code is run, now and later."
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


def run_and_data(function: F) -> F:
    """The arguments RUN and DATA, or --last and DATA: the command gets the run's folder and the file."""

    @functools.wraps(function)
    def found(*, named: tuple[str, ...], last: bool, **others: Any) -> Any:
        from annpipe.record.journal.project import find_project, find_run

        if len(named) != 2 - last:
            raise click.UsageError("say which run and which file: RUN DATA, or --last DATA")
        run = find_run(find_project(), None if last else named[0], last)
        return function(run=run, data=named[-1], **others)

    argument = click.argument("named", nargs=-1, metavar="RUN DATA", shell_complete=words.runs_and_data)
    option = click.option("--last", is_flag=True, help="The latest run of this project, in the place of RUN.")
    return argument(option(found))  # type: ignore[return-value]  # click reads its parameters from the attributes
