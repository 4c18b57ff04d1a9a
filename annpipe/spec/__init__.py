"""Text → Spec: what the user wrote, every key with its line and column; no torch, no mlflow, no plugin."""

from dataclasses import replace
from pathlib import Path

from annpipe.spec.nodes import MappingNode
from annpipe.spec.overrides import override
from annpipe.spec.reader import read_file
from annpipe.spec.spec import Spec, read_spec

__all__ = ["Spec", "load_spec", "read_spec"]


def load_spec(
    path: Path, overrides: tuple[str, ...] = (), *, device: str | None = None, base: Path | None = None
) -> Spec:
    """Reads the spec at `path` with `PATH=VALUE` overrides applied; raises SpecError.

    `device` replaces the device's word and keeps its other options; `base` is the folder that relative paths start
    from when it is not the spec's own.
    """
    root = read_file(path)
    if device is not None:
        within = isinstance(root.get("device"), MappingNode)
        overrides = (*overrides, f"device{'.type' if within else ''}={device}")
    for text in overrides:
        root = override(root, text)
    return replace(read_spec(root, str(path)), base=base)
