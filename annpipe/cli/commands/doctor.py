"""`annpipe doctor`: checks Python, torch, MLflow, the store, plugins and caches, and trains for three seconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from annpipe.doctor.finding import Finding

MARKS = {"ok": "ok     ", "warning": "warning", "fault": "fault  "}


@click.command("doctor")
@click.option("--training/--no-training", default=True, help="Train a small network for three seconds [default: yes].")
@click.option("--tracking-uri", metavar="URI", help="Look at this store instead of the project's.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(training: bool, tracking_uri: str | None, as_json: bool) -> None:
    """Check this machine and this project, and say what to do about each thing that is not in order.

    Looks at Python, torch and its devices, MLflow and the store (tables, locks, room), plugins, runs and caches, and
    trains a small network for three seconds in a folder of its own. Ends with 1 where there is a fault.

    Example: annpipe doctor --no-training
    """
    from annpipe.record.journal.project import find_project

    results = []
    for finding in _examined(find_project(), tracking_uri, training=training):
        results.append(finding)
        if not as_json:
            click.echo(_text(finding))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in results], indent=2, ensure_ascii=False))
    else:
        click.echo(_conclusion(results))
    sys.exit(any(finding.verdict == "fault" for finding in results))


def _examined(project: Path, tracking_uri: str | None, *, training: bool) -> Iterator[Finding]:
    """The findings as they come: the quick checks first."""
    from annpipe.doctor.finding import findings
    from annpipe.doctor.machine import python_findings, torch_findings
    from annpipe.doctor.project import cache_findings, plugin_findings, run_findings
    from annpipe.doctor.store import store_findings
    from annpipe.doctor.training import training_findings

    yield from findings("python", python_findings)
    yield from findings("plugins", lambda: plugin_findings(project))
    yield from findings("runs", lambda: run_findings(project))
    yield from findings("caches", cache_findings)
    yield from findings("torch", torch_findings)
    yield from findings("store", lambda: store_findings(project, tracking_uri))
    if training:
        yield from findings("training", training_findings)


def _text(finding: Finding) -> str:
    line = f"{MARKS[finding.verdict]}  {finding.subject:<9} {finding.text}"
    return f"{line}\n{'':<19}→ {finding.remedy}" if finding.remedy else line


def _conclusion(results: list[Finding]) -> str:
    faults = sum(finding.verdict == "fault" for finding in results)
    warnings = sum(finding.verdict == "warning" for finding in results)
    if not faults and not warnings:
        return "\nall is in order"
    parts = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((faults, "fault"), (warnings, "warning")) if n]
    return f"\n{' and '.join(parts)}: see the arrows"
