"""Checks the plugins, the runs of the project, and the caches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from annpipe.doctor.finding import Finding
from annpipe.doctor.store import room
from annpipe.errors import one_line
from annpipe.files.private import cache_folder

MOST_NAMED = 3


def plugin_findings(project: Path) -> Iterator[Finding]:
    """Installed plugins and the project's own files, with the faults that keep some from being used."""
    from annpipe.registry.plugin_sources import plugin_sources

    sources = plugin_sources(project, ())
    usable = [source for source in sources if source.fault is None]
    count = sum(len(source.components) for source in usable)
    yield Finding("plugins", f"{count:,} components of {len(usable)} source{'s' * (len(usable) != 1)}")
    for source in sources:
        if source.fault is not None:
            problem = source.fault.problem
            remedy = problem.help or "`annpipe plugins list` shows the error"
            yield Finding("plugins", one_line(problem.message), "warning", remedy)


def run_findings(project: Path) -> Iterator[Finding]:
    """The runs of the project: folders that are none, damaged journals, and runs whose record is not complete."""
    from annpipe.record.journal import journal
    from annpipe.record.journal.project import walk
    from annpipe.record.journal.state import is_recorded

    walked = walk(project)
    held = {folder for folder in walked.runs if journal.is_held(folder)}
    yield Finding("runs", f"{len(walked.runs):,} in {project / 'runs'}, {len(held)} of them running")
    for skipped in walked.skipped[:MOST_NAMED]:
        yield Finding("runs", one_line(str(skipped)), "warning", "remove the folder if it is none of yours")
    if damaged := [folder for folder in walked.runs if journal.damaged_lines(folder)]:
        remedy = "what is left of them is used; restore the files from a copy if you have one"
        yield Finding("runs", f"{_named(damaged)}: the journal has damaged lines", "warning", remedy)
    lacking = [folder for folder in walked.runs if folder not in held and not is_recorded(folder)]
    if lacking:
        text = f"{_named(lacking)}: the record is not complete"
        yield Finding("runs", text, "warning", "`annpipe sync` ships the rest")


def _named(folders: list[Path]) -> str:
    names = ", ".join(folder.name for folder in folders[:MOST_NAMED])
    return names if len(folders) <= MOST_NAMED else f"{names} and {len(folders) - MOST_NAMED} more"


def cache_findings() -> Iterator[Finding]:
    """The caches: where they are, how large, and whether they can be written."""
    from annpipe.files.size import size_of

    folder = cache_folder()
    finding = room("caches", folder)
    if finding.verdict == "fault":
        remedy = "name a folder of your own in XDG_CACHE_HOME; without caches annpipe works, and starts more slowly"
        yield Finding("caches", finding.text, "warning", remedy)
    else:
        yield Finding("caches", f"{size_of(folder) / 2**20:,.1f} MiB in {folder}")
