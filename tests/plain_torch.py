"""What plain torch needs for the same numbers as annpipe: the documented seeds of the random streams."""

from __future__ import annotations

import hashlib

SEED = 5


def stream(name: str, seed: int = SEED) -> int:
    """The documented seed of a stream: the first 63 bits of sha256("<seed>/<name>")."""
    return int(hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()[:16], 16) // 2
