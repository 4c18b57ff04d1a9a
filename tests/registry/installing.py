"""What pip leaves of a distribution with an entry point, for tests of installed plugins."""

from __future__ import annotations

from pathlib import Path


def install(site: Path, name: str, source: str | None, module: str | None = None) -> None:
    """A distribution of version 1.2 and, where there is a source, its module."""
    info = site / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[annpipe.plugins]\n{name} = {module or name}\n", encoding="utf-8")
    if source is not None:
        (site / f"{name}.py").write_text(source, encoding="utf-8")
