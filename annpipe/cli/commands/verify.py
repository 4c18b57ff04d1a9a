"""`annpipe verify RUN`: replays a run from its plan, and says whether its losses come out bit for bit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.options import one_run, trust_option

if TYPE_CHECKING:
    from annpipe.runs.verify import Verified


@click.command("verify")
@one_run
@click.option("--steps", type=click.IntRange(min=1), help="Replay no more than so many steps.")
@click.option("--epochs", type=click.IntRange(min=1), help="Replay no more than so many epochs.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: Path, steps: int | None, epochs: int | None, trust: bool, as_json: bool) -> None:
    """Replay RUN from its plan and compare its losses, and the other values of its epochs, with the recorded ones.

    Says where they part first, and what in the environment is another. Nothing is written to the run or to MLflow. Exit
    code 0: all are equal; 1: they are not.

    \b
    Example: annpipe verify quadratic --epochs 100
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.verify import verify_run

    if steps and epochs:
        raise click.UsageError("say --steps or --epochs, not both")
    with RunDisplay() as display:
        verified = verify_run(run, display, steps=steps, epochs=epochs, trust=trust)
    click.echo(json.dumps(as_data(verified), indent=2) if as_json else as_text(verified))
    sys.exit(0 if verified.is_equal else 1)


def as_text(verified: Verified) -> str:
    """The result for a person."""
    from annpipe.errors import one_line

    what = ", ".join(f"{n:,} of {one_line(key)}" for key, n in verified.compared.items()) or "none"
    how = "bit for bit" if not verified.tolerance else f"to {verified.tolerance:g} (the largest {verified.largest:.2g})"
    lines = [f"{'EQUAL' if verified.is_equal else 'NOT EQUAL'}  {verified.run}"]
    lines.append(f"  values       {what} {'agree ' + how if verified.compared else 'agree'}")
    if parting := verified.parting:
        replayed = "none" if parting.replayed is None else repr(parting.replayed)
        where = f"{one_line(parting.key)} at epoch {parting.epoch}, by step {parting.step}"
        lines.append(f"  parts first  {where}: recorded {parting.recorded!r}, replayed {replayed}")
    lines.append(f"  gear         recorded {one_line(verified.gears[0])}, replayed {verified.gears[1]}")
    lines += [f"  note         {one_line(note)}" for note in verified.notes]
    if not verified.differences:
        return "\n".join([*lines, "  environment  as it was recorded"])
    lines.append("  environment  differs")
    rows = [
        (one_line(row.name), one_line(row.recorded or "none"), one_line(row.now or "none"))
        for row in verified.differences
    ]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join([*lines, *(f"    {name:<{width}}  recorded {then}, now {now}" for name, then, now in rows)])


def as_data(verified: Verified) -> dict[str, Any]:
    """The result for programs."""
    from annpipe.cli.problems import strict

    parting = verified.parting
    return {
        "run": verified.run,
        "equal": verified.is_equal,
        "epochs": verified.epochs,
        "compared": dict(verified.compared),
        "tolerance": verified.tolerance,
        "largest_difference": strict(verified.largest),
        "parts": None
        if parting is None
        else {
            "key": parting.key,
            "epoch": parting.epoch,
            "step": parting.step,
            "recorded": strict(parting.recorded),
            "replayed": strict(parting.replayed),
        },
        "gear": {"recorded": verified.gears[0], "replayed": verified.gears[1]},
        "environment": [{"name": row.name, "recorded": row.recorded, "now": row.now} for row in verified.differences],
        "notes": list(verified.notes),
    }
