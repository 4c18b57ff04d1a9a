"""What must be known of the data before a plan stands: its fields, how many rows are held out, what transforms give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from annpipe.contract import Blocks, Dataset, Field, Fields
from annpipe.datasets.leaks import Seen, absent_of, answers, remarks, told_before_training
from annpipe.datasets.prepare import fitted_of, surveyed
from annpipe.datasets.request import Wanted
from annpipe.datasets.splits import held_out, split_dataset
from annpipe.datasets.tensors import make_data
from annpipe.datasets.transforms import fit_columns, known_categories
from annpipe.draft.data_only import DataDraft
from annpipe.draft.draft import supplied_aside
from annpipe.draft.inputs_outputs import input_faults, is_inputs, stack_columns
from annpipe.draft.losses import takes_classes
from annpipe.draft.transforms import column_faults
from annpipe.draft.types import Draft
from annpipe.errors import Problem, SpecError
from annpipe.registry.loading import function_of
from annpipe.spec.sections.models import Split


def observe_fields(drafted: Draft) -> Observed:
    """The fields of the draft's data: told, otherwise seen on the data it makes.

    With transforms the data is made, split and transformed as the run will do it, since what they give depends on the
    rows. With classes and a split it is made and split too, to warn of classes that train lacks. Raises SpecError,
    OptionError, SplitError, and whatever a data component raises.
    """
    spec = drafted.spec
    made: Dataset | Blocks | None = None
    fields = drafted.fields or told_fields(drafted)
    if fields is None:
        made = make_data(drafted.data, spec.head.seed, spec.split.columns)
        fields = made.fields if isinstance(made, Blocks) else _seen(made)
    faults = column_faults(drafted.transforms, fields, drafted.data)
    faults += input_faults(spec, fields)
    if faults:
        raise SpecError(faults)
    doubts = tuple(remarks(drafted.data, fields))
    split = spec.split
    must_split = bool(drafted.transforms) or split.needs_rows or bool(split.stratify) or bool(split.order)
    if not must_split and not _has_classes_to_split(fields, split):
        return Observed(fields, warnings=doubts)
    made = made or make_data(drafted.data, spec.head.seed, spec.split.columns)
    if isinstance(made, Blocks):
        return _of_blocks(drafted, made, fields, doubts)
    splits = split_dataset(made, split, spec.head.seed)
    warnings = (*doubts, *told_before_training(Seen(spec, drafted.data, made, splits)))
    held = tuple(part.rows if part else 0 for part in (splits.val, splits.test))
    if drafted.transforms:
        train = known_categories(splits, fields).train
        stacks = _stacks(drafted, fields)
        fitted = fit_columns(drafted.transforms, fields, train, spec.head.seed, stacks)
        fields = replace(fields, features=fitted.shape, stacks=fitted.stacks)
    return Observed(fields, (held[0], held[1]), warnings)


def _stacks(drafted: Draft, fields: Fields) -> tuple[tuple[str, ...], ...]:
    """The inputs of each stack of `model.inputs`."""
    layers = [layer for layer in drafted.model if is_inputs(layer)]
    return tuple(own for layer in layers for own in stack_columns(layer.options["columns"], fields))


def _of_blocks(drafted: Draft, blocks: Blocks, fields: Fields, doubts: tuple[Problem, ...]) -> Observed:
    """What passages tell; classes are counted in all rows, answers among the inputs are looked for in the sample."""
    spec = drafted.spec
    dtype = {"float32": torch.float32, "float64": torch.float64}[spec.device.precision]
    wanted = Wanted(
        blocks,
        fields,
        spec.split,
        spec.head.seed,
        drafted.transforms,
        dtype,
        classes=takes_classes(drafted.loss),
        stacks=_stacks(drafted, fields),
    )
    known = surveyed(wanted)
    fitted = fitted_of(wanted, known)
    held = (known.counts.get("val", 0), known.counts.get("test", 0))
    seen = Seen(spec, drafted.data, known.seen.samples.train, known.seen.samples)
    warnings = [
        problem
        for name, counts in known.seen.classes.items()
        for problem in absent_of(seen, name, fields.targets[name].categories, counts)
    ]
    if fitted:
        fields = replace(fields, features=fitted.shape, stacks=fitted.stacks)
    return Observed(fields, held, (*doubts, *warnings, *answers(seen)))


def _has_classes_to_split(fields: Fields, split: Split) -> bool:
    """Whether a class could be missing in train; a split that leaves no row at all is a fault told elsewhere."""
    has_classes = any(field.classes or field.dtype == "int" for field in fields.targets.values())
    held = sum(held_out(fields.rows, split)) if fields.rows is not None else 0
    return has_classes and 0 < held < (fields.rows or 0)


def told_fields(drafted: Draft | DataDraft) -> Fields | None:
    """What the component tells of its fields."""
    function = function_of(drafted.data.entry, "fields")
    if function is None:
        return None
    fields: Fields = function(**drafted.data.options, **supplied_aside(drafted.spec.split, drafted.data))
    return fields


def _seen(dataset: Dataset) -> Fields:
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


@dataclass(frozen=True)
class Observed:
    """What was seen of the data: its fields, how many rows are held out for val and test where known, and warnings."""

    fields: Fields
    held: tuple[int, int] | None = None
    warnings: tuple[Problem, ...] = ()
