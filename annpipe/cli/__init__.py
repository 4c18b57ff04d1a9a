"""The command line: one file a command, imported only when that command is called."""

from __future__ import annotations

import importlib
import sys
import traceback

import click

from annpipe.errors import AnnpipeError, SpecError, render

COMMANDS = {
    "run": "train what a spec declares, and record it",
    "validate": "check specs and report every mistake at once",
    "plan": "show the resolved plan: layers, shapes, parameters",
    "list": "list the components of the registry",
    "show": "show one component: options, types, defaults, origin",
    "runs": "list the runs of this project with their status",
    "resume": "go on with an interrupted run, exactly",
    "ui": "start MLflow's UI on the project's store",
    "sync": "ship the journals of runs whose record is not complete",
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the file of the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"annpipe.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="annpipe")
def annpipe() -> None:
    """A YAML file is a training run."""


def main() -> None:
    """Runs the command line and turns every outcome into its exit code."""
    try:
        annpipe.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except AnnpipeError as error:
        report(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        click.echo("\nThis is a bug in annpipe, not in your spec: please report it with the lines above.", err=True)
        sys.exit(4)


def report(error: AnnpipeError) -> None:
    """Prints an error on stderr, a SpecError with every excerpt."""
    if not isinstance(error, SpecError):
        click.echo(f"error: {error}", err=True)
        return
    for problem in error.problems:
        click.echo(render(problem) + "\n", err=True)
    count = len(error.problems)
    click.echo(f"{count} {'error' if count == 1 else 'errors'}", err=True)
