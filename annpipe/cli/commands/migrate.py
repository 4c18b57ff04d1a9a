"""`annpipe migrate SPEC…`: shows, or writes, specs with today's names for earlier ones."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words
from annpipe.errors import AnnpipeError, Problem, SpecError

if TYPE_CHECKING:
    from annpipe.registry.registry import Registry

BOM = "\ufeff"


class MigrationError(AnnpipeError):
    """A spec has earlier names that are to be changed by hand, or changed while it was looked at."""

    exit_code = 3


@click.command("migrate")
@click.argument(
    "specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...", shell_complete=words.specs
)
@click.option("--write", is_flag=True, help="Change the files, each in one move, instead of printing a patch.")
def command(specs: tuple[Path, ...], write: bool) -> None:
    """Replace the names in SPECs that have changed since an earlier version: sections, options, components.

    Prints a patch; comments and layout stay. What is wrong with a spec beside its names is for `annpipe validate`.
    """
    from annpipe.registry.registry import Registry

    registry = Registry.installed()
    by_hand = [problem for spec in specs for problem in _migrate(spec, registry, write=write)]
    if by_hand:
        places = ", ".join(dict.fromkeys(str(problem.place) for problem in by_hand))
        raise MigrationError(f"change these names by hand: {places}; `annpipe validate` says them")


def _migrate(spec: Path, registry: Registry, *, write: bool) -> list[Problem]:
    """Migrates one spec; the problems that it cannot mend."""
    from annpipe.spec.migrate import migrated
    from annpipe.spec.yaml.reader import read_file

    read_file(spec)  # raises SpecError where it is no spec that can be read
    data = spec.read_bytes()
    raw = data.decode("utf-8")
    text = raw.removeprefix(BOM)
    here, elsewhere = _earlier_names(spec, registry)
    result = migrated(text, str(spec), here)
    for file in dict.fromkeys(problem.place.file for problem in elsewhere if problem.place):
        click.echo(f"{spec}: '{file}' has earlier names, too: `annpipe migrate {file}`", err=True)
    if not result.changed:
        click.echo(f"{spec}: no earlier name{' that can be replaced' if result.by_hand else ''}", err=True)
        return list(result.by_hand)
    count = f"{len(result.changed)} earlier name{'s' if len(result.changed) > 1 else ''}"
    if write:
        _write(spec, data, (raw[: len(raw) - len(text)] + result.text).encode("utf-8"))
        click.echo(f"{spec}: {count} replaced", err=True)
    else:
        _print("".join(patch(text, result.text, str(spec))))
        click.echo(f"{spec}: {count}; --write replaces them", err=True)
    return list(result.by_hand)


def _print(text: str) -> None:
    """Prints a patch: for another program byte for byte, line ends and all."""
    if sys.stdout.isatty():
        click.echo(text.replace("\r\n", "\n"), nl=False)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))


def _write(spec: Path, before: bytes, after: bytes) -> None:
    from annpipe.files.whole import replace_text

    try:
        is_written = replace_text(spec, before=before, after=after)
    except OSError as error:
        raise MigrationError(f"{spec} cannot be written: {error.strerror}; it is as it was") from error
    if not is_written:
        raise MigrationError(f"{spec} was changed by someone else meanwhile; call this again")


def _earlier_names(spec: Path, registry: Registry) -> tuple[list[Problem], list[Problem]]:
    """The problems of earlier names in the file itself, and in those that it extends; whatever else is wrong."""
    from annpipe.registry.renames import RENAMED, Earlier, earlier_names

    with earlier_names(Earlier.TOLD):
        problems = list(dict.fromkeys(_problems(spec, registry)))
    renamed = [problem for problem in problems if problem.code == RENAMED]
    if len(renamed) < len(problems):
        click.echo(f"{spec}: other faults may hide earlier names; `annpipe validate {spec}` says them", err=True)
    here = [problem for problem in renamed if problem.place and Path(problem.place.file) == spec]
    return here, [problem for problem in renamed if problem not in here]


def _problems(spec: Path, registry: Registry) -> Iterator[Problem]:
    """All that drafts of the spec and of its sweep's trials note."""
    from annpipe.runs.spec_source import SpecSource
    from annpipe.spec.migrate import in_paths
    from annpipe.sweep.grid import corners

    source = SpecSource(spec)
    try:
        drafted = source.draft(registry.copy())
    except SpecError as error:
        yield from error.problems
        return
    yield from drafted.notices
    axes = drafted.spec.sweep.axes if drafted.spec.sweep else ()
    yield from in_paths(axes, drafted.spec.root, drafted.notices)
    for values in corners(axes):
        try:
            trial = source.draft(registry.copy(), [(axis.path, axis.node(values[axis.path])) for axis in axes])
            yield from trial.notices
        except SpecError as error:
            yield from error.problems


def patch(before: str, after: str, file: str) -> Iterator[str]:
    """The lines of a patch that `patch -p0` and `git apply -p0` take; line ends are those of the file."""
    old, new = ([line for line in re.split(r"(?<=\n)", text) if line] for text in (before, after))
    for line in difflib.unified_diff(old, new, file, file):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
