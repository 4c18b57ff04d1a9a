"""What in the rows makes a result worth less than it looks? Classes that train lacks, answers among the inputs, rows
that stand on both sides of a split, columns that say nothing: warnings at their lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.contract import Dataset, Fields
from annpipe.datasets.splits import Splits
from annpipe.draft.component import Component
from annpipe.errors import Place, Problem
from annpipe.spec.sections.models import Split
from annpipe.spec.sections.spec import Spec
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode

NAMED = 5  # so many columns or classes are named in a message
SEEN = 1000  # rows that decide whether two columns are worth comparing whole
EXACT = 1e-9  # a correlation this near to 1 or -1 is that of a copy
CHUNK = 8192  # rows whose bytes are in memory at a time


@dataclass(frozen=True)
class Seen:
    """The rows of a spec, whole and cut, and where the spec speaks of them."""

    spec: Spec
    data: Component
    dataset: Dataset
    splits: Splits
    fields: Fields | None = None


def told_before_training(seen: Seen) -> Iterator[Problem]:
    """What a plan warns of, where it has the rows at hand: it spoils the result, and is hardly ever meant."""
    yield from absent_classes(seen)
    yield from answers(seen)


def all_findings(seen: Seen) -> Iterator[Problem]:
    """All that `annpipe data` warns of."""
    yield from remarks(seen.data, seen.fields)
    yield from told_before_training(seen)
    yield from rows_in_both(seen)
    yield from constant_columns(seen)


def remarks(data: Component, fields: Fields | None) -> Iterator[Problem]:
    """What the data component itself says of its columns: those that may be numbers, and numbers of rows."""
    for name, field in [*fields.inputs.items(), *fields.targets.items()] if fields else ():
        for remark in field.remarks:
            yield Problem(
                "leak" if remark.is_leak else "numbers-as-words",
                remark.message,
                place_of(data, name),
                remark.help,
                severity="warning",
            )


def absent_classes(seen: Seen) -> Iterator[Problem]:
    """Classes of a target that no row of the train split has: the model cannot learn to tell them."""
    for name in seen.dataset.targets:
        words = class_names(seen.dataset, name)
        if words:
            parts = {part: rows.targets[name] for part, rows in seen.splits.by_name.items()}
            counts = {part: class_counts(labels, len(words)) for part, labels in parts.items()}
            yield from absent_of(seen, name, words, counts)


def absent_of(seen: Seen, name: str, words: Sequence[str], by_part: Mapping[str, torch.Tensor]) -> Iterator[Problem]:
    """The classes of one target that train lacks; `by_part` has for each split the rows of each class, train first."""
    counts = torch.stack(list(by_part.values()))
    is_absent = (counts[0] == 0) & (counts.any(0) if name not in seen.dataset.categories else True)
    if is_absent.any():
        absent = is_absent.nonzero()[:, 0].tolist()
        named = [words[place] for place in absent]
        yield _absent(seen, name, named, dict(zip(by_part, counts[:, absent], strict=True)))


def _absent(seen: Seen, name: str, words: Sequence[str], counts: Mapping[str, torch.Tensor]) -> Problem:
    """`counts` has for each split how many rows are of each absent class."""
    has = [f"{part} has {int(count.sum())}" for part, count in counts.items() if count.any()]
    where = " and ".join(has) or "nor has any other row"
    message = f"no row of the train split has the class{'es' * (len(words) > 1)} {_some(words)} of '{name}'; {where}"
    most = int(torch.stack(list(counts.values())).sum(0).max())
    help_ = _remedy(seen.spec.split, name, is_rare=most < len(counts))
    related = tuple((place, "its classes come from here") for place in [place_of(seen.data, name)] if place)
    return Problem("absent-class", message, seen.spec.place("data", "split"), help_, related, severity="warning")


def _remedy(split: Split, name: str, *, is_rare: bool) -> str:
    if is_rare or split.stratify == name:
        return "so few rows cannot be in every split: gather more, or leave the class out of the data"
    way = next((way for way in ("groups", "order", "by", "val_rows", "test_rows") if getattr(split, way)), None)
    if way:
        return f"`split.{way}` chooses the rows: leave some of each class to train, or take `stratify: {name}` instead"
    return f"say `stratify: {name}` in `data.split`, which gives every split its share of each class"


def answers(seen: Seen) -> Iterator[Problem]:
    """Inputs that are a target under another name, or in other units."""
    for name, target in seen.dataset.targets.items():
        if target.ndim > 1:
            continue
        for column, values in columns(seen.dataset.inputs):
            said = _one_to_one(values, target) or _as_numbers(values.double(), target.double())
            if said:
                message = f"the input '{column}' tells the target '{name}' exactly: {said}"
                help_ = "leave it out, unless it is known before the target is"
                yield Problem("leak", message, place_of(seen.data, column), help_, severity="warning")


def _one_to_one(x: torch.Tensor, y: torch.Tensor) -> str | None:
    """Whether each of a few values stands beside one of the target's, and no other does."""
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
    """How two columns of three values or more are one but for scale and shift."""
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
    """Up to twice SEEN rows from all over the column."""
    return values[:: max(1, len(values) // SEEN)]


def rows_in_both(seen: Seen) -> Iterator[Problem]:
    """Rows held out whose inputs train has too: what is measured on them is what was learnt by heart."""
    held = seen.splits.held
    known = set(row_hashes(seen.splits.train)) if held else set()
    for part, rows in held.items():
        same = sum(code in known for code in row_hashes(rows))
        if same:
            share = f"{same:,} of the {rows.rows:,} rows of {part} ({same / rows.rows:.1%})"
            message = f"{share} {'have' if same > 1 else 'has'} the same inputs as a row of train"
            help_ = "leave repeated rows out of the data, or keep them together with `split.groups`"
            yield Problem("leak", message, seen.spec.place("data", "split"), help_, severity="warning")


def row_hashes(rows: Dataset) -> Iterator[int]:
    """A number for each row, the same where all inputs are; missing values are equal to one another."""
    for start in range(0, rows.rows, CHUNK):
        parts = [tensor[start : start + CHUNK].double() for tensor in rows.inputs.values()]
        block = torch.cat([part.reshape(len(part), -1) for part in parts], 1) + 0.0  # of -0.0 it makes 0.0
        block[block.isnan()] = torch.nan  # whichever of the many that it was
        whole = block.contiguous().numpy()
        yield from map(hash, whole.view(f"V{whole.shape[1] * whole.itemsize}").ravel().tolist())


def constant_columns(seen: Seen) -> Iterator[Problem]:
    """Inputs that have one value in every row, all in one warning."""
    if seen.dataset.rows < 2:
        return
    found = [name for name, values in columns(seen.dataset.inputs) if _is_constant(values)]
    if found:
        more = len(found) > 1
        message = f"{_some(found)} {'have' if more else 'has'} the same value in every row"
        place = place_of(seen.data, found[0].partition("[")[0])
        help_ = f"nothing can be learnt from {'them' if more else 'it'}: leave {'them' if more else 'it'} out"
        yield Problem("constant-column", message, place, help_, severity="warning")


def _is_constant(values: torch.Tensor) -> bool:
    """One value in all rows, or none in any."""
    lost = values.isnan()
    return bool(lost.all()) or (not bool(lost.any()) and bool((values == values[0]).all()))


def columns(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """The columns of one number a row by name, those of a matrix as `X[3]`; what has another shape is no column."""
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            yield name, tensor
        elif tensor.ndim == 2 and tensor.is_floating_point():
            yield from ((f"{name}[{number}]", column) for number, column in enumerate(tensor.unbind(1)))


def class_names(dataset: Dataset, target: str) -> tuple[str, ...]:
    """The classes of a target by number, as words; none where it holds numbers. 0 and 1 are classes too."""
    values = dataset.targets[target]
    if values.ndim > 1:
        return ()
    if target in dataset.categories:
        return dataset.categories[target]
    if values.is_floating_point():
        return ("0", "1") if bool(((values == 0) | (values == 1)).all()) else ()
    n_classes = int(values.max()) + 1
    return tuple(map(str, range(n_classes))) if n_classes <= max(dataset.rows, 2) else ()


def class_counts(labels: torch.Tensor, n_classes: int) -> torch.Tensor:
    """(rows,) labels -> (classes,) how many rows each has; a negative label is of no class."""
    return torch.bincount(labels[labels >= 0].long(), minlength=n_classes)


def place_of(data: Component, name: str) -> Place | None:
    """Where the data component's options name a column, else the component."""
    places = (found for node in data.given.values() for found in _named(node, name))
    return next(places, data.place)


def _named(node: Node, name: str) -> Iterator[Place]:
    match node:
        case ScalarNode(value=value) if value == name:
            yield node.place
        case ListNode(items=items):
            yield from (found for item in items for found in _named(item, name))
        case MappingNode(pairs=pairs):
            for key, below in pairs:
                yield from _named(key, name)
                yield from _named(below, name)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
