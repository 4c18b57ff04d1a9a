"""The split of a script: lines that say which rows are train, val and test, as `annpipe.datasets.steps.splits`."""

from __future__ import annotations

from pathlib import Path

from annpipe.backend.streams import stream_seed
from annpipe.contract import Dataset
from annpipe.datasets.steps.splits import NAMES, held_out, in_proportion, whole_groups
from annpipe.eject.data import DataColumns
from annpipe.eject.refused import NotEjected
from annpipe.eject.tables import here
from annpipe.eject.writer import Writer
from annpipe.plan.plan import Plan
from annpipe.train.parts import Parts


def split_lines(plan: Plan, parts: Parts, columns: DataColumns, writer: Writer, folder: Path) -> list[str]:
    """The lines that make `train_rows`, `val_rows` and `test_rows`; each part keeps the order of the data.

    The rows themselves are in `inputs` and `targets`. Nothing where no rows are held out.
    """
    if len(parts.splits.by_name) == 1:
        return []
    split = plan.split
    if split.by:
        lines = _by_column(parts, columns, split.by)
    elif split.files:
        lines = _by_files(plan, writer, folder)
    else:
        lines = _drawn(plan, parts, columns, writer)
    for name in parts.splits.by_name:
        lines.append(f"{name}_rows = {name}_rows.sort().values")
    return lines


def _order(plan: Plan) -> str:
    seed = plan.head.seed if plan.split.seed is None else plan.split.seed
    drawn = f"torch.Generator().manual_seed({stream_seed(seed, 'split')})"
    return f"order = torch.randperm(len(inputs), generator={drawn})"


def _drawn(plan: Plan, parts: Parts, columns: DataColumns, writer: Writer) -> list[str]:
    assert isinstance(parts.dataset, Dataset)
    split, n_rows = plan.split, parts.dataset.rows
    n_val, n_test = held_out(n_rows, split)
    n_train = n_rows - n_val - n_test
    if split.order:
        lines = [f"order = torch.argsort({columns.column(split.order)}, stable=True).flip(0)  # the last rows first"]
        return [*lines, f"test_rows, val_rows, train_rows = order.split([{n_test}, {n_val}, {n_train}])"]
    if split.folds:
        return _folds(plan, parts, columns, writer, n_test)
    if split.groups:
        grouped = writer.sources.of(whole_groups)
        return [
            _order(plan),
            f"split = {grouped}({columns.column(split.groups)}, order, {n_val}, {n_test})",
            *(f'{name}_rows = split["{name}"]' for name in parts.splits.by_name),
        ]
    if split.stratify:
        return _stratified(plan, parts, columns, writer, n_val, n_test)
    names = {"val": n_val, "test": n_test, "train": n_train}
    kept = {name: count for name, count in names.items() if count}
    rows = ", ".join(f"{name}_rows" for name in kept)
    return [_order(plan), f"{rows} = order.split([{', '.join(map(str, kept.values()))}])"]


def _stratified(plan: Plan, parts: Parts, columns: DataColumns, writer: Writer, n_val: int, n_test: int) -> list[str]:
    """Every value in the same proportion in all parts: the test is taken out first, then val."""
    assert plan.split.stratify is not None
    chosen = writer.sources.of(in_proportion)
    lines = [f"values = {columns.column(plan.split.stratify)}", _order(plan)]
    rest = "order"
    for name, count in (("test", n_test), ("val", n_val)):
        if count:
            lines.append(f"is_{name} = {chosen}(values, {rest}, {count})")
            lines.append(f"{name}_rows, train_rows = {rest}[is_{name}], {rest}[~is_{name}]")
            rest = "train_rows"
    return lines


def _folds(plan: Plan, parts: Parts, columns: DataColumns, writer: Writer, n_test: int) -> list[str]:
    split = plan.split
    if split.groups:
        raise NotEjected("`data.split` by folds of groups", "it has no plain form here", path=("data", "split"))
    lines = [_order(plan)]
    if split.stratify:
        lines = [f"values = {columns.column(split.stratify)}", *lines]
        chosen = writer.sources.of(in_proportion)
        lines.append(f"is_test = {chosen}(values, order, {n_test})")
        lines.append("test_rows, rest = order[is_test], order[~is_test]")
        lines.append("rest = rest[torch.argsort(values[rest], stable=True)]")
    else:
        lines.append(f"test_rows, rest = order[:{n_test}], order[{n_test}:]")
    lines.append(f"fold = torch.arange(len(rest)) % {split.folds}")
    return [*lines, f"train_rows, val_rows = rest[fold != {split.fold}], rest[fold == {split.fold}]"]


def _by_column(parts: Parts, columns: DataColumns, name: str) -> list[str]:
    assert isinstance(parts.dataset, Dataset)
    numbers = [NAMES.index(word.casefold()) for word in parts.dataset.categories[name]]
    lines = [f"part = torch.tensor({numbers})[{columns.column(name)}.long()]  # 0: train, 1: val, 2: test"]
    return lines + [f"{part}_rows = (part == {NAMES.index(part)}).nonzero()[:, 0]" for part in parts.splits.by_name]


def _by_files(plan: Plan, writer: Writer, folder: Path) -> list[str]:
    lines = ["is_train = torch.ones(len(inputs), dtype=torch.bool)"]
    for part, file in plan.split.files.items():
        numbers = f"map(int, ({here(writer, file, folder)}).read_text().split())"
        lines.append(f"{part}_rows = torch.tensor(list({numbers})).unique()")
        lines.append(f"is_train[{part}_rows] = False")
    return [*lines, "train_rows = is_train.nonzero()[:, 0]"]
