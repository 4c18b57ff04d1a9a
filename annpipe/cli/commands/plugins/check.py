"""`annpipe plugins check`: tests components against what annpipe promises of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from annpipe.cli.completion import words
from annpipe.cli.options import open_registry, plugin_option
from annpipe.errors import Problem, SpecError


@click.command("check")
@click.argument("wanted", metavar="[FILE|DISTRIBUTION|KIND/NAME]...", nargs=-1, shell_complete=words.plugin_files)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of tables.")
def command(wanted: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """Test components of any kind: options, odd batches, dtypes, a training, a resume, the saved model and more.

    Without an argument the files in the folder `plugins` are checked. What is checked is run, with your rights: check
    only what you would run. A check that fails names its line and a remedy, and the exit code is then 3.
    """
    from annpipe.cli.views.component_report import as_text, summary
    from annpipe.testing.components.find import find_components

    registry = open_registry(plugins)
    broken: list[Problem] = []
    entries = [entry for name in wanted or (None,) for entry in find_components(name, registry, broken)]
    from annpipe.testing.components.checks import check_entry

    reports = []
    for entry in dict.fromkeys((entry.kind, entry.name) for entry in entries):
        report = check_entry(registry.entry(*entry), registry)
        reports.append(report)
        if not as_json:
            click.echo(as_text(report, whole=len(entries) == 1))
    if as_json:
        click.echo(json.dumps([report.to_data() for report in reports], indent=2, ensure_ascii=False))
    elif reports:
        click.echo(summary(reports))
    if broken:
        raise SpecError(broken)
    if any(report.failed for report in reports):
        sys.exit(SpecError.exit_code)
