"""The names of run folders: `<name>-<local time>-<4 letters>`, and the one that a word means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

RUNS = "runs"
RUN_ID = re.compile(r"(?P<name>.+)-(?P<stamp>\d{8}-\d{6})-[a-z0-9]{4}")


def slug(name: str) -> str:
    """The part of a run id that comes from the run's name: lower-case letters, digits and single hyphens.

    >>> slug("Ünïcode / spaces")
    'unicode-spaces'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "run"


def name_in(run_id: str) -> str:
    """The name in a run id; all of it where it is none."""
    match = RUN_ID.fullmatch(run_id)
    return match["name"] if match else run_id


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run id."""
    return RUN_ID.fullmatch(text) is not None and "/" not in text


def meant_ids(text: str, ids: Sequence[str]) -> list[str]:
    """The run ids that a word may mean: that id, the latest of that name, or all that begin with it.

    >>> meant_ids("a", ["a-20260101-120000-aaaa", "a-20260102-120000-bbbb", "ab-20260103-120000-cccc"])
    ['a-20260102-120000-bbbb']
    """
    if text in ids:
        return [text]
    of_name = [run_id for run_id in ids if RUN_ID.fullmatch(run_id) and name_in(run_id) == slug(text)]
    if of_name:
        return [max(of_name, key=lambda run_id: run_id[len(slug(text)) :])]
    return [run_id for run_id in ids if run_id.startswith(text)]
