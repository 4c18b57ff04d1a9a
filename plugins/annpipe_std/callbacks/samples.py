"""The callback `sample_predictions`: writes a few rows with their predictions, every so many epochs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pydantic
import torch

from annpipe import Dataset, Look, OptionError, Outline, RunView, callback
from annpipe_std.callbacks.interval import Interval

Column = list[str]


def check_samples(outline: Outline) -> None:
    """Refuses a split that is not there, and targets of which a table cannot hold any."""
    if outline.options["split"] == "val" and not outline.has_val:
        raise OptionError("split", "there is no val split", help="hold rows out: `split: {val: 0.2}` beside the data")
    if all(field.shape for field in outline.fields.targets.values()):
        raise OptionError(
            "", "a table holds only single numbers and classes, and no target is one of these", help="leave it out"
        )


@callback(name="sample_predictions", check=check_samples)
class SamplePredictions:
    """Writes a table of a few rows, their inputs, the truth and the prediction, every so many epochs.

    The tables are `looks/samples/epoch_<n>.csv` among the run's artifacts. The rows are always the same, from the first
    to the last of the split at equal distances; inputs of more than single numbers are left out.
    """

    def __init__(
        self,
        every: Annotated[int, pydantic.Field(gt=0, description="Write each time so many epochs have passed.")],
        rows: Annotated[int, pydantic.Field(gt=0, le=10_000, description="How many rows.")] = 10,
        split: Annotated[
            Literal["train", "val"] | None, pydantic.Field(description="Of which split; val where there is one.")
        ] = None,
    ) -> None:
        self.rows, self.split = rows, split
        self._every = Interval(every)

    def on_look(self, look: Look) -> None:
        """Writes where it is time."""
        if self._every.is_due(look.epoch):
            look.artifact(f"samples/epoch_{look.epoch}.csv", sample_table(look.view(), self.rows, self.split))

    def state_dict(self) -> dict[str, int]:
        return {"last": self._every.last}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._every.last = state["last"]


def sample_table(view: RunView, rows: int, split: str | None) -> str:
    """CSV of up to so many rows: `row` (from 0), the inputs, and of each target the truth and `…_predicted`; of classes
    also `…_probability`, that of the predicted one.
    """
    dataset = _split(view, split)
    chosen = np.linspace(0, dataset.rows - 1, min(rows, dataset.rows)).round().astype(int)
    inputs = {name: values[chosen] for name, values in dataset.inputs.items()}
    columns: dict[str, Column] = {"row": [str(row) for row in chosen]}
    columns |= {name: _numbers(values) for name, values in inputs.items() if values.ndim == 1}
    outputs = view.predict(inputs)
    for target, values in dataset.targets.items():
        names = dataset.categories.get(target, ())
        columns |= _of_target(target, values[chosen], outputs[target], names, view)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def _split(view: RunView, name: str | None) -> Dataset:
    return view.val if view.val is not None and name != "train" else view.train


def _of_target(
    target: str, true: torch.Tensor, output: torch.Tensor, names: Sequence[str], view: RunView
) -> dict[str, Column]:
    """The columns of one target; none where it is more than a number or a class."""
    from annpipe_std.plots.classes import class_probabilities

    if true.ndim != 1 or output.ndim > 2:
        return {}
    has_scores = output.ndim == 2 and output.shape[1] > 1
    is_raw = target in view.raw_scores
    if not has_scores and not is_raw and not view.loss_of(target).startswith("BCE"):
        return {target: _numbers(true), f"{target}_predicted": _numbers(output.flatten())}
    probability = class_probabilities(output, logits=is_raw)
    called = probability.argmax(1)
    return {
        target: _named(true.long(), names),
        f"{target}_predicted": _named(called, names),
        f"{target}_probability": _numbers(probability.gather(1, called[:, None])[:, 0]),
    }


def _numbers(values: torch.Tensor) -> Column:
    return [f"{value:.6g}" for value in values.tolist()]


def _named(labels: torch.Tensor, names: Sequence[str]) -> Column:
    """The names of classes as far as they are known; a label without one, and a negative one, as it is."""
    return [names[label] if 0 <= label < len(names) else str(label) for label in labels.tolist()]
