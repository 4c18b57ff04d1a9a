"""Draft → Observed: the fields of the data, how many rows are held out, what transforms return, and warnings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from annpipe.contract import ChunkedDataset, Dataset, Fields
from annpipe.datasets.chunked import fitted_from, pass_results
from annpipe.datasets.fields import declaration_faults, declared_fields, fields_of, is_to_be_made
from annpipe.datasets.inspect import SplitData
from annpipe.datasets.leaks import absent_of, answers, remarks, warnings_before_training
from annpipe.datasets.request import DataRequest, PassCache, data_request, fit_transforms
from annpipe.datasets.steps.categories import known_categories
from annpipe.datasets.steps.make import make_data
from annpipe.datasets.steps.splits import held_out, split_dataset
from annpipe.datasets.steps.transforms import Fitted
from annpipe.draft.inputs_outputs import input_faults
from annpipe.draft.sections import Draft
from annpipe.draft.transforms import column_faults
from annpipe.errors import Problem, SpecError
from annpipe.spec.sections.models import Split

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Observed:
    """What is known of the data before training: the request for its rows, its fields, and warnings.

    `held` is the number of rows held out for val and test, where it is known. `fields` are those of the request, with
    the shapes of rows after the transforms.
    """

    request: DataRequest
    fields: Fields
    held: tuple[int, int] | None = None
    warnings: tuple[Problem, ...] = ()


def observe_fields(drafted: Draft, passes: PassCache | None = None) -> Observed:
    """The fields that the draft's data component declares, otherwise those of the data that it makes.

    With transforms the data is made, split and transformed as the run will do it, since the width of their output
    depends on the rows. With classes and a split it is made and split too, to warn of classes that train lacks. What
    is read of chunked data is kept in `passes`. Raises SpecError, OptionError, SplitError, and whatever a data
    component raises.
    """
    made: Dataset | ChunkedDataset | None = None
    fields = drafted.fields or declared_fields(drafted)
    if fields is None:
        made = _make(drafted)
        fields = made.fields if isinstance(made, ChunkedDataset) else fields_of(made)
    faults = column_faults(drafted.transforms, fields, drafted.data)
    faults += input_faults(drafted.spec, fields)
    if faults:
        raise SpecError(faults)
    observed = Observed(data_request(drafted, fields, passes), fields, warnings=tuple(remarks(drafted.data, fields)))
    if not _must_split(drafted, fields):
        return observed
    made = made or _make_declared(drafted, observed)
    if isinstance(made, ChunkedDataset):
        return _with_chunked_rows(observed, drafted, made)
    return _with_rows(observed, drafted, made)


def _make(drafted: Draft) -> Dataset | ChunkedDataset:
    spec = drafted.spec
    return make_data(drafted.data, spec.head.seed, spec.split.columns)


def check_declared(drafted: Draft, observed: Observed) -> None:
    """Makes the data of a plugin that declares their fields, unless they are many, to see whether they are so.

    Of the plans of a sweep the first with some options does it. Raises SpecError, and whatever the component raises.
    """
    if is_to_be_made(drafted.data, observed.fields) and _key(drafted) not in observed.request.passes.declared:
        _make_declared(drafted, observed)


def _make_declared(drafted: Draft, observed: Observed) -> Dataset | ChunkedDataset:
    """The data; raises SpecError where they are not as a plugin declares them."""
    made = _make(drafted)
    if faults := declaration_faults(drafted.data, observed.fields, made):
        raise SpecError(faults)
    observed.request.passes.declared.add(_key(drafted))
    return made


def _key(drafted: Draft) -> str:
    return repr(drafted.data.to_data())


def _must_split(drafted: Draft, fields: Fields) -> bool:
    split = drafted.spec.split
    needs_rows = bool(drafted.transforms) or split.needs_rows or bool(split.stratify) or bool(split.order)
    return needs_rows or _has_classes_to_split(fields, split)


def _has_classes_to_split(fields: Fields, split: Split) -> bool:
    """Whether a class could be missing in train; a split that leaves no row at all is reported elsewhere."""
    has_classes = any(field.classes or field.dtype == "int" for field in fields.targets.values())
    held = sum(held_out(fields.rows, split)) if fields.rows is not None else 0
    return has_classes and 0 < held < (fields.rows or 0)


def _with_rows(observed: Observed, drafted: Draft, dataset: Dataset) -> Observed:
    """Adds what the rows in memory show."""
    request = observed.request
    splits = split_dataset(dataset, request.split, request.seed)
    warnings = tuple(warnings_before_training(SplitData(drafted.spec, drafted.data, dataset, splits, observed.fields)))
    held = (splits.val.rows if splits.val else 0, splits.test.rows if splits.test else 0)
    fitted = fit_transforms(request, known_categories(splits, request.fields).train) if request.transforms else None
    return _transformed(replace(observed, held=held, warnings=(*observed.warnings, *warnings)), fitted)


def _with_chunked_rows(observed: Observed, drafted: Draft, data: ChunkedDataset) -> Observed:
    """Adds what the passes find: classes are counted in all rows, copies of a target are looked for in the sample."""
    request, fields = observed.request, observed.fields
    results = pass_results(request, data, PRECISIONS[drafted.spec.device.precision])
    held = (results.counts.get("val", 0), results.counts.get("test", 0))
    samples = results.summary.samples
    split_data = SplitData(drafted.spec, drafted.data, samples.train, samples, fields)
    absent = [
        problem
        for name, counts in results.summary.classes.items()
        for problem in absent_of(split_data, name, fields.targets[name].categories, counts)
    ]
    warnings = (*observed.warnings, *absent, *answers(split_data))
    return _transformed(replace(observed, held=held, warnings=warnings), fitted_from(request, results))


def _transformed(observed: Observed, fitted: Fitted | None) -> Observed:
    """With the shapes of rows after the transforms."""
    if fitted is None:
        return observed
    return replace(observed, fields=replace(observed.fields, features=fitted.shape, stacks=fitted.stacks))
