"""What in the environment of a replay is not as it was recorded: versions, processor, threads, data, plugins."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch

from annpipe.runs.recorded import RecordedRun

COMPUTING = ("numpy", "safetensors")  # distributions beside torch whose versions may change numbers
DIGESTS = {
    "plan": "the plan",
    "dataset": "the rows of the data",
    "beside": "columns for the split, or names of categories",
    "numerics": "how annpipe computes",
}
BY_NAME = {"plugins": "plugin", "sources": "sources of", "files": "file", "files of callbacks": "file of a callback"}


@dataclass(frozen=True)
class EnvironmentChange:
    """A fact of the environment that is another now; None where one of the two is not known."""

    name: str
    recorded: str | None
    now: str | None


def differences(
    run: RecordedRun, facts: Mapping[str, Any], device: torch.device, threads: int
) -> list[EnvironmentChange]:
    """What differs between a recorded run and its replay, whose `facts` are those of its plan and data made anew."""
    rows = [*_versions(run), *_machine(run, device, threads), *_facts(run, facts)]
    return [row for row in rows if row.recorded != row.now]


def _versions(run: RecordedRun) -> Iterator[EnvironmentChange]:
    known, tags = run.environment, run.first_tags
    python = tags.get("annpipe.python") or (known.get("python") or "").partition(" ")[0]
    versions = {"python": python, "annpipe": tags.get("annpipe.version"), "torch": tags.get("annpipe.torch")}
    versions |= {name: known.get(name) for name in COMPUTING}
    for name, recorded in versions.items():
        now = platform.python_version() if name == "python" else _installed(name)
        if recorded:  # an early version did not tell
            yield EnvironmentChange(name, recorded, now)
    if "platform" in known:
        yield EnvironmentChange("platform", known["platform"], platform.platform())


def _machine(run: RecordedRun, device: torch.device, threads: int) -> Iterator[EnvironmentChange]:
    now = {"device": str(device), "cpu": torch.backends.cpu.get_cpu_capability()}
    if device.type == "cuda":
        now["device_name"] = torch.cuda.get_device_name(device)
    for name in ("device", "device_name", "cpu"):
        recorded = run.first_tags.get(f"annpipe.{name}")
        if recorded:
            yield EnvironmentChange(name.replace("_", " "), recorded, now.get(name))
    if run.first_threads:
        yield EnvironmentChange("threads", str(run.first_threads), str(threads))


def _facts(run: RecordedRun, now: Mapping[str, Any]) -> Iterator[EnvironmentChange]:
    before = run.facts or {}
    for name, words in DIGESTS.items():
        if name in before:
            yield EnvironmentChange(words, str(before[name]), str(now[name]))
    for name, words in BY_NAME.items():
        recorded = before.get(name)
        if isinstance(recorded, Mapping):
            for item in sorted({*recorded, *now[name]}):
                yield EnvironmentChange(f"{words} {item}", _text(recorded.get(item)), _text(now[name].get(item)))


def _text(digest: Any) -> str | None:
    return str(digest) if digest else None


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
