"""`annpipe export RUN --to FORMAT`: writes a run's model as ONNX, .pt2 or plain PyTorch, and compares its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import one_run, trust_option

if TYPE_CHECKING:
    from annpipe.runs.export import Exported

EXAMPLE = "\b\nExample:\n  annpipe export penguins --to onnx -o penguins.onnx"


@click.command("export", epilog=EXAMPLE)
@one_run
@click.option("--to", required=True, type=click.Choice(["onnx", "torch", "folder"]), help="The format.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; the run's id here if left out.")
@click.option("--accept", is_flag=True, help="Write it even where its answers differ by more than 1e-5 of their size.")
@click.option("--force", is_flag=True, help="Replace a file or folder that is there.")
@click.option("--tracking-uri", metavar="URI", help="The run's store, where it needs credentials.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: Path,
    to: str,
    output: Path | None,
    accept: bool,
    force: bool,
    tracking_uri: str | None,
    trust: bool,
    as_json: bool,
) -> None:
    """Write the model of RUN for other tools: `onnx`, `torch` (a .pt2 file of torch.export) or `folder` (PyTorch).

    Raw rows go in, answers in the units of the data come out, class names and probabilities among them: all
    transforms are inside. The answers are compared with those of `annpipe predict` on the run's own rows.
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.export import export_run

    with RunDisplay() as display:
        exported = export_run(run, to, output, display, tracking_uri, accept=accept, force=force, trust=trust)
    click.echo(as_json_text(run, exported) if as_json else as_text(run, exported))


def as_text(run: Path, exported: Exported) -> str:
    """What was written, for a person."""
    from annpipe.cli.views.run import record_text
    from annpipe.errors import one_line

    described, parity = exported.description, exported.parity
    inputs = ", ".join(one_line(item["name"]) for item in described["inputs"][:8])
    outputs = ", ".join(one_line(item["name"]) for item in described["outputs"][:8])
    more = len(described["inputs"]) - 8
    rows = f"{parity.rows:,} row{'s' * (parity.rows != 1)} of {one_line(exported.source)}, with `annpipe predict`"
    lines = [
        f"{run.name}  as {exported.format}, {exported.size:,} bytes: {one_line(str(exported.path))}",
        f"  inputs      {inputs}{f' and {more} more' if more > 0 else ''}",
        f"  outputs     {outputs}",
        f"  compared    {rows}",
        f"  difference  {parity.largest:.2g} at most, {parity.relative:.2g} of the answers' size",
    ]
    lines += [f"  ties        {parity.ties} rows with two classes as likely as each other"] * bool(parity.ties)
    lines += [f"  note        {one_line(note)}" for note in exported.notes]
    return "\n".join([*lines, f"  record      {record_text(exported.record, exported.wait_seconds)}"])


def as_json_text(run: Path, exported: Exported) -> str:
    """The result for programs."""
    result = {"run": run.name, "file": str(exported.path), "format": exported.format, "bytes": exported.size}
    recorded = {"mlflow_run_id": exported.record.run_id, "recorded": exported.record.complete}
    return json.dumps({**result, **exported.description, **recorded}, indent=2)
