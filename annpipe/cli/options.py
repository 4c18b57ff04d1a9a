"""Arguments and options that several commands share: specs and their values, a run and rows for it, plugins."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from annpipe.cli.completion import words
from annpipe.errors import NotFound, SpecError
from annpipe.errors.render import render
from annpipe.runs.spec_source import SpecSource

if TYPE_CHECKING:
    from annpipe.registry.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])

_SPEC = click.argument("spec", type=click.Path(path_type=Path), shell_complete=words.specs)
_SPECS = click.argument(
    "specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...", shell_complete=words.specs
)
_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    shell_complete=words.set_paths,
    help="Replace a value of the spec, or append to a list with PATH+=VALUE; may be repeated.",
)
_UNSET = click.option(
    "--unset",
    multiple=True,
    metavar="PATH",
    shell_complete=words.unset_paths,
    help="Remove the value at PATH from the spec; may be repeated.",
)
_DEVICE = click.option(
    "--device",
    metavar="WORD",
    shell_complete=words.devices,
    help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.",
)


def _no_empty_name(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and not name.strip():
        raise click.BadParameter("a name has at least one letter; leave the option out for the spec's name")
    return name


_NAME = click.option("--name", callback=_no_empty_name, help="A name for the run, instead of the spec's.")


def spec_source(
    *, many: bool = False, device: bool = True, name: bool = False, untrusted: bool = False
) -> Callable[[F], F]:
    """The argument SPEC with --set, --unset and the options asked for: the command gets a SpecSource as `source`.

    With `many`, it takes SPEC... and gets `sources`.
    """
    options = [_SPECS if many else _SPEC, _SET, _UNSET]
    options += [_DEVICE] if device else []
    options += [untrusted_option] if untrusted else []
    options += [_NAME] if name else []

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_source(
            *,
            overrides: tuple[str, ...],
            unset: tuple[str, ...],
            spec: Path | None = None,
            specs: tuple[Path, ...] = (),
            device: str | None = None,
            name: str | None = None,
            untrusted: bool = False,
            **others: Any,
        ) -> Any:
            sources = tuple(
                SpecSource(path, overrides, unset, device, name, untrusted=untrusted)
                for path in (specs if spec is None else (spec,))
            )
            return function(sources=sources, **others) if many else function(source=sources[0], **others)

        decorated: Any = with_source
        for option in reversed(options):
            decorated = option(decorated)
        result: F = decorated
        return result

    return decorate


def untrusted_option(function: F) -> F:
    """--untrusted; a command with it limits the time and memory that an untrusted spec may take."""

    @functools.wraps(function)
    def limited(*, untrusted: bool, **others: Any) -> Any:
        from annpipe.files.guard import guarded

        with guarded(untrusted):
            return function(untrusted=untrusted, **others)

    help_ = "For a stranger's spec: import no plugin of it, read nothing outside its folder, limit time and memory."
    return click.option("--untrusted", is_flag=True, help=help_)(limited)  # type: ignore[return-value]  # as below


trust_option = click.option(
    "--trust", is_flag=True, help="Treat RUN, which was made elsewhere, as your own: its code is run, now and later."
)


_LAST = click.option("--last", is_flag=True, help="The latest run of this project, instead of RUN.")


def one_run(function: F) -> F:
    """The argument RUN, or --last: the command gets the run's folder; neither or both is wrong usage."""

    @functools.wraps(function)
    def with_run(*, run: str | None, last: bool, **others: Any) -> Any:
        from annpipe.record.journal.project import find_project, find_run

        if (run is None) is not last:
            raise click.UsageError("say which run: its id, its name, or --last; `annpipe runs` lists them")
        return function(run=find_run(find_project(), run, last), **others)

    argument = click.argument("run", required=False, shell_complete=words.runs)
    return argument(_LAST(with_run))  # type: ignore[return-value]  # click reads its parameters from the attributes


def run_and_data(function: F) -> F:
    """The arguments RUN and DATA, or --last and DATA: the command gets the run's folder and the file."""
    return _with_run(function, data_may_lack=False)


def run_and_maybe_data(function: F) -> F:
    """The same where DATA may be left out: the command then gets None."""
    return _with_run(function, data_may_lack=True)


def _with_run(function: F, *, data_may_lack: bool) -> F:
    @functools.wraps(function)
    def with_run(*, named: tuple[str, ...], last: bool, **others: Any) -> Any:
        from annpipe.record.journal.project import find_project, find_run

        n_data = len(named) - (not last)
        if n_data not in ((0, 1) if data_may_lack else (1,)):
            usage = "RUN, or RUN DATA, or --last" if data_may_lack else "RUN DATA, or --last DATA"
            raise click.UsageError(f"say which run and which file: {usage}")
        run = find_run(find_project(), None if last else named[0], last)
        return function(run=run, data=named[-1] if n_data else None, **others)

    metavar = "RUN [DATA]" if data_may_lack else "RUN DATA"
    argument = click.argument("named", nargs=-1, metavar=metavar, shell_complete=words.runs_and_data)
    return argument(_LAST(with_run))  # type: ignore[return-value]  # click reads its parameters from the attributes


plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    shell_complete=words.plugin_files,
    help="Add the components of a Python file, as a spec's `plugins:` does; may be repeated.",
)


def open_registry(plugins: tuple[Path, ...]) -> Registry:
    """All installed components and those of `plugins`; what is wrong with installed ones is a warning on stderr."""
    from annpipe.registry.discovery import PluginFault
    from annpipe.registry.registry import Registry

    registry = Registry.installed()
    for fault in registry.faults:
        click.echo(render(replace(fault.problem, severity="warning")) + "\n", err=True)
    for path in plugins:
        if not path.is_file():
            raise NotFound(f"there is no plugin file '{path}'")
        try:
            registry.add_file(path)
        except PluginFault as fault:
            raise SpecError([fault.problem]) from fault
    return registry


def known_kind(kind: str) -> str:
    """The kind itself; raises NotFound with the nearest when there is none of that name."""
    from annpipe.errors.suggest import did_you_mean
    from annpipe.registry.kinds import KINDS

    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"the kinds are {', '.join(KINDS)}"
        raise NotFound(f"there is no kind '{kind}': {hint}")
    return kind
