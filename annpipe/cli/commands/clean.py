"""`annpipe clean`: shows what takes room and is no longer needed, then removes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from annpipe.doctor.removable import CleanGroup, Removable

KEPT = 10
MEANINGS = {
    "caches": "made again when they are needed",
    "checkpoints": "of finished runs, which then cannot be trained further",
    "runs": "whole folders of finished runs; the record in MLflow stays, `annpipe predict` no longer knows them",
}


@click.command("clean")
@click.option("--caches", is_flag=True, help="Remove caches.")
@click.option("--checkpoints", is_flag=True, help="Remove checkpoints of finished runs.")
@click.option("--runs", is_flag=True, help="Remove folders of finished runs whose record in MLflow is complete.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=KEPT,
    show_default=True,
    help="Leave so many of the latest runs as they are; a sweep with its trials counts as one.",
)
@click.option("--dry-run", is_flag=True, help="Show only, and remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without a question.")
@click.option("--json", "as_json", is_flag=True, help="Print what is there and what was removed as JSON.")
def command(*, caches: bool, checkpoints: bool, runs: bool, keep: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show what takes room and is no longer needed, then remove it after a question.

    Without --caches, --checkpoints or --runs it is the caches and the checkpoints; run folders go only where --runs
    says so. Runs that are running, can be resumed or are not in the record stay as they are.

    Example: annpipe clean --runs --keep 20 --dry-run
    """
    from annpipe.doctor.removable import removable, remove
    from annpipe.record.journal.project import find_project

    groups = _groups(caches=caches, checkpoints=checkpoints, runs=runs)
    everything = list(removable(find_project(), keep))
    chosen = [item for item in everything if item.group in groups]
    if not as_json:
        click.echo("\n".join(_table(everything, groups)))
    goes = bool(chosen) and not dry_run and (yes or (not as_json and _agreed(chosen)))
    refused = remove(chosen) if goes else []
    if as_json:
        click.echo(json.dumps(_as_data(everything, [item for item in chosen if goes], refused), indent=2))
    elif goes:
        freed = sum(item.size for item in chosen) - sum(item.size for item, _ in refused)
        click.echo(f"removed {_amount(freed)}", err=True)
    for item, reason in refused:
        click.echo(f"error: {item.path} could not be removed: {reason}", err=True)
    sys.exit(bool(refused))


def _groups(*, caches: bool, checkpoints: bool, runs: bool) -> set[CleanGroup]:
    named: dict[CleanGroup, bool] = {"caches": caches, "checkpoints": checkpoints, "runs": runs}
    return {group for group, is_named in named.items() if is_named} or {"caches", "checkpoints"}


def _agreed(chosen: Sequence[Removable]) -> bool:
    """Whether the person at the terminal says yes; without one, nothing is removed."""
    if not sys.stdin.isatty():
        click.echo("nothing was removed: --yes removes without a question", err=True)
        return False
    return click.confirm(f"remove {_amount(sum(item.size for item in chosen))}?", err=True)


def _table(everything: Sequence[Removable], groups: set[CleanGroup]) -> list[str]:
    from annpipe.cli.views.text import fitted, terminal_width

    rows = [["what", "folders", "size", "goes", ""]]
    for group, meaning in MEANINGS.items():
        items = [item for item in everything if item.group == group]
        goes = "yes" if group in groups else f"with --{group}"
        rows.append([group, f"{len(items):,}", _amount(sum(item.size for item in items)), goes, meaning])
    return fitted(rows, terminal_width(), whole=[0, 2])


def _amount(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _as_data(
    everything: Sequence[Removable], removed: Sequence[Removable], refused: Sequence[tuple[Removable, str]]
) -> dict[str, object]:
    kept = {item for item, _ in refused}
    return {
        "removable": [{"what": item.group, "path": str(item.path), "bytes": item.size} for item in everything],
        "removed": [str(item.path) for item in removed if item not in kept],
        "refused": [{"path": str(item.path), "reason": reason} for item, reason in refused],
    }
