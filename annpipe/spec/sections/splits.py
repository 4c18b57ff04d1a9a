"""Checks which options of `data.split` go together, and resolves the paths of its files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from annpipe.errors import Problem
from annpipe.spec.sections.models import Split
from annpipe.spec.yaml.nodes import MappingNode, ScalarNode

WAYS = ("stratify", "groups", "order", "by", "val_rows")  # how rows are chosen: one of them, or at random
WHOLE = ("by", "val_rows", "test_rows")  # these say all by themselves


def split_faults(split: Split, node: MappingNode) -> Iterator[Problem]:
    """Options of a split that cannot stand together, or do nothing."""
    held = split.val + split.test
    if held >= 1:
        message = f"val and test together take {held:g} of the rows; none are left to train"
        yield Problem("wrong-value", message, node.place, "their sum must be less than 1")
    ways = [name for name in WAYS if getattr(split, name)]
    if split.test_rows and not split.val_rows:
        ways.append("test_rows")
    for name in ways[1:]:
        message = f"`split.{name}` stands beside `split.{ways[0]}`: rows are chosen in one way"
        yield _fault(node, name, message, "keep one of the two")
    whole = next((name for name in ways if name in WHOLE), None)
    for name in ("val", "test", "folds"):
        if whole and getattr(split, name):
            yield _fault(
                node, name, f"`split.{name}` has no effect: `{whole}` says which rows are held out", "leave it out"
            )
    if split.folds and not whole:
        if split.val:
            without = "leave it out, here or by `--unset data.split.val`"
            yield _fault(node, "val", "`split.val` has no effect: one of the folds is val", without)
        if split.order:
            yield _fault(node, "folds", "`split.folds` are drawn at random, and `order` keeps an order", "keep one")
        if split.fold >= split.folds:
            message = f"there is no fold {split.fold}: {split.folds} folds are numbered from 0 to {split.folds - 1}"
            yield _fault(node, "fold", message, f"take one from 0 to {split.folds - 1}")
    elif split.fold:
        yield _fault(node, "fold", "`split.fold` has no effect without `folds`", "add `folds: 5`")
    drawn = (held or split.folds) and not whole and "order" not in ways
    if split.seed is not None and not drawn:
        yield _fault(node, "seed", "`split.seed` has no effect: no rows are drawn at random", "leave it out")
    chosen = [name for name in ways if name not in WHOLE]
    if chosen and not (held or split.folds):
        message = f"`split.{chosen[0]}` has no effect: no rows are held out"
        yield _fault(node, chosen[0], message, "add `val: 0.2` or `test: 0.2`")


def _fault(node: MappingNode, name: str, message: str, help_: str) -> Problem:
    key = node.key(name)
    return Problem("wrong-value", message, key.place if key else node.place, help_)


def split_files(split: Split, node: MappingNode) -> Split:
    """The split with its files' paths from the root: each is relative to the file that says it."""
    files = {}
    for name in ("val_rows", "test_rows"):
        value = node.get(name)
        if getattr(split, name) and isinstance(value, ScalarNode):
            place = value.place
            folder = Path.cwd() if place.on_command_line else Path(place.file).resolve().parent
            files[name] = os.path.normpath(folder / os.path.expanduser(str(value.value)))
    return split.model_copy(update=files)
