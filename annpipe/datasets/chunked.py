"""Chunked data → rows on disk: passes over the chunks split them and fit the transforms; then the rows are written."""

from __future__ import annotations

import shutil

import torch

from annpipe.backend.device import one_thread
from annpipe.contract import ChunkedDataset, Dataset
from annpipe.datasets.on_disk.cache import checksums_match, on_disk_rows, read_results, write_rows
from annpipe.datasets.on_disk.fit import FittedStates, fit_in_chunks
from annpipe.datasets.on_disk.passes import ChunkPasses, PassResults
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.on_disk.split import assign_rows, summarize
from annpipe.datasets.request import DataRequest, fit_transforms, transformed_once
from annpipe.datasets.steps.splits import Splits
from annpipe.datasets.steps.tensors import Rows, Transformed, to_tensors
from annpipe.datasets.steps.transforms import Fitted
from annpipe.observer import Observer


def pass_results(request: DataRequest, data: ChunkedDataset, dtype: torch.dtype) -> PassResults:
    """What the passes over the chunks find: read from the folder of the rows where it is there, otherwise computed."""
    kept = read_results(request.folder(data, dtype))
    return kept[0] if kept else _passes(request, data, dtype).results


def chunked_rows(
    request: DataRequest, data: ChunkedDataset, device: torch.device, dtype: torch.dtype, observer: Observer
) -> tuple[Splits, dict[str, OnDiskRows], Fitted | None, Transformed]:
    """Samples of each split, all rows on disk, the transforms, and those that are applied; writes missing rows."""
    folder = request.folder(data, dtype)
    kept = read_results(folder)
    if kept is not None and not checksums_match(folder, kept[1]):
        observer.event(f"warning: the rows kept in {folder} are damaged; they are written again")
        shutil.rmtree(folder)
        kept = None
    results = kept[0] if kept else _passes(request, data, dtype).results
    fitted = fitted_from(request, results)
    transformed = transformed_once(fitted)
    if kept is None:
        observer.event(f"writing the rows as they are trained on, once, to {folder}")

        def as_rows(part: Dataset) -> Rows:
            return to_tensors(part, torch.device("cpu"), dtype, classes=request.takes_classes, columns=transformed)

        with one_thread():
            write_rows(folder, _passes(request, data, dtype), as_rows)
        kept = read_results(folder)
        assert kept is not None
        observer.event(f"wrote {_size(sum(kept[1]['sizes'].values()))}; the folder may be deleted to free the space")
    request.passes.clear()
    return results.summary.samples, on_disk_rows(folder, kept[1], device), fitted, transformed


def fitted_from(request: DataRequest, results: PassResults) -> Fitted | None:
    """The transforms with the states that the passes have fitted."""
    return fit_transforms(request, results.summary.samples.train, FittedStates(results.states))


def _passes(request: DataRequest, data: ChunkedDataset, dtype: torch.dtype) -> ChunkPasses:
    """Assigns rows to the parts of the split, summarizes them and fits the transforms; once for a plan and its run."""

    def read() -> ChunkPasses:
        with one_thread():
            assignment = assign_rows(data, request.split, request.seed)
            summary = summarize(assignment)
            states = fit_in_chunks(
                request.transforms, request.fields, assignment, summary, request.seed, request.stacks
            )
        return ChunkPasses(assignment, PassResults(assignment.counts, summary, states))

    return request.passes.get(request.key(data, dtype), read)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
