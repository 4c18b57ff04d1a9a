"""Text → Spec: what the user wrote, every key with its line and column; no torch, no mlflow, no plugin."""

from pathlib import Path

from annpipe.spec.overrides import Override, override
from annpipe.spec.reader import read_file
from annpipe.spec.spec import Spec, read_spec

__all__ = ["Override", "Spec", "load_spec", "read_spec"]


def load_spec(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """Reads the spec at `path` with `PATH=VALUE` overrides applied; raises SpecError."""
    root = read_file(path)
    for text in overrides:
        root = override(root, text)
    return read_spec(root, str(path))
