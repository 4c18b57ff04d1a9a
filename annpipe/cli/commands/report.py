"""`annpipe report RUN|SWEEP`: makes the report of a run or a sweep, again, and opens it."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import one_run, trust_option

if TYPE_CHECKING:
    from annpipe.runs.report import Reported

FILES = {".html": "report.html", ".md": "README.md"}


@click.command("report")
@one_run
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write this .html or .md file alone."
)
@click.option("--force", is_flag=True, help="Replace the file of --output.")
@click.option("--tracking-uri", metavar="URI", help="The run's store, where it needs credentials.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: Path,
    opens: bool,
    output: Path | None,
    force: bool,
    tracking_uri: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Make the report of RUN, a run or a sweep: report.html and README.md in its folder and in its record.

    A run makes its report at its end; here its model is compared with boosted trees as well, where scikit-learn is
    installed. Example: annpipe report --last --open
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.report import make_report

    if output is not None:
        _check_output(output, force=force)
    alone = None if output is None else (FILES[output.suffix], output)
    with RunDisplay() as display:
        made = make_report(run, display, alone, tracking_uri, trust=trust)
    click.echo(_as_json(run, made) if as_json else _as_text(run, made))
    if opens:
        webbrowser.open(made.files[0].absolute().as_uri())


def _check_output(output: Path, *, force: bool) -> None:
    if output.suffix not in FILES:
        raise click.UsageError(f"--output {output}: a report is written as .html or .md")
    if output.exists() and not force:
        raise click.UsageError(f"--output {output} exists; --force replaces it")


def _as_text(folder: Path, made: Reported) -> str:
    """Headlines for a person, and where the files are."""
    from annpipe.cli.views.run import record_text, short_path

    lines = [folder.name, *(f"  {line}" for line in made.headlines)]
    lines += [f"  file    {short_path(file.absolute())}" for file in made.files]
    return "\n".join([*lines, f"  record  {record_text(made.record, made.wait_seconds)}"] if made.record else lines)


def _as_json(folder: Path, made: Reported) -> str:
    """The result for programs."""
    from annpipe.cli.problems import strict

    results = [
        {
            "target": result.target,
            "measure": result.measure,
            "rows": result.rows,
            "predictors": [
                {
                    "name": other.name,
                    "value": strict(other.measure.value),
                    "low": strict(other.measure.low),
                    "high": strict(other.measure.high),
                }
                for other in result.compared
            ],
        }
        for result in made.results
    ]
    record = {"mlflow_run_id": made.record.run_id, "recorded": made.record.complete} if made.record else {}
    files = [str(file) for file in made.files]
    return json.dumps({"run": folder.name, "files": files, "results": results} | record, indent=2, ensure_ascii=False)
