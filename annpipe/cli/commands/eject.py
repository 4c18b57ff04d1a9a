"""`annpipe eject SPEC|RUN`: writes the run as one file of plain PyTorch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words
from annpipe.cli.options import trust_option

if TYPE_CHECKING:
    from annpipe.runs.ejected import Ejected

ENDINGS = (".yaml", ".yml")


@click.command("eject")
@click.argument("what", metavar="SPEC|RUN", shell_complete=words.specs_and_runs)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("train.py"),
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Replace a value of SPEC; may be repeated."
)
@click.option("--check", is_flag=True, help="Run the file, and compare each epoch's losses with annpipe's own.")
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    what: str, output: Path, overrides: tuple[str, ...], check: bool, force: bool, trust: bool, as_json: bool
) -> None:
    """Write SPEC, or the plan of RUN, as one Python file of plain PyTorch that needs no annpipe.

    \b
    annpipe eject pipelines/quadratic.yaml -o train.py --check
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.record.journal.project import find_project, find_run
    from annpipe.runs.ejected import eject_run, eject_spec
    from annpipe.runs.spec_source import SpecSource

    with RunDisplay() as display:
        if what.endswith(ENDINGS):
            source = SpecSource(Path(what), overrides)
            done = eject_spec(source, output, display, check=check, force=force)
        elif overrides:
            raise click.UsageError("--set changes a SPEC; the plan of a RUN stays what it is")
        else:
            done = eject_run(find_run(find_project(), what), output, display, check=check, force=force, trust=trust)
    click.echo(as_json_text(done) if as_json else as_text(done))
    sys.exit(1 if done.comparison is not None and not done.comparison.is_equal else 0)


def as_text(done: Ejected) -> str:
    """What was written, what is not in it, and how it compares, for a person."""
    from annpipe.errors import one_line

    lines = [f"{done.file}  plain PyTorch; `python {done.file}` trains it"]
    if done.left_out:
        lines.append(f"  without  {', '.join(map(one_line, done.left_out))}: these change no number of the training")
    if done.comparison is not None:
        epochs = done.comparison.epochs
        if done.comparison.is_equal:
            lines.append(f"  check    {epochs:,} epoch{'s' * (epochs != 1)}, every loss the same bit for bit")
        for key, where in done.comparison.parts.items():
            lines.append(f"  check    {key} parts at its value {where.at}: {where.script} here, {where.run} in annpipe")
    return "\n".join(lines)


def as_json_text(done: Ejected) -> str:
    """The result for programs."""
    compared = done.comparison
    checked = None
    if compared is not None:
        parts = {key: {"at": at.at, "script": at.script, "run": at.run} for key, at in compared.parts.items()}
        checked = {"equal": compared.is_equal, "epochs": compared.epochs, "parts": parts}
    return json.dumps({"file": str(done.file), "left_out": list(done.left_out), "check": checked}, indent=2)
