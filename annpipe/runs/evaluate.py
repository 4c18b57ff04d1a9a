"""Measures a finished run's model on the labelled rows of a file, and adds the result to the run's record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from annpipe.backend.device import computing
from annpipe.backend.instantiate import instantiate
from annpipe.backend.torch_globals import torch_defaults
from annpipe.contract import Dataset, RunView
from annpipe.datasets.steps.tensors import Transformed, to_tensors
from annpipe.draft.component import Component
from annpipe.draft.losses import ignored_label
from annpipe.draft.metrics_only import Measures, draft_measures
from annpipe.errors import DataError
from annpipe.observer import Observer
from annpipe.plan.output_roles import point_of, points, roles
from annpipe.portable.description import ModelTarget
from annpipe.record.journal.events import ArtifactKept, DatasetUsed
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.project import find_project, spec_file
from annpipe.record.journal.seal import PLAN, check_own, seal_store
from annpipe.record.shipper.recorder import Recorder, ShipState
from annpipe.record.store.keys import plain_part
from annpipe.registry.registry import Registry
from annpipe.registry.renames import Earlier, earlier_names
from annpipe.registry.traits import PlotTraits
from annpipe.runs.provenance import dataset_facts
from annpipe.saved.cells import STDIN, shown
from annpipe.saved.in_memory import CALLED, Table, labelled_table
from annpipe.saved.labelled import labelled
from annpipe.saved.model import SavedModel
from annpipe.spec import load_spec
from annpipe.spec.sections.spec import Spec
from annpipe.train.loop.evaluate import LossInPieces, measured
from annpipe.train.loop.figures import OutputPart, draw, predicting

FOLDER = "evaluated"
IN_MEMORY = "table"  # what the record calls rows that are from no file


@dataclass(frozen=True)
class Evaluated:
    """What was found: the loss and the metrics by key, the figures, and the state of the record."""

    name: str
    rows: int
    values: dict[str, float]
    figures: list[Path]
    record: ShipState
    wait_seconds: float


@torch_defaults()
def evaluate_run(
    run: Path,
    source: str | Table,
    name: str | None,
    observer: Observer,
    tracking_uri: str | None = None,
    *,
    trust: bool = False,
) -> Evaluated:
    """Measures the model of the run's folder on the labelled rows of `source`, draws its figures of them, and records
    both as `evaluated/<name>/…`; `source` is a file, or a table in memory. `name` is the file's own if left out.

    The run's own data need not be at hand. Raises NotFound, DataError, SpecError, and RunError while the run is held;
    NotTrusted where the run is not known as the user's own, unless `trust` says that it is.
    """
    recorder = Recorder.start_shipper()  # imports MLflow meanwhile
    try:
        model = SavedModel(run, trust=trust)
        check_own(run, PLAN, trusted=trust)
        if tracking_uri:
            seal_store(run, tracking_uri)
        with earlier_names(Earlier.READ):
            spec = spec_of_model(run, model)
            measures = draft_measures(spec, Registry.installed(), project=find_project())
        dataset, origin = _rows_of(model, source, measures, observer)
        called = _called(name or ("stdin" if origin == STDIN else Path(origin).name.partition(".")[0]))
        with computing(spec.device.precision, deterministic=spec.device.deterministic) as dtype:
            values, view = _measured(model, measures, spec, dataset, dtype, called)
        figures = _drawn(measures, view, run / "artifacts" / FOLDER / called, observer)
        facts = dataset_facts(dataset, called, {"file": origin}, context="evaluate")
        _write_down(run, called, values, facts, figures)
    except BaseException:
        recorder.release()
        raise
    recorder.attach(run, tracking_uri)
    record = recorder.finish(spec.tracking.wait_seconds)
    return Evaluated(called, dataset.rows, values, figures, record, spec.tracking.wait_seconds)


def _rows_of(model: SavedModel, source: str | Table, measures: Measures, observer: Observer) -> tuple[Dataset, str]:
    """The rows that the model has answers for, and what to call where they are from."""
    if isinstance(source, str):
        return without_lost_rows(
            model, labelled(model, source, ignored_labels(measures)), shown(source), observer
        ), source
    return without_lost_rows(
        model, labelled_table(model, source, ignored_labels(measures)), CALLED, observer
    ), IN_MEMORY


def _drawn(measures: Measures, view: RunView, folder: Path, observer: Observer) -> list[Path]:
    """The files of the plots that could be drawn; the observer hears of the others."""
    figures = []
    for path, fault in draw(_of_rows(measures), view, folder):
        if fault:
            observer.event(f"the plot '{path.stem}' could not be drawn: {fault}")
        else:
            figures.append(path)
    return figures


def _write_down(
    run: Path, called: str, values: Mapping[str, float], facts: Mapping[str, str], figures: Sequence[Path]
) -> None:
    """Adds the result to the run's journal; measured again, each value has a point more."""
    journal = Journal.reopen(run)
    before = journal.last_step(f"{FOLDER}/{called}/loss")
    step = 0 if before is None else before + 1
    journal.write(DatasetUsed(dataset=facts))
    named = {f"{FOLDER}/{called}/{key}": value for key, value in values.items()}
    journal.metrics(step, named, now_ms(), {"name": facts["name"], "digest": facts["digest"]})
    for path in figures:
        journal.write(ArtifactKept(file=path.relative_to(run).as_posix(), to=f"{FOLDER}/{called}"))
    journal.close()


def spec_of_model(run: Path, model: SavedModel) -> Spec:
    """The run's plan as a spec, with the loss that it was trained with: its weights may have come from the data."""
    losses = [f"{path}={json.dumps(loss)}" for path, loss in model.description.loss.items()]
    return load_spec(run / "plan.yaml", losses, base=spec_file(run).resolve().parent)


def _called(name: str) -> str:
    """A name that can stand in a metric's key and a path."""
    return plain_part(name.strip("._ ")) if name.strip("._ ") else "data"


def _measured(
    model: SavedModel, measures: Measures, spec: Spec, dataset: Dataset, dtype: torch.dtype, called: str
) -> tuple[dict[str, float], RunView]:
    network, once = network_of(model)
    rows = to_tensors(
        dataset,
        torch.device("cpu"),
        dtype,
        classes=not measures.heads and model.targets[0].labels,
        columns=once,
        labels=[name for name in measures.heads if _target(model, name).labels],
    )
    loss = trained_loss(model, measures)
    names = [target.name for target in model.targets]
    known = roles(measures.loss, measures.heads, names)
    predictions = points(known, has_heads=bool(measures.heads))
    values = measured(network, LossInPieces(loss, rows), measures.metrics, rows, once.targets, predictions)
    parts = {
        t.name: OutputPart(t.span, None if t.labels or t.shape else point_of(known[t.name])) for t in model.targets
    }
    losses = {name: loss.name for name, loss in measures.heads.items()}
    view = RunView(
        name=spec.head.name,
        train=dataset,
        val=None,
        test=None,
        history={},
        predict=predicting(network, once, parts, rows.x.device),
        model=network,
        loss=" + ".join(losses.values()) or measures.loss.name,
        transformed=model.description.transforms,
        losses=losses,
        rows=called,
        raw_scores=frozenset(target.name for target in model.targets if target.gives == "logits"),
    )
    return values, view


def network_of(model: SavedModel) -> tuple[torch.nn.Module, Transformed]:
    """The network without the transforms that are applied once, and these."""
    whole: Any = model.network.network
    if model.description.transforms:
        return whole.network, Transformed(whole.columns, whole.targets)
    return whole, Transformed()


def ignored_labels(measures: Measures) -> dict[str | None, int]:
    """The labels that the losses of the run leave out, by head; that of a single loss at None."""
    losses: list[tuple[str | None, Component]] = [*measures.heads.items()] or [(None, measures.loss)]
    return {name: label for name, loss in losses if (label := ignored_label(loss)) is not None}


def without_lost_rows(model: SavedModel, dataset: Dataset, called: str, observer: Observer) -> Dataset:
    """The rows without those that lack a value which nothing fills in: of these the model has no answer."""
    if not any(tensor.is_floating_point() and bool(tensor.isnan().any()) for tensor in dataset.inputs.values()):
        return dataset
    lost = network_of(model)[1].features(dataset.inputs, torch.float64).reshape(dataset.rows, -1).isnan().any(1)
    if not bool(lost.any()):
        return dataset
    of = f"{int(lost.sum()):,} of {dataset.rows:,} rows"
    first = f"the first is row {int(lost.long().argmax()) + 1}"
    if bool(lost.all()):
        raise DataError(f"{called}: each row lacks a value that nothing fills in", "add the values")
    observer.event(f"warning: {of} are left out: they lack a value that nothing fills in; {first}")
    inputs = {name: tensor[~lost] for name, tensor in dataset.inputs.items()}
    targets = {name: tensor[~lost] for name, tensor in dataset.targets.items()}
    return replace(dataset, inputs=inputs, targets=targets)


def _target(model: SavedModel, name: str) -> ModelTarget:
    return next(target for target in model.targets if target.name == name)


def trained_loss(model: SavedModel, measures: Measures) -> torch.nn.Module:
    """The loss as it was trained, with its own parameters."""
    component = measures.loss
    if measures.heads:
        spans = {target.name: target.span for target in model.targets}
        labels = {target.name: target.labels for target in model.targets}
        component = component.with_options(spans=spans, labels=labels)
    loss: torch.nn.Module = instantiate(component, target_names=[t.name for t in model.targets])
    if (model.folder / "loss.safetensors").is_file():
        loss.load_state_dict(load_file(model.folder / "loss.safetensors"))
    return loss


def _of_rows(measures: Measures) -> list[Any]:
    """The plots that show something of rows."""
    return [plot for plot in measures.plots if plot.traits(PlotTraits).of_rows]
