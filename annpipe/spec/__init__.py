"""Text → Spec: what the user wrote, every key with its line and column; no torch, no mlflow, no plugin."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.spec.compose.extends import extended
from annpipe.spec.compose.overrides import on_device, override, parted, said_path, standing, swept, trial, unset
from annpipe.spec.compose.variables import substituted
from annpipe.spec.sections.spec import Spec, read_spec
from annpipe.spec.yaml.nodes import Node, ScalarNode
from annpipe.spec.yaml.reader import read_file

__all__ = ["Spec", "load_spec", "read_spec"]


def load_spec(
    path: Path,
    overrides: Iterable[str] = (),
    *,
    unset_paths: Iterable[str] = (),
    device: str | None = None,
    base: Path | None = None,
    untrusted: bool = False,
    over: Sequence[tuple[ScalarNode, Node]] = (),
    values: Iterable[tuple[str, Node]] | None = None,
) -> Spec:
    """Reads the spec at `path`: what it extends beneath it, then the overrides, then its variables; raises SpecError.

    `overrides` are `PATH=VALUE` or `PATH+=VALUE`; `unset_paths` are removed, and beneath them stands what overrides or
    values of a sweep say; `device` replaces the device's word and keeps its other options; `base` is the folder that
    relative paths start from when it is not the spec's own. Of an untrusted spec nothing outside its folder is read.
    `over` are more values of a sweep; `values` those of one of its trials, whose spec says nothing of sweeps.
    """
    root = extended(read_file(path), path, within=path.resolve().parent if untrusted else None)
    overrides, values = [*overrides], None if values is None else [*values]
    paths = [*map(said_path, overrides), *(str(path.value) for path, _ in over), *(path for path, _ in values or ())]
    first, last = parted(unset_paths, paths)
    root = unset(root, standing(root, first))
    for text in overrides:
        root = override(root, text)
    root = swept(root, over) if values is None else trial(root, values)
    if device is not None:
        root = on_device(root, device)
    filled = substituted(unset(root, last))
    spec = read_spec(filled.root, str(path))
    return replace(spec, problems=(*filled.problems, *spec.problems), unfilled=filled.unfilled, base=base)
