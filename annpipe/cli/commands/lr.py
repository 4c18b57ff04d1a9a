"""`annpipe lr SPEC`: suggests a learning rate, by a short test in which the rate grows until the loss diverges."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.options import spec_source
from annpipe.runs.spec_source import SpecSource

if TYPE_CHECKING:
    from annpipe.plan.plan import Plan
    from annpipe.train.loop.lr_test import RateTest


_RATE = click.FloatRange(min=0, min_open=True)


@click.command("lr")
@spec_source()
@click.option("--from", "low", type=_RATE, default=1e-7, help="The first rate [default: 1e-7].")
@click.option("--to", "high", type=_RATE, default=10.0, help="The last rate [default: 10].")
@click.option(
    "--steps", type=click.IntRange(10, 100_000), default=200, help="The maximum number of steps [default: 200]."
)
@click.option("--figure", type=click.Path(path_type=Path), help="The file of the figure; NAME_lr.svg if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the rates and losses as JSON.")
def command(
    source: SpecSource,
    low: float,
    high: float,
    steps: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Suggest a learning rate for SPEC: train briefly at growing rates and draw the loss; nothing is recorded."""
    from annpipe.cli.progress import RunDisplay
    from annpipe.record.journal.project import slug
    from annpipe.runs.launch import complete
    from annpipe.train.loop.lr_test import try_rates

    if not low < high < math.inf:  # nor is nan
        raise click.UsageError(f"--from ({low:g}) must be less than --to ({high:g}), and both be finite")
    with RunDisplay() as display:
        plan = complete(source.draft(), display)
        test = try_rates(plan, low=low, high=high, steps=steps)
    path = figure or Path(f"{slug(plan.head.name)}_lr.svg")
    draw(plan, test, path)
    click.echo(as_json_text(test, path) if as_json else as_text(plan, test, path))


def as_text(plan: Plan, test: RateTest, path: Path) -> str:
    """The suggestion in words, and how to take it."""
    lr = plan.optimizer.options.get("lr")
    lines = [f"suggested  lr {test.suggested:.2g}  (where the loss falls fastest)"]
    lines.append(f"tried      {len(test.rates)} steps from {test.rates[0]:.2g} to {test.rates[-1]:.2g}")
    lines.append(f"figure     {path}")
    setting = f"--set optimizer.{plan.optimizer.name}.lr={test.suggested:.2g}"
    lines += ["", f"the spec has {lr:g}; to take the suggested one:" if isinstance(lr, float) else "to take it:"]
    return "\n".join([*lines, f"  annpipe run {plan.file} {setting}"])


def as_json_text(test: RateTest, path: Path) -> str:
    """The test for programs."""
    rows = {"rates": test.rates, "losses": test.losses, "smoothed": test.smoothed}
    return json.dumps({"suggested": test.suggested, **rows, "figure": str(path)}, indent=2)


def draw(plan: Plan, test: RateTest, path: Path) -> None:
    """The loss over the rate, smoothed and as it was, the suggestion marked; SVG, PNG or PDF as the path ends."""
    from matplotlib.figure import Figure

    from annpipe.errors import one_line, shortened
    from annpipe.files.figure_fit import fit_figure
    from annpipe.files.figure_style import figure_style
    from annpipe.files.figures import write_figure

    with figure_style([plan.head.name]):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes: Any = figure.subplots()
        axes.plot(test.rates, test.losses, color="#0072B2", alpha=0.3, linewidth=0.8, label="loss")
        axes.plot(test.rates, test.smoothed, color="#0072B2", linewidth=1.8, label="smoothed")
        at = test.rates.index(test.suggested)
        axes.plot(test.suggested, test.smoothed[at], "o", color="#D55E00", label=f"suggested: {test.suggested:.2g}")
        top = max(test.smoothed[: at + 1])
        axes.set(xscale="log", xlabel="learning rate", ylabel=f"loss ({plan.loss.name})")
        axes.set_ylim(min(test.smoothed) - 0.1 * (top - min(test.smoothed)), top + 0.5 * (top - min(test.smoothed)))
        name = shortened(one_line(plan.head.name), 40).replace("$", r"\$")
        figure.suptitle(f"{name} · learning rate test", x=0.012, ha="left")
        axes.legend()
        fit_figure(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_figure(figure, path)
