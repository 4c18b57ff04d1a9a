"""Where a run came from: its spec, commit, user, versions and the packages around it."""

from __future__ import annotations

import getpass
import json
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import yaml

from annpipe.errors.redact import HIDDEN, scrub, secret_words
from annpipe.record.journal.git import git_tags

NOTE = "mlflow.note.content"
FROM = "annpipe.from"  # the tag that names the run, or the file, whose weights a run began with
"""The tag that MLflow shows as the description of a run, in Markdown."""


def source_tags(spec_file: Path) -> dict[str, str]:
    """MLflow's tags for the origin of a run: user, spec file, versions, and the commit of the spec's repository."""
    spec = spec_file.resolve()
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": str(spec),
        "mlflow.source.type": "LOCAL",
        "annpipe.version": _version("annpipe"),
        "annpipe.python": platform.python_version(),
        "annpipe.torch": _version("torch"),
        "annpipe.host": platform.node(),
    }
    return {key: value for key, value in (tags | git_tags(spec.parent)).items() if value}


def spec_copy(file: Path, tracking_uri: str | None) -> str:
    """The text of a spec as others may read it: no credentials, however they are escaped, folded or put together."""
    text = scrub(file.read_text(encoding="utf-8-sig"))
    words = secret_words(tracking_uri or "")
    parts, behind = [], 0
    for value, start, end in _scalars(text):
        kept = HIDDEN if value in words else scrub(value)
        if kept != value:
            line_end = "\n" if text[start:end].endswith("\n") else ""  # a block scalar goes on to the next line
            parts += [text[behind:start], json.dumps(kept, ensure_ascii=False), line_end]
            behind = end
    return "".join([*parts, text[behind:]])


def _scalars(text: str) -> Iterator[tuple[str, int, int]]:
    """The scalars of YAML that was read before, each with the stretch it takes; none where it changed meanwhile."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.ScalarEvent) and event.start_mark and event.end_mark:
                yield event.value, event.start_mark.index, event.end_mark.index


def environment_text() -> str:
    """Python, platform and every installed distribution, one a line, as pip would pin them."""
    head = [
        f"# python {platform.python_version()} ({sys.implementation.name})",
        f"# platform {platform.platform()}",
    ]
    versions = dict(filter(None, map(_distribution, metadata.distributions())))
    pins = [f"{name}=={version}" for name, version in sorted(versions.items(), key=lambda item: item[0].lower())]
    return "\n".join([*head, *pins]) + "\n"


def _distribution(distribution: metadata.Distribution) -> tuple[str, str] | None:
    """Name and version out of the first lines of its metadata, of which `metadata` would parse the whole."""
    head = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").partition("\n\n")[0]
    members = dict(line.split(": ", 1) for line in head.splitlines() if line.startswith(("Name: ", "Version: ")))
    return (members["Name"].strip(), members.get("Version", "").strip()) if "Name" in members else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container whose user id has no name, Windows without USERNAME
        return ""


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
