"""Writes a finished run's model as ONNX, .pt2 or a folder of plain PyTorch, compared with the run's own answers."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import AnnpipeError, NotFound, NotTrusted, RunError
from annpipe.files.whole import digest, whole_folder, write_whole
from annpipe.interchange.parity import TOLERANCE, Parity
from annpipe.interchange.raw_rows import RawRows, rows_of_example, rows_of_splits, with_odd_rows
from annpipe.interchange.written import ENDINGS, FOLDER, ONNX, TORCH, Written, compared, write
from annpipe.observer import SILENT, Observer
from annpipe.record.journal.events import ArtifactKept, TagsSet, without_infinities
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import spec_file
from annpipe.record.journal.seal import MODEL, PLAN, check_own, seal_store
from annpipe.record.shipper.recorder import Recorder, ShipState
from annpipe.registry.renames import Earlier, earlier_names
from annpipe.runs.trained import trained_run
from annpipe.saved.model import SavedModel
from annpipe.spec import load_spec

KEPT = "artifacts/export"  # the folder of a run that has its latest files, which go into the record
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """A file that was written, how it compares with `annpipe predict`, and the state of the record."""

    path: Path
    format: str
    size: int
    description: Mapping[str, Any]
    parity: Parity
    source: str
    notes: tuple[str, ...]
    record: ShipState
    wait_seconds: float


def check_packages(to: str) -> None:
    """Raises NotFound where a package that the format needs is not installed."""
    lacking = [name for name in PACKAGES if to == ONNX and importlib.util.find_spec(name) is None]
    if lacking:
        lack = f"the format onnx needs {' and '.join(lacking)}, not installed here"
        raise NotFound(f"{lack}: `python -m pip install 'annpipe[export]'`")


@torch_defaults()
def export_run(
    run: Path,
    to: str,
    out: Path | None = None,
    observer: Observer = SILENT,
    tracking_uri: str | None = None,
    *,
    accept: bool = False,
    force: bool = False,
    trust: bool = False,
) -> Exported:
    """Writes the model of the run's folder to `out` (the run's id in the working directory where it is left out) in
    the format `to`: "onnx", "torch" or "folder", and adds the comparison with the run's own answers to its record.

    A file that is there is replaced with `force` alone. Raises RunError where torch cannot write the model, and where
    answers differ by more than 1e-5 of their size unless `accept` says that they may: then nothing is written.
    Raises NotFound where there is no model or a package is missing, NotTrusted where the run is not known as the
    user's own unless `trust` says that it is, and what the run's spec and data raise.
    """
    check_packages(to)
    path = out or Path(f"{run.name}{ENDINGS[to]}")
    _check_place(path, run, to, force=force)
    recorder = Recorder.start_shipper()  # imports MLflow meanwhile
    try:
        model = SavedModel(run, trust=trust)
        check_own(run, PLAN, trusted=trust)
        if tracking_uri:
            seal_store(run, tracking_uri)
        rows = _rows(run, model, observer, trust=trust)
        written = write(model, rows, to)
        parity = compared(model, rows, written)
        if not parity.holds and not accept:
            raise RunError(
                f"its answers differ from `annpipe predict` by {parity.relative:.2g} of their size in "
                f"'{parity.output}', {TOLERANCE:g} is allowed; nothing was written; --accept writes it all the same"
            )
        description = _description(run, to, written, parity, rows, accepted=not parity.holds)
        size = _place(run, path, to, written, description)
        wait_seconds = _wait_seconds(run)
    except BaseException:
        recorder.release()
        raise
    recorder.attach(run, tracking_uri)
    record = recorder.finish(wait_seconds)
    return Exported(path, to, size, description, parity, rows.source, written.notes, record, wait_seconds)


def _check_place(path: Path, run: Path, to: str, *, force: bool) -> None:
    """Raises NotFound where an export must not be written: nothing but an earlier one is ever replaced by a folder."""
    if path.resolve().is_relative_to(run.resolve()) or run.resolve().is_relative_to(path.resolve()):
        raise NotFound(f"'{path}' is part of the run {run.name} or around it: take another -o")
    if to != FOLDER and path.suffix != ENDINGS[to]:
        raise NotFound(f"'{path}': a file of the format {to} is called {path.stem or run.name}{ENDINGS[to]}")
    if not os.path.lexists(path):
        return
    if not force:
        raise NotFound(f"'{path}' is there already, and nothing is overwritten: take another -o, or say --force")
    is_model = {"network.py", "model.json"} <= {item.name for item in path.iterdir()} if path.is_dir() else False
    if to == FOLDER and not is_model:
        raise NotFound(f"'{path}' is no folder of an exported model, and is not replaced: take another -o")
    if to != FOLDER and not path.is_file():
        raise NotFound(f"'{path}' is a folder or no file at all, and is not replaced: take another -o")


def _rows(run: Path, model: SavedModel, observer: Observer, *, trust: bool) -> RawRows:
    """Rows of the run's own data, made again; else the example of its model."""
    try:
        with trained_run(run, observer, trust=trust) as trained:
            splits = trained.parts.splits
            rows = rows_of_splits([("train", splits.train), ("val", splits.val), ("test", splits.test)])
    except NotTrusted:
        raise
    except AnnpipeError as error:
        observer.event(f"warning: the run's own rows cannot be made again ({error}): its example rows are compared")
        example = rows_of_example(model.description)
        if example is None:
            raise RunError(f"there are no rows to compare the export on: {error}") from error
        rows = example
    return with_odd_rows(rows, model.description.inputs)


def _description(
    run: Path, to: str, written: Written, parity: Parity, rows: RawRows, *, accepted: bool
) -> dict[str, Any]:
    """What the file says of itself."""
    comparison = {
        "rows": parity.rows,
        "source": rows.source,
        "largest_difference": parity.largest,
        "largest_relative_difference": parity.relative,
        "output": parity.output,
        "ties": parity.ties,
        "accepted": accepted,
    }
    return {
        "run": run.name,
        "versions": {name: version(name).partition("+")[0] for name in ("annpipe", "torch")},
        **written.facts,
        "notes": list(written.notes),
        **written.signature.to_data(codes=to == TORCH),
        "comparison": without_infinities(comparison),
    }


def _place(run: Path, path: Path, to: str, written: Written, description: Mapping[str, Any]) -> int:
    """Writes the file and the run's journal; neither stays without the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if written.bytes_with is None:
        size = _copy(run / MODEL, path)
        _write_down(run, path, to, None, description)
        return size
    data = written.bytes_with(json.dumps(description, ensure_ascii=False))
    before = path.exists()
    write_whole(path, data)
    try:
        _write_down(run, path, to, data, description)
    except BaseException:
        if not before:
            with suppress(OSError):
                path.unlink()
        raise
    return len(data)


def _copy(model: Path, folder: Path) -> int:
    """Copies a saved model, whole or not at all; the bytes of its files."""
    files = [file for file in sorted(model.iterdir()) if file.is_file()]
    with whole_folder(folder) as new:
        for file in files:
            shutil.copyfile(file, new / file.name)
    return sum(file.stat().st_size for file in files)


def _write_down(run: Path, path: Path, to: str, data: bytes | None, description: Mapping[str, Any]) -> None:
    """Adds an export to the run's journal: tags, and the file itself as an artifact."""
    comparison = description["comparison"]
    tags = {
        f"annpipe.export.{to}.file": str(path.absolute()),
        f"annpipe.export.{to}.largest_difference": _short(comparison["largest_difference"]),
        f"annpipe.export.{to}.largest_relative_difference": _short(comparison["largest_relative_difference"]),
    }
    journal = Journal.reopen(run)
    try:
        if data is not None:
            kept = run / KEPT / f"model{ENDINGS[to]}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, data)
            tags[f"annpipe.export.{to}.digest"] = digest(data)
            journal.write(ArtifactKept(file=kept.relative_to(run).as_posix(), to="export"))
        journal.write(TagsSet(tags=tags))
    finally:
        journal.close()


def _short(number: float | str) -> str:
    return f"{number:.3g}" if isinstance(number, float) and math.isfinite(number) else str(number)


def _wait_seconds(run: Path) -> float:
    """For how long the run's spec lets its commands wait for the record."""
    with earlier_names(Earlier.READ):
        return load_spec(run / PLAN, base=spec_file(run).resolve().parent).tracking.wait_seconds
