"""`annpipe validate SPEC…`: reports every mistake of every spec at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import spec_source
from annpipe.cli.problems import FORMATS, as_github, as_json, as_text, is_error
from annpipe.errors import Problem, SpecError
from annpipe.runs.spec_source import SpecSource

if TYPE_CHECKING:
    from annpipe.draft.sections import Draft
    from annpipe.registry.registry import Registry
    from annpipe.spec.yaml.nodes import Node


@click.command("validate")
@spec_source(many=True, untrusted=True)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", help="How to print what is wrong.")
def command(sources: tuple[SpecSource, ...], format_: str) -> None:
    """Check SPECs and report all mistakes at once; torch is imported only where names and options are right."""
    from annpipe.registry.registry import Registry

    installed = Registry.installed()
    checked = {str(source.spec): check(source, installed.copy()) for source in sources}
    problems = list(dict.fromkeys(problem for of_spec in checked.values() for problem in of_spec))
    if format_ == "json":
        click.echo(as_json(checked.items()))
    elif format_ == "github":
        click.echo(as_github(problems), nl=bool(problems))
    else:
        _say(checked, problems)
    if any(map(is_error, problems)):
        sys.exit(SpecError.exit_code)


def _say(checked: Mapping[str, Sequence[Problem]], problems: Sequence[Problem]) -> None:
    for spec, of_spec in checked.items():
        if not any(map(is_error, of_spec)):
            partly = any(problem.code == "unchecked" for problem in of_spec)
            click.echo(f"{spec}: {'ok, as far as it could be checked' if partly else 'ok'}")
    if problems:
        click.echo(as_text(problems), err=True)


def check(source: SpecSource, registry: Registry) -> list[Problem]:
    """All that is wrong with one spec, warnings too, in file order."""
    from annpipe.files.limits import beyond, held_to, limit
    from annpipe.observer import SILENT
    from annpipe.runs.launch import complete
    from annpipe.sweep.grid import corners

    def checked(values: Iterable[tuple[str, Node]] | None = None) -> tuple[Draft, list[Problem]]:
        drafted = source.draft(registry.copy(), values)
        whole = complete(drafted, SILENT).warnings if drafted.is_whole else ()
        return drafted, [*drafted.unchecked, *whole]

    try:
        drafted, warnings = checked()
        axes = drafted.spec.sweep.axes if drafted.spec.sweep else ()
        values_of_all = corners(axes)
        with held_to(drafted.stance):
            max_corners = limit("corners")
        if max_corners is not None and len(values_of_all) > max_corners:
            message, help_ = beyond("corners", f"{len(values_of_all):,}")
            raise SpecError([Problem("untrusted-limit", message, drafted.spec.place("sweep", "over"), help_)])
        for values in values_of_all:  # each value of its sweep once
            warnings += checked([(axis.path, axis.node(values[axis.path])) for axis in axes])[1]
    except SpecError as error:
        return error.problems
    return SpecError(warnings).problems
