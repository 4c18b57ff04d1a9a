"""Collects the report of a run from its folder, around what was measured of its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from annpipe.record.journal.journal import now_ms
from annpipe.report.answers import equal_distances
from annpipe.report.content import Curves, Measured, MetricRow, MetricTable, RunReport
from annpipe.report.figures import embedded
from annpipe.report.journal_facts import CurvePoints, JournalFacts, journal_facts
from annpipe.report.pictures import COLOURS, Series, line_chart
from annpipe.report.wording import duration, moment, short

MOST_CHARTS = 12
MOST_METRICS = 60
POINTS_IN_TABLE = 9
MOST_SPEC = 50_000  # letters of the spec's text
PLUGIN = "annpipe.plugin."  # before the name of a plugin, in a tag with its version
SPLITS = ("train", "val", "test")
ENVIRONMENT = {
    "annpipe.version": "annpipe",
    "annpipe.torch": "torch",
    "annpipe.python": "Python",
    "annpipe.device": "device",
    "annpipe.device_name": "device name",
    "annpipe.threads": "threads",
    "annpipe.gear": "steps",
    "annpipe.seed": "seed",
    "annpipe.plan": "digest of the plan",
    "mlflow.source.git.commit": "commit",
    "mlflow.source.git.branch": "branch",
}


def run_report(
    folder: Path, measured: Measured | None, notes: Sequence[str] = (), status: str | None = None
) -> RunReport:
    """The report of the run in `folder`; `status` is the one that it is about to end with."""
    facts = journal_facts(folder)
    figures, left_out = embedded(facts.figures, folder)
    notes_of_all = [*notes]
    if left_out:
        notes_of_all.append(f"Figures without room here, in the run's folder: {', '.join(map(short, left_out))}.")
    return RunReport(
        name=facts.begun.name or folder.name,
        id=folder.name,
        status=status or facts.status,
        description=description(facts, 2),
        begun=moment(facts.begun.time),
        took=took(facts, status),
        spec=spec_text(folder),
        metrics=_metrics(facts),
        curves=tuple(_curves(facts.history)),
        figures=figures,
        environment=environment_pairs(facts),
        commands=tuple(commands(facts, folder)),
        version=version("annpipe"),
        measured=measured,
        notes=tuple(notes_of_all),
    )


def took(facts: JournalFacts, status: str | None) -> str:
    """How long a run or a sweep took; so far, where it is about to end with a status."""
    if status is None:
        return duration(facts.seconds)
    return duration(max(0, now_ms() - (facts.begun.time or now_ms())) / 1000)


def description(facts: JournalFacts, n_behind: int) -> str:
    """What the spec says of itself: the note of a run without the last paragraphs, which annpipe writes."""
    return "\n\n".join((facts.begun.description or "").split("\n\n")[:-n_behind])


def spec_text(folder: Path) -> str:
    """The spec as it was written, or the whole plan where there is no copy of it, as of a trial."""
    for name in ("spec.yaml", "plan.yaml"):
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            return text if len(text) <= MOST_SPEC else text[:MOST_SPEC] + "\n…"
    return ""


def _metrics(facts: JournalFacts) -> MetricTable:
    """The final values by measure and split; what belongs to no split stands in no table."""
    splits = tuple(split for split in SPLITS if any(key.startswith(f"{split}/") for key in facts.final))
    names = dict.fromkeys(
        key.partition("/")[2] for split in splits for key in facts.final if key.startswith(f"{split}/")
    )
    rows = []
    for name in list(names)[:MOST_METRICS]:
        bests = [facts.best[key] for split in ("val", "train") if (key := f"{split}/{name}") in facts.best]
        finals = tuple(facts.final.get(f"{split}/{name}") for split in splits)
        rows.append(MetricRow(name, finals, bests[0] if bests else None))
    return MetricTable(splits, tuple(rows))


def _curves(history: Mapping[str, CurvePoints]) -> Iterator[Curves]:
    """A chart for each measure, with the curve of each split that it has."""
    groups: dict[str, list[str]] = {}
    for key in history:
        split, _, measure_name = key.partition("/")
        name = measure_name if split in SPLITS and measure_name else "learning rate" if split == "lr" else key
        groups.setdefault(name, []).append(key)
    for name, keys in list(groups.items())[:MOST_CHARTS]:
        series = [Series(key, *history[key]) for key in keys[:COLOURS]]
        chart = line_chart(name, series, "epoch")
        if chart is not None and any(len(each.x) > 1 for each in series):
            yield Curves(name, chart, tuple(keys[:COLOURS]), tuple(_table(series)))


def _table(series: Sequence[Series]) -> Iterator[tuple[int, tuple[float | None, ...]]]:
    """The values at some epochs at equal distances, the first and the last among them."""
    steps = sorted({int(x) for each in series for x in each.x})
    chosen = [steps[int(k)] for k in equal_distances(len(steps), POINTS_IN_TABLE)]
    values = [dict(zip(each.x, each.y, strict=True)) for each in series]
    for step in chosen:
        yield step, tuple(each.get(step) for each in values)


def environment_pairs(facts: JournalFacts) -> tuple[tuple[str, str], ...]:
    tags = facts.tags
    pairs = [(name, tags[tag]) for tag, name in ENVIRONMENT.items() if tags.get(tag)]
    plugins = [
        (f"plugin {tag.removeprefix('annpipe.plugin.')}", tags[tag])
        for tag in tags
        if tag.startswith("annpipe.plugin.")
    ]
    return (*pairs, *plugins)


def commands(facts: JournalFacts, folder: Path) -> Iterator[str]:
    """What makes this run again, from the same commit and packages where they are known."""
    commit = facts.tags.get("mlflow.source.git.commit")
    if commit:
        yield f"git checkout {commit}"
    if (folder / "environment.txt").is_file():
        yield f"python -m pip install -r runs/{folder.name}/environment.txt"
    if facts.command:
        yield facts.command
