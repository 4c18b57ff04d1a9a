"""Data → the rows of a run, split and transformed: as tensors on the device, or in files where they come in blocks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch

from annpipe.backend.device import one_thread
from annpipe.contract import Blocks, Dataset
from annpipe.datasets.on_disk.cache import Surveyed, recall, rows_hold, stored, write
from annpipe.datasets.on_disk.fit import Recalling, learnt
from annpipe.datasets.on_disk.rows import StoredRows
from annpipe.datasets.on_disk.split import Cut, cut, survey
from annpipe.datasets.request import Wanted
from annpipe.datasets.splits import Splits, split_dataset
from annpipe.datasets.tensors import Rows, Transformed, lay_out
from annpipe.datasets.transforms import Fitted, fit_columns, known_categories
from annpipe.draft.inputs_outputs import stack_columns
from annpipe.draft.losses import takes_classes
from annpipe.plan.plan import Plan
from annpipe.plan.predictions import n_outputs, plan_roles

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Laid:
    """The rows of each part, what was fitted on train, and what of it was applied.

    `splits` has the rows as datasets; of rows in blocks it has samples.
    """

    splits: Splits
    rows: Mapping[str, Rows | StoredRows]
    fitted: Fitted | None
    once: Transformed


def laid_out(plan: Plan, data: Dataset | Blocks, device: torch.device, dtype: torch.dtype, tell: Tell) -> Laid:
    """Splits, fits and transforms the data of a run; `tell` hears of rows that are kept in files."""
    if isinstance(data, Blocks):
        return _in_files(plan, data, device, dtype, tell)
    splits = known_categories(split_dataset(data, plan.split, plan.head.seed), plan.fields)
    fitted = None
    if plan.transforms:
        stacks = _stacks(plan)
        fitted = fit_columns(plan.transforms, plan.fields, splits.train, plan.head.seed, stacks)
        fitted = _widened(fitted, plan)
    once = _once(fitted)
    classes = takes_classes(plan.loss)
    labels = [head.name for head in plan.outputs if takes_classes(head.loss)]
    rows = {
        name: lay_out(part, device, dtype, classes=classes, columns=once, labels=labels)
        for name, part in splits.by_name.items()
    }
    return Laid(splits, rows, fitted, once)


def _stacks(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """The inputs of each stack of `model.inputs`."""
    return tuple(own for layer in plan.inputs for own in stack_columns(layer.options["columns"], plan.fields))


def _widened(fitted: Fitted, plan: Plan) -> Fitted:
    """The transforms, told how many outputs predict each target where these are several, and which is a variance."""
    known = plan_roles(plan)
    variances = tuple(roles.variance if roles else None for roles in known.values())
    if plan.outputs:
        widths = [stop - start for start, stop in plan.loss.options["spans"].values()]
    else:
        widths = [n_outputs(roles) for roles in known.values()] if any(known.values()) else []
    return replace(fitted, widths=tuple(widths), variances=variances if any(v is not None for v in variances) else ())


def _once(fitted: Fitted | None) -> Transformed:
    return Transformed(fitted.columns(fitted.before), fitted.target_columns) if fitted else Transformed()


def _in_files(plan: Plan, blocks: Blocks, device: torch.device, dtype: torch.dtype, tell: Tell) -> Laid:
    classes = takes_classes(plan.loss)
    wanted = Wanted(
        blocks,
        plan.fields,
        plan.split,
        plan.head.seed,
        plan.transforms,
        dtype,
        classes=classes,
        stacks=_stacks(plan),
    )
    kept = recall(wanted.folder)
    if kept is not None and not rows_hold(wanted.folder, kept[1]):
        tell(f"warning: the rows kept in {wanted.folder} are damaged: they are made anew")
        shutil.rmtree(wanted.folder)
        kept = None
    known = kept[0] if kept else prepared(Asked(wanted.key, wanted)).known
    fitted = fitted_of(wanted, known)
    fitted = _widened(fitted, plan) if fitted else None
    once = _once(fitted)
    if kept is None:
        tell(f"writing the rows as they are trained on, once, to {wanted.folder}")
        with one_thread():
            write(wanted, prepared(Asked(wanted.key, wanted)).parts, known, once)
        kept = recall(wanted.folder)
        assert kept is not None
        tell(f"wrote {_size(sum(kept[1]['sizes'].values()))}; whoever needs the room may delete the folder")
    prepared.cache_clear()
    return Laid(known.seen.samples, stored(wanted.folder, kept[1], device), fitted, once)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


@dataclass(frozen=True)
class Asked:
    """What is asked for, compared by its key."""

    key: str
    wanted: Wanted = field(compare=False)


@dataclass(frozen=True)
class Prepared:
    """Blocks cut in parts, and what passages told of them."""

    parts: Cut
    known: Surveyed


# A plan asks what transforms give, and the run that follows asks for the same: the passages are made once.
@lru_cache(maxsize=1)
def prepared(asked: Asked) -> Prepared:
    """Cuts the blocks, looks at every row once, and lets the transforms learn."""
    wanted = asked.wanted
    with one_thread():
        parts = cut(wanted.blocks, wanted.split, wanted.seed)
        seen = survey(parts)
        states = learnt(wanted.transforms, wanted.fields, parts, seen, wanted.seed, wanted.stacks)
    return Prepared(parts, Surveyed(parts.counts, seen, states))


def surveyed(wanted: Wanted) -> Surveyed:
    """What passages tell of rows in blocks: out of the folder where they are kept, otherwise from the blocks."""
    kept = recall(wanted.folder)
    return kept[0] if kept else prepared(Asked(wanted.key, wanted)).known


def fitted_of(wanted: Wanted, known: Surveyed) -> Fitted | None:
    """The transforms with what they have learnt."""
    if not wanted.transforms:
        return None
    recalling = Recalling(known.learnt)
    train = known.seen.samples.train
    return fit_columns(wanted.transforms, wanted.fields, train, wanted.seed, wanted.stacks, recalling)
