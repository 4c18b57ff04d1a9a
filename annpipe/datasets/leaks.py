"""Warnings about data that make a result look better than it is: absent classes, copies of a target, repeated rows.

Each warning has the place in the spec where the column or the split is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from annpipe.contract import Dataset, Fields
from annpipe.datasets.inspect import SplitData
from annpipe.datasets.steps.categories import class_counts, class_names
from annpipe.draft.component import Component
from annpipe.errors import Place, Problem
from annpipe.spec.sections.models import Split
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode

NAMED = 5  # so many columns or classes are named in a message
COMPARED = 1000  # rows that decide whether two columns are worth comparing whole
EXACT = 1e-9  # a correlation this near to 1 or -1 is that of a copy
CHUNK = 8192  # rows whose bytes are in memory at a time


def warnings_before_training(split_data: SplitData) -> Iterator[Problem]:
    """The warnings of a plan that has the rows: what makes a result worthless and is hardly ever intended."""
    yield from absent_classes(split_data)
    yield from answers(split_data)


def all_findings(split_data: SplitData) -> Iterator[Problem]:
    """All warnings of `annpipe data`."""
    yield from remarks(split_data.data, split_data.fields)
    yield from warnings_before_training(split_data)
    yield from rows_in_both(split_data)
    yield from constant_columns(split_data)


def remarks(data: Component, fields: Fields | None) -> Iterator[Problem]:
    """The remarks of the data component on its columns: words that may be numbers, and row numbers."""
    for name, field in [*fields.inputs.items(), *fields.targets.items()] if fields else ():
        for remark in field.remarks:
            yield Problem(
                "leak" if remark.is_leak else "numbers-as-words",
                remark.message,
                place_of(data, name),
                remark.help,
                severity="warning",
            )


def absent_classes(split_data: SplitData) -> Iterator[Problem]:
    """Classes of a target that no row of the train split has, so that the model cannot learn them."""
    for name in split_data.dataset.targets:
        words = class_names(split_data.dataset, name)
        if words:
            parts = {part: rows.targets[name] for part, rows in split_data.splits.by_name.items()}
            counts = {part: class_counts(labels, len(words)) for part, labels in parts.items()}
            yield from absent_of(split_data, name, words, counts)


def absent_of(
    split_data: SplitData, name: str, words: Sequence[str], by_part: Mapping[str, torch.Tensor]
) -> Iterator[Problem]:
    """The classes of one target that train lacks; `by_part` has for each split the rows of each class, train first."""
    counts = torch.stack(list(by_part.values()))
    is_absent = (counts[0] == 0) & (counts.any(0) if name not in split_data.dataset.categories else True)
    if is_absent.any():
        absent = is_absent.nonzero()[:, 0].tolist()
        named = [words[number] for number in absent]
        yield _absent(split_data, name, named, dict(zip(by_part, counts[:, absent], strict=True)))


def _absent(split_data: SplitData, name: str, words: Sequence[str], counts: Mapping[str, torch.Tensor]) -> Problem:
    """`counts` has for each split how many rows are of each absent class."""
    has = [f"{part} has {int(count.sum())}" for part, count in counts.items() if count.any()]
    where = " and ".join(has) or "nor has any other row"
    message = f"no row of the train split has the class{'es' * (len(words) > 1)} {_some(words)} of '{name}'; {where}"
    most = int(torch.stack(list(counts.values())).sum(0).max())
    help_ = _remedy(split_data.spec.split, name, is_rare=most < len(counts))
    related = tuple((place, "its classes come from here") for place in [place_of(split_data.data, name)] if place)
    return Problem("absent-class", message, split_data.spec.place("data", "split"), help_, related, severity="warning")


def _remedy(split: Split, name: str, *, is_rare: bool) -> str:
    if is_rare or split.stratify == name:
        return "so few rows cannot be in every split: gather more, or leave the class out of the data"
    way = next((way for way in ("groups", "order", "by", "val_rows", "test_rows") if getattr(split, way)), None)
    if way:
        return f"`split.{way}` chooses the rows: leave some of each class to train, or take `stratify: {name}` instead"
    return f"say `stratify: {name}` in `data.split`, which gives every split its share of each class"


def answers(split_data: SplitData) -> Iterator[Problem]:
    """Inputs that are a copy of a target, perhaps under other names of its values or in other units."""
    for name, target in split_data.dataset.targets.items():
        if target.ndim > 1:
            continue
        for column, values in columns(split_data.single_inputs):
            relation = _one_to_one(values, target) or _as_numbers(values.double(), target.double())
            if relation:
                message = f"the input '{column}' determines the target '{name}' exactly: {relation}"
                help_ = "leave it out, unless it is known before the target is"
                yield Problem("leak", message, place_of(split_data.data, column), help_, severity="warning")


def _one_to_one(x: torch.Tensor, y: torch.Tensor) -> str | None:
    """Whether each of a few values occurs with exactly one value of the target."""
    for few, some in ((_sample(x), _sample(y)), (x, y)):
        there = ~(few.isnan() | some.isnan())
        values, codes = few[there].unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch's own
        others, labels = some[there].unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch's own
        if len(values) != len(others) or len(values) < 2 or len(codes) < max(10, 3 * len(values), len(few) / 2):
            return None
        if len((codes * len(others) + labels).unique()) > len(values):
            return None
    return "they are equal" if torch.equal(x, y) else f"each of its {len(values)} values goes with one of the target's"


def _as_numbers(x: torch.Tensor, y: torch.Tensor) -> str | None:
    """How two columns with three values or more are equal up to scale and shift; None where they are not."""
    there = x.isfinite() & y.isfinite()
    x, y = x[there], y[there]
    if len(x) < max(5, len(there) / 2) or _n_values(x) < 3 or _n_values(y) < 3:
        return None
    away_x, away_y = x - x.mean(), y - y.mean()
    size = (away_x.square().sum() * away_y.square().sum()).sqrt()
    if not abs(float((away_x * away_y).sum() / size)) > 1 - EXACT:
        return None
    return "they are equal" if torch.equal(x, y) else "one is the other but for scale and shift"


def _n_values(x: torch.Tensor) -> int:
    return len(_sample(x).unique())  # type: ignore[no-untyped-call]  # torch's own


def _sample(values: torch.Tensor) -> torch.Tensor:
    """Up to twice COMPARED rows at equal distances."""
    return values[:: max(1, len(values) // COMPARED)]


def rows_in_both(split_data: SplitData) -> Iterator[Problem]:
    """Held-out rows whose inputs are in train too, so that they measure what the model has memorized."""
    held = split_data.splits.held
    known = set(row_hashes(split_data.splits.train)) if held else set()
    for part, rows in held.items():
        same = sum(code in known for code in row_hashes(rows))
        if same:
            repeated = f"{same:,} of the {rows.rows:,} rows of {part} ({same / rows.rows:.1%})"
            message = f"{repeated} {'have' if same > 1 else 'has'} the same inputs as a row of train"
            help_ = "leave repeated rows out of the data, or keep them together with `split.groups`"
            yield Problem("leak", message, split_data.spec.place("data", "split"), help_, severity="warning")


def row_hashes(rows: Dataset) -> Iterator[int]:
    """A hash of the inputs of each row; missing values are equal to one another."""
    for start in range(0, rows.rows, CHUNK):
        parts = [tensor[start : start + CHUNK].double() for tensor in rows.inputs.values()]
        block = torch.cat([part.reshape(len(part), -1) for part in parts], 1) + 0.0  # turns -0.0 into 0.0
        block[block.isnan()] = torch.nan  # one bit pattern for every NaN
        whole = block.contiguous().numpy()
        yield from map(hash, whole.view(f"V{whole.shape[1] * whole.itemsize}").ravel().tolist())


def constant_columns(split_data: SplitData) -> Iterator[Problem]:
    """Inputs that have one value in every row, all in one warning."""
    if split_data.dataset.rows < 2:
        return
    names = [name for name, values in columns(split_data.single_inputs) if _is_constant(values)]
    if names:
        more = len(names) > 1
        message = f"{_some(names)} {'have' if more else 'has'} the same value in every row"
        place = place_of(split_data.data, names[0].partition("[")[0])
        help_ = f"nothing can be learnt from {'them' if more else 'it'}: leave {'them' if more else 'it'} out"
        yield Problem("constant-column", message, place, help_, severity="warning")


def _is_constant(values: torch.Tensor) -> bool:
    """The same value in all rows, or missing in all."""
    lost = values.isnan()
    return bool(lost.all()) or (not bool(lost.any()) and bool((values == values[0]).all()))


def columns(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """The columns of one number a row by name, those of a matrix as `X[3]`; tensors of other shapes are left out."""
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            yield name, tensor
        elif tensor.ndim == 2 and tensor.is_floating_point():
            yield from ((f"{name}[{number}]", column) for number, column in enumerate(tensor.unbind(1)))


def place_of(data: Component, name: str) -> Place | None:
    """Where the data component's options name a column, else the component."""
    places = (place for node in data.nodes.values() for place in _named(node, name))
    return next(places, data.place)


def _named(node: Node, name: str) -> Iterator[Place]:
    match node:
        case ScalarNode(value=value) if value == name:
            yield node.place
        case ListNode(items=items):
            yield from (place for item in items for place in _named(item, name))
        case MappingNode(pairs=pairs):
            for key, below in pairs:
                yield from _named(key, name)
                yield from _named(below, name)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
