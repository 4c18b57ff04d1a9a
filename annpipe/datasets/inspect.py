"""Loads the data of a spec to be inspected before training: made and split as a run does, but not transformed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from annpipe.backend.torch_globals import torch_defaults
from annpipe.contract import ChunkedDataset, Dataset, Fields
from annpipe.datasets.fields import declared_fields
from annpipe.datasets.steps.make import make_data
from annpipe.datasets.steps.splits import Splits, split_dataset
from annpipe.draft.component import Component
from annpipe.draft.data_only import DataDraft
from annpipe.draft.option_faults import faults_of_data
from annpipe.errors import Problem, SpecError
from annpipe.files.limits import held_to
from annpipe.spec.sections.spec import Spec


@dataclass(frozen=True)
class SplitData:
    """The dataset of a spec, its splits, and the spec with its data component, for the places of warnings."""

    spec: Spec
    data: Component
    dataset: Dataset
    splits: Splits
    fields: Fields | None = None

    @property
    def single_inputs(self) -> dict[str, torch.Tensor]:
        """The inputs but for counted texts, whose columns mean nothing one by one."""
        fields = self.fields.inputs if self.fields else {}
        inputs = self.dataset.inputs.items()
        return {name: tensor for name, tensor in inputs if name not in fields or fields[name].type != "text"}


def load_for_inspection(drafted: DataDraft) -> SplitData:
    """The rows of a spec, made and split as a run would; raises SpecError, also for data that are not in memory."""
    spec = drafted.spec
    with torch_defaults(), faults_of_data(spec, drafted.data), held_to(drafted.stance):
        dataset = make_data(drafted.data, spec.head.seed, spec.split.columns)
        if isinstance(dataset, ChunkedDataset):
            message = f"the {dataset.rows} rows are not in memory, as it needs them to be described"
            help_ = "read them into memory where they fit, or name some of the files: `--set` changes an option"
            raise SpecError([Problem("data", message, drafted.data.place, help_)])
        splits = split_dataset(dataset, spec.split, spec.head.seed)
        return SplitData(spec, drafted.data, dataset, splits, declared_fields(drafted))
