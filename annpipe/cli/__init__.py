"""The command line: one file a command, imported only when that command is called."""

from __future__ import annotations

import atexit
import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from annpipe.cli.streams import escaped_streams, open_closed_streams, show_all
from annpipe.errors import AnnpipeError, NotFound, OutOfMemory, SpecError, is_out_of_memory
from annpipe.errors.redact import HIDDEN, has_secret, scrub
from annpipe.files.private import home

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "run": "train what a spec declares, and record it",
    "sweep": "train a spec with every combination of some values, and compare",
    "best": "print the plan of a sweep's best trial as a spec",
    "migrate": "replace names in specs that have changed",
    "validate": "check specs and report every mistake at once",
    "plan": "show the resolved plan: layers, shapes, parameters",
    "data": "show the data of a spec: columns, classes, splits, leaks",
    "list": "list the components of the registry",
    "plugins": "show where components come from, and check them",
    "new": "begin a plugin: a component, or a distribution",
    "show": "show one component: options, types, defaults, origin",
    "lr": "suggest a learning rate by a short test",
    "explain": "explain the code of an error, with a wrong and a right example",
    "schema": "print the JSON Schema of specs, or install it for an editor",
    "runs": "list the runs of this project with their status",
    "compare": "show runs side by side: only what differs between them",
    "resume": "resume an interrupted run, exactly, or train a run further",
    "predict": "write what a run's model predicts for the rows of a file",
    "evaluate": "measure a run's model on the labelled rows of a file, and record it",
    "report": "make the report of a run or a sweep, a page to read and share",
    "inspect": "look into a run's model: columns, units, gradients, one row",
    "verify": "replay a run and say whether its losses come out bit for bit",
    "export": "write a run's model as ONNX, .pt2 or plain PyTorch",
    "eject": "write a spec or a run as one file of plain PyTorch",
    "register": "make a run's model a version in MLflow's model registry",
    "serve": "answer over HTTP with a run's model, by MLflow's scoring server",
    "ui": "start MLflow's UI on the project's store",
    "sync": "ship the journals of runs whose record is not complete",
    "doctor": "check this machine, the store and the project, with a remedy for each finding",
    "clean": "show what takes room and is no longer needed, then remove it",
    "completion": "print the script that lets a shell complete annpipe's commands",
}
ARGUMENTS = "ANNPIPE_ARGUMENTS"  # in which a second start finds arguments that hold a secret


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the file of the one that is called."""

    def __init__(self, *arguments: Any, package: str, summaries: Mapping[str, str], **options: Any) -> None:
        """`package` has a module for each name in `summaries`, with a click command called `command`."""
        super().__init__(*arguments, **options)
        self.package = package
        self.summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.summaries:
            return None
        command = importlib.import_module(f"{self.package}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        pairs = self.summaries.items()
        items = [CompletionItem(name, help=text) for name, text in pairs if name.startswith(incomplete)]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


@click.group(
    cls=LazyGroup,
    package="annpipe.cli.commands",
    summaries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "color": True},
)
@click.version_option(package_name="annpipe")
def annpipe() -> None:
    """A YAML file is a training run."""


def main() -> NoReturn:
    """The program: runs the command line and ends the process with the exit code of the outcome."""
    open_closed_streams()
    hide_secrets()
    os.environ.setdefault("HOME", str(home()))  # MLflow and others are not imported without one
    code = outcome()
    if not {"torch", "mlflow"} & sys.modules.keys():
        sys.exit(code)
    # Python needs a second to unload torch, and the caller waits for the end of this process.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader is gone, or the stream was closed
            stream.flush()
    os._exit(code)


def hide_secrets() -> None:
    """Starts this program anew where an argument holds a secret: with `***` in its place, and the arguments themselves
    in the environment, which only the user may read.

    The second start takes them out of the environment, so that no process that it starts has them. On Windows, where no
    process replaces another, it is left undone: there, other users see no arguments.
    """
    hidden = os.environ.pop(ARGUMENTS, None)
    if hidden is not None and any(HIDDEN in argument for argument in sys.argv[1:]):
        with suppress(ValueError):
            sys.argv[1:] = [str(argument) for argument in json.loads(hidden)]
        return
    if sys.platform == "win32" or not any(map(has_secret, sys.argv[1:])) or not sys.executable:
        return
    scrubbed = [scrub(argument) for argument in sys.orig_argv[1:]]
    with suppress(OSError):  # where it cannot be started anew, the command is still what the user wants
        os.execve(sys.executable, [sys.executable, *scrubbed], {**os.environ, ARGUMENTS: json.dumps(sys.argv[1:])})


def outcome() -> int:
    """Runs the command line of `sys.argv` and prints what went wrong; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            show_all(stream)
    with escaped_streams():
        return _outcome()


def _outcome() -> int:
    try:
        _check_call()
        annpipe.main(standalone_mode=False)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except AnnpipeError as error:
        report(error)
        return error.exit_code
    except BrokenPipeError:
        return 1
    except OSError as error:
        from annpipe.files.disk import fault_of_disk

        fault = fault_of_disk(error)
        if fault is None:
            return _bug()
        click.echo(f"error: {fault}", err=True)
        return 1
    except Exception as error:
        if is_out_of_memory(error):
            report(OutOfMemory(error))
            return OutOfMemory.exit_code
        return _bug()
    return 0


def _check_call() -> None:
    """Refuses arguments with a NUL character, and a working directory that was deleted."""
    if wrong := next((argument for argument in sys.argv if "\0" in argument), None):
        raise click.UsageError(f"the argument {wrong!r} has a NUL character, which is not allowed")
    try:
        os.getcwd()
    except OSError:
        raise NotFound("the working directory was deleted; change to one that exists") from None


def _bug() -> int:
    """Prints the traceback of the current exception, and what a bug report needs."""
    click.echo(scrub(traceback.format_exc()), err=True, nl=False)
    click.echo(_how_to_report(), err=True)
    return 4


def _how_to_report() -> str:
    """What a report of a bug needs: the lines above, the versions, the command."""
    import platform
    import shlex
    from importlib.metadata import version

    command = scrub(shlex.join(["annpipe", *sys.argv[1:]]))
    versions = f"annpipe {version('annpipe')}, torch {version('torch')}, Python {platform.python_version()}"
    return (
        "\nThis is a bug in annpipe, not in your spec. Please report it with the lines above and these:\n"
        f"  {command}\n  {versions}, {platform.platform()}"
    )


def report(error: AnnpipeError) -> None:
    """Prints an error on stderr, a SpecError with every excerpt."""
    if not isinstance(error, SpecError):
        click.echo(f"error: {error}", err=True)
        return
    from annpipe.cli.problems import as_text

    click.echo(as_text(error.problems), err=True)
