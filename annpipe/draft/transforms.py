"""Matches each entry of `data.transforms` to its columns, and checks that the steps fit them, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from annpipe.contract import Field, Fields
from annpipe.draft.component import Component
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.traits import TransformTraits

TYPES = ("number", "category", "boolean", "date", "text")
PLURALS = {
    "number": "numbers",
    "category": "categories",
    "boolean": "booleans",
    "image": "images",
    "tokens": "tokens",
    "date": "dates",
    "text": "counts of a text",
}


INVERTIBLE = "`standardize`, `min_max`, `robust` and `log` have an inverse"


@dataclass(frozen=True)
class Transforming:
    """What a spec says of columns: a name, a pattern or a type, and the steps that these go through in their order."""

    columns: str
    steps: tuple[Component, ...]
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Groups:
    """The inputs that go through each part of `data.transforms`, those that none takes, and the parts for targets."""

    inputs: tuple[tuple[Transforming, tuple[str, ...]], ...]
    rest: tuple[str, ...]
    targets: Mapping[str, Transforming]


def grouped(transforms: Sequence[Transforming], fields: Fields) -> Groups:
    """Each input in the first part that fits it: by name, by type, or by pattern. Targets are taken by name alone."""
    inputs, targets = [], {}
    rest = list(fields.inputs)
    for part in transforms:
        if part.columns in fields.targets:
            targets[part.columns] = part
            continue
        taken = tuple(name for name in fitting(part.columns, fields) if name in rest)
        rest = [name for name in rest if name not in taken]
        inputs.append((part, taken))
    return Groups(tuple(inputs), tuple(rest), targets)


def fitting(columns: str, fields: Fields) -> list[str]:
    """The inputs that a name, a type or a pattern means."""
    if columns in fields.inputs:
        return [columns]
    if columns in TYPES:
        return [name for name, field in fields.inputs.items() if type_of(field) == columns]
    return [name for name in fields.inputs if fnmatchcase(name, columns)]


def type_of(field: Field) -> str:
    """What an input is to a transform: of which type a column is, tokens, or an image where it has a shape."""
    if field.type == "text":
        return "text"
    if field.shape:
        return "image"
    return "tokens" if field.dtype == "int" else field.type


def column_faults(transforms: Sequence[Transforming], fields: Fields, data: Component) -> list[Problem]:
    """Parts that take no column, steps that do not fit theirs, and columns that no layer can take as they are."""
    groups = grouped(transforms, fields)
    problems = [p for part, taken in groups.inputs for p in _part_faults(part, taken, fields)]
    for name, part in groups.targets.items():
        problems += _target_faults(name, part, fields.targets[name])
    if problems:
        return problems
    return [problem for name in groups.rest for problem in _raw_faults(name, fields, data, bool(transforms))]


def _part_faults(part: Transforming, taken: Sequence[str], fields: Fields) -> Iterator[Problem]:
    if not taken:
        fit = fitting(part.columns, fields)
        message, help_ = f"no column fits '{part.columns}'", _names(part.columns, fields)
        if fit:
            message = f"every column that '{part.columns}' fits is taken by what stands before it"
            help_ = "put it further up: a column goes to the first that fits"
        yield Problem("unknown-column", message, part.place, help_)
        return
    for name in taken:
        fault = _chain_fault(name, type_of(fields.inputs[name]), part)
        if fault:
            yield fault
            return
        if fields.inputs[name].missing and not any(step.traits(TransformTraits).fills for step in part.steps):
            yield _missing(name, fields, part.place)
            return


def _names(columns: str, fields: Fields) -> str:
    known = [*fields.inputs, *fields.targets]
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    if columns in TYPES:
        return f"none of {shown} is a {columns}"
    return did_you_mean(columns, [*known, *TYPES]) or f"the columns are {shown}"


def _chain_fault(name: str, type_: str, part: Transforming) -> Problem | None:
    """The first step that cannot take what arrives at it, or a category or a date at the end."""
    arrives = type_
    for step in part.steps:
        takes = step.traits(TransformTraits).takes
        if takes not in ("any", arrives) and not (takes == "number" and arrives == "boolean"):
            are = PLURALS[arrives]
            message = f"{step.name} is for {PLURALS.get(takes, takes)}, and '{name}' has {are}"
            return Problem("column-type", message, step.place, _remedy(arrives), _note(part))
        if takes == "any" and arrives in ("image", "tokens", "text"):
            message = f"{step.name} is for columns, and '{name}' has {PLURALS[arrives]}"
            return Problem("column-type", message, step.place, _remedy(arrives), _note(part))
        if step.traits(TransformTraits).gives != "same" and arrives != "image":
            arrives = "number"
    if arrives == "category":
        message = f"'{name}' has categories after these steps, and layers take numbers"
        return Problem("column-type", message, part.steps[-1].place, "end with one_hot or embedding", _note(part))
    if arrives == "date":
        message = f"'{name}' has dates after these steps, and layers take numbers"
        return Problem("column-type", message, part.steps[-1].place, _remedy("date"), _note(part))
    return None


def _remedy(arrives: str) -> str:
    return {
        "date": "dates take date_parts or days_since",
        "text": "leave the column to the model as it is",
        "category": "categories take one_hot, embedding or impute",
        "image": "images take normalize, random_flip, random_shift and random_crop",
        "tokens": "leave them to an Embedding layer",
    }.get(arrives, "`annpipe list transform` shows what there is")


def _note(part: Transforming) -> tuple[tuple[Place, str], ...]:
    return ((part.place, "for these columns"),) if part.place else ()


def _target_faults(name: str, part: Transforming, field: Field) -> Iterator[Problem]:
    if field.classes or field.type != "number":
        message = f"the target '{name}' has classes: their numbers stay as they are"
        yield Problem("column-type", message, part.place, "leave it out")
        return
    for step in part.steps:
        takes = step.traits(TransformTraits).takes
        if takes not in ("any", "number"):
            message = f"{step.name} is for {PLURALS.get(takes, takes)}, and '{name}' is a target of numbers"
            yield Problem("column-type", message, step.place, INVERTIBLE)
            return


def _raw_faults(name: str, fields: Fields, data: Component, has_transforms: bool) -> Iterator[Problem]:
    """A column that goes to the first layer as it is."""
    field = fields.inputs[name]
    help_ = "say beside the data component " if not has_transforms else "add to `transforms` "
    if type_of(field) == "category":
        message = f"the column '{name}' has categories ({_some(field.categories)}), and layers take numbers"
        example = f"`{name}: one_hot`" if has_transforms else f"`transforms: {{{name}: one_hot}}`"
        yield Problem("column-type", message, data.place, f"{help_}{example}, or leave the column out")
    elif type_of(field) == "date":
        message = f"the column '{name}' has dates, and layers take numbers"
        example = f"`{name}: date_parts`" if has_transforms else f"`transforms: {{{name}: date_parts}}`"
        yield Problem("column-type", message, data.place, f"{help_}{example}, or leave the column out")
    elif field.missing:
        yield _missing(name, fields, data.place, help_)


def _missing(name: str, fields: Fields, place: Place | None, help_: str = "begin with ") -> Problem:
    of = f" of {fields.rows}" if fields.rows else ""
    message = f"the column '{name}' is missing in {fields.inputs[name].missing}{of} rows"
    filled = f"`{name}: impute`" if "add" in help_ else f"`transforms: {{{name}: impute}}`"
    remedy = f"{help_}`impute`" if help_ == "begin with " else f"{help_}{filled}"
    return Problem("missing-values", message, place, f"{remedy}, or drop the rows: `drop_missing: [{name}]`")


def _some(categories: Sequence[str]) -> str:
    return ", ".join(categories[:3]) + (", …" if len(categories) > 3 else "")
