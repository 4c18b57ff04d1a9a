"""The folder of annpipe's caches: `$XDG_CACHE_HOME/annpipe`."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where annpipe keeps what it can make again: `$XDG_CACHE_HOME/annpipe` or `~/.cache/annpipe`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "annpipe"
