"""Trains an estimator's plan in this process, without a run folder, and goes on with further rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from annpipe.backend.device import computing, find_device
from annpipe.backend.torch_globals import torch_defaults
from annpipe.contract import Dataset
from annpipe.datasets.steps.splits import Splits
from annpipe.datasets.steps.tensors import Rows, to_tensors
from annpipe.errors import NonFinite, RunError
from annpipe.export.model import write_model
from annpipe.observer import SILENT, Observer
from annpipe.plan.plan import Plan
from annpipe.runs.trainer import TrainerParts
from annpipe.sklearn.tables import WEIGHT
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.evaluate import higher_is_better
from annpipe.train.loop.loop import Loop, LoopObserver
from annpipe.train.losses import with_weights
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import schedule
from annpipe.train.tally import step_losses
from annpipe.train.weighted import weighted_parts

EXAMPLE_ROWS = 3  # that a saved model shows


class FitReports(LoopObserver):
    """What the loop of a fit reports: series by key, {epoch: value}; the artifacts of callbacks are left out."""

    def __init__(self) -> None:
        self.series: dict[str, dict[int, float]] = {}

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        self.series.setdefault("train/loss", {}).update(enumerate(values, start=first_epoch))

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self.series.setdefault(key, {})[epoch] = value

    @property
    def history(self) -> Mapping[str, tuple[list[int], list[float]]]:
        return {key: (list(points), list(points.values())) for key, points in self.series.items()}


class FitTrainer:
    """Prepares the training of a fit: eager steps on one thread, with the weights of rows where they have some."""

    gear_name: ClassVar[str] = "eager"

    def prepare(
        self, plan: Plan, device: torch.device, dtype: torch.dtype, observer: Observer, on_shift: Any = None
    ) -> TrainerParts:
        """Parts and gear of the plan; the parts have the loss without weights, which val is measured by."""
        parts = build(plan, device, dtype, observer)
        steps = schedule(plan, len(parts.rows["train"]))
        torch.set_num_threads(1)
        return TrainerParts(parts, steps, Eager(plan, _weighted(parts), steps), 1)


def _weighted(parts: Parts) -> Parts:
    weights = parts.splits.train.aside.get(WEIGHT)
    return parts if weights is None else weighted_parts(parts, weights)


class Training:
    """A model under training: `fit` trains it as its plan says, `take` takes the steps of one epoch over some rows."""

    def __init__(self, plan: Plan, state: dict[str, Any] | None = None) -> None:
        """`state` is that of a training of the same plan, which goes on."""
        self.reports = FitReports()
        self.plan_yaml = plan.to_yaml()
        self.state = state
        self._plan = plan
        with self._computing() as dtype:
            self._made = FitTrainer().prepare(plan, find_device(plan.device.type, None), dtype, SILENT)
        self._plan = replace(plan, loss=with_weights(plan, self._parts.rows["train"].y))  # `balanced` counts once

    @property
    def _parts(self) -> Parts:
        return self._made.parts

    @property
    def n_epochs(self) -> int:
        """Whole epochs that were trained."""
        return len(self.reports.series.get("train/loss", ()))

    def fit(self) -> None:
        """Trains to the end; raises NonFinite, RunError and whatever a plugin raises."""
        made, plan = self._made, self._plan
        with self._computing(), tempfile.TemporaryDirectory(prefix="annpipe-") as folder:
            known = higher_is_better(plan, made.parts)
            loop = Loop(
                *(plan, made.parts, made.gear, made.schedule, self.reports, Path(folder), {}),
                higher_is_better=known,
                keeps_start=False,
            )
            loop.run()
            self.state = made.gear.state()
            made.gear.close()

    def take(self, dataset: Dataset | None = None) -> None:
        """An epoch over the rows of a dataset, or over those that it began with; raises RunError, NonFinite."""
        if self._plan.scheduler is not None or self._plan.average is not None:
            what = "scheduler" if self._plan.scheduler is not None else "average"
            raise RunError(f"`partial_fit` has no end that the {what} could go by: leave it out, or use `fit`")
        with self._computing() as dtype:
            if dataset is not None:
                self._parts_of(dataset, dtype)
            parts = _weighted(self._parts)
            steps = schedule(self._plan, len(parts.rows["train"]))
            gear = Eager(self._plan, parts, steps)
            if self.state is not None:
                gear.load_state(self.state | {"step": 0})
            figures = gear.advance(steps.steps_per_epoch)
            if gear.guard.broken is not None:
                raise NonFinite(gear.step, gear.guard.broken, None)
            losses = step_losses(figures, len(gear.terms or ()))
            self.reports.losses(self.n_epochs + 1, [float(losses.mean())])
            self.state = gear.state()
            gear.close()

    def _parts_of(self, dataset: Dataset, dtype: torch.dtype) -> None:
        """Puts other rows into the parts, transformed as those that it began with."""
        request, parts = self._plan.request, self._parts
        device = find_device(self._plan.device.type, None)
        rows = to_tensors(
            dataset, device, dtype, classes=request.takes_classes, columns=parts.transformed, labels=request.labels
        )
        self._made = replace(self._made, parts=replace(parts, rows={"train": rows}, splits=Splits(dataset, None, None)))

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """The words of each column by their positions."""
        return self._parts.splits.train.categories

    def saved(self) -> dict[str, bytes]:
        """The files of the model's folder, by name."""
        with self._computing(), tempfile.TemporaryDirectory(prefix="annpipe-") as folder:
            write_model(self._plan, self._parts, Path(folder))
            return files_of(Path(folder))

    def forget_rows(self) -> None:
        """Keeps none of the rows but the few that a saved model shows."""
        parts = self._parts
        train = parts.rows["train"]
        assert isinstance(train, Rows)
        few = {"train": Rows(train.x[:EXAMPLE_ROWS].clone(), train.y[:EXAMPLE_ROWS].clone())}
        shown = _first(parts.splits.train)
        light = replace(parts, dataset=shown, splits=Splits(shown, None, None), rows=few)
        self._made = replace(self._made, parts=light)

    def _computing(self) -> AbstractContextManager[torch.dtype]:
        return _computing(self._plan)


def files_of(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by their paths in it."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@contextmanager
def _computing(plan: Plan) -> Iterator[torch.dtype]:
    """Inside, torch computes as the plan says, on one thread; what the caller has set is back afterwards."""
    with torch_defaults(threads=1), computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
        yield dtype


def _first(dataset: Dataset) -> Dataset:
    def take(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor[:EXAMPLE_ROWS].clone() for name, tensor in tensors.items()}

    return replace(dataset, inputs=take(dataset.inputs), targets=take(dataset.targets), truth={}, aside={})
