"""The fields of a run's data: declared by the data component, or read off the dataset that it makes.

What a plugin declares is held against what it makes: by the plan up to MOST_ROWS rows, else when the run begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from annpipe.backend.protocols import in_words, is_tested
from annpipe.contract import ChunkedDataset, Dataset, Field, Fields
from annpipe.draft.component import Component
from annpipe.draft.data_only import DataDraft
from annpipe.draft.draft import supplied_aside
from annpipe.draft.sections import Draft
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import nearest
from annpipe.registry.discovery import function_of
from annpipe.registry.place import name_place
from annpipe.registry.signature import definition
from annpipe.registry.traits import DataTraits

MOST_ROWS = 100_000  # declared, up to which the plan makes data only to hold them against their declaration


def declared_fields(drafted: Draft | DataDraft) -> Fields | None:
    """The fields that the data component declares before it makes the data; None where it does not."""
    declare = function_of(drafted.data.entry, "fields")
    if declare is None:
        return None
    fields: Fields = declare(**drafted.data.options, **supplied_aside(drafted.spec.split, drafted.data))
    return fields


def fields_of(dataset: Dataset) -> Fields:
    """The fields of a dataset that was made."""
    inputs, targets = (
        {name: _field(name, tensor, dataset) for name, tensor in tensors.items()}
        for tensors in (dataset.inputs, dataset.targets)
    )
    return Fields(inputs, targets, dataset.rows)


def _field(name: str, tensor: torch.Tensor, dataset: Dataset) -> Field:
    categories = dataset.categories.get(name, ())
    shape, is_float = tuple(tensor.shape[1:]), tensor.is_floating_point()
    missing = int(tensor.isnan().sum()) if is_float else 0
    if name in dataset.targets and not is_float and categories:
        return Field(shape, "int", len(categories), "category", categories)
    return Field(
        shape, "float" if is_float else "int", None, "category" if categories else "number", categories, missing
    )


def is_to_be_made(data: Component, declared: Fields) -> bool:
    """Whether the plan makes the data of a plugin to see whether they are as declared."""
    if not data.traits(DataTraits).fields:
        return False
    return not is_tested(data.entry) and not declared.in_blocks and (declared.rows or 0) <= MOST_ROWS


def declaration_faults(data: Component, declared: Fields, made: Dataset | ChunkedDataset) -> list[Problem]:
    """Where the data of a plugin are not as its `fields` declares them: names, shapes, dtypes, classes, rows."""
    declare = None if is_tested(data.entry) else function_of(data.entry, "fields")
    if declare is None:
        return []
    fields = made.fields if isinstance(made, ChunkedDataset) else fields_of(made)
    place = name_place(*definition(declare)) or data.place
    used: tuple[tuple[Place, str], ...] = ((data.place, "used here"),) if data.place and place != data.place else ()
    faults = [
        *_of_columns("input", declared.inputs, fields.inputs),
        *_of_columns("target", declared.targets, fields.targets),
    ]
    if not faults:
        for name, field in {**declared.inputs, **declared.targets}.items():
            faults += _of_field(name, field, {**fields.inputs, **fields.targets}[name], made)
        if declared.rows not in (None, fields.rows):
            faults.append(
                (
                    f"declares {declared.rows} rows, and {fields.rows} are made",
                    "declare the number that is made, or None",
                )
            )
    of = f"`{'fields' if declare.__name__ == '<lambda>' else declare.__name__}` of {in_words(data)}"
    return [Problem("plugin-fields", f"{of} {message}", place, help_, used) for message, help_ in faults]


Fault = tuple[str, str]


def _of_columns(role: str, declared: Mapping[str, Field], made: Mapping[str, Field]) -> Iterator[Fault]:
    """Names that are declared and not made, or made and not declared, or in another order."""
    absent, more = [n for n in declared if n not in made], [n for n in made if n not in declared]
    for name in absent:
        near = nearest(name, more, 1) or more[:1]
        help_ = f'write `"{near[0]}"`' if near else "take it out"
        yield f"declares the {role} '{name}', and the {role}s that are made are {', '.join(made)}", help_
    if not absent:
        for name in more:
            yield f"does not declare the {role} '{name}', which is made", f'add `"{name}": Field()` to its {role}s'
        if not more and list(declared) != list(made):
            yield (
                f"declares the {role}s as {', '.join(declared)}, and they are made as {', '.join(made)}",
                "write them in one order",
            )


def _of_field(name: str, declared: Field, made: Field, data: Dataset | ChunkedDataset) -> Iterator[Fault]:
    """What is declared of a column and is not so."""
    for what in ("shape", "dtype"):
        says, has = getattr(declared, what), getattr(made, what)
        if says != has:
            yield (
                f"declares '{name}' with the {what} {says}, and it is made with {has}",
                f"write `Field({what}={has!r})`",
            )
    if declared.categories and declared.categories != made.categories:
        yield (
            f"declares other categories of '{name}' than are made",
            "give `Dataset(categories=…)` the same names in the same order",
        )
    if declared.classes is not None and isinstance(data, Dataset) and name in data.targets:
        labels = data.targets[name]
        least, largest = int(labels.min()), int(labels.max())
        if least < 0 or largest >= declared.classes:
            wrong = largest if largest >= declared.classes else least
            message = f"declares {declared.classes} classes of '{name}', and the label {wrong} is made"
            yield message, f"labels count from 0: write `classes={largest + 1}`, or change the labels"
