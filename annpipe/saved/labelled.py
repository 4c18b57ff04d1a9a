"""Rows of a file with their targets, as a dataset that a trained model can be measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.errors import DataError
from annpipe.portable.cell_text import CellFormat
from annpipe.portable.description import ModelColumn, ModelTarget
from annpipe.portable.network import WHOLE as WHOLE_TYPES
from annpipe.portable.network import positions
from annpipe.saved.cells import NUMBERS, WHOLE, FileColumn, shown
from annpipe.saved.model import SavedModel
from annpipe.saved.rows import read_blocks

BOOLEANS = (("false", "true"), ("no", "yes"))  # the names of the two values of a boolean


def labelled(model: SavedModel, source: str, ignored: Mapping[str | None, int] | None = None) -> Dataset:
    """The inputs and targets of every row, as the run's own data has them; raises NotFound and DataError.

    `ignored` has labels that stand for no class, of targets by name or of the only one at None.
    """
    ignored = ignored or {}
    inputs, targets = model.inputs, model.targets
    wanted = [*inputs, *(_wanted(target) for target in targets)]
    blocks: list[list[np.ndarray[Any, Any]]] = []
    start = 0
    for block in read_blocks(source, wanted, model.reading):
        answers = zip(targets, block[len(inputs) :], strict=True)
        form, alone = model.reading.form, ignored.get(None)
        known = [known_cells(t, cells, source, start, form, ignored.get(t.name, alone)) for t, cells in answers]
        blocks.append([*model.columns(block[: len(inputs)], source), *known])
        start += len(block[0])
    return as_dataset(model, [torch.from_numpy(np.concatenate(parts)) for parts in zip(*blocks, strict=True)])


def as_dataset(model: SavedModel, columns: Sequence[torch.Tensor]) -> Dataset:
    """The inputs and then the targets of rows, (rows, …) each, as the run's own data has them."""
    described, targets = model.description.inputs, model.targets
    x = {item.name: _input(item, tensor) for item, tensor in zip(described, columns, strict=False)}
    y = {t.name: _target(t, tensor) for t, tensor in zip(targets, columns[len(described) :], strict=True)}
    words = {item.name: item.categories for item in described if item.categories}
    words |= {target.name: target.words for target in targets if target.words}
    return Dataset(x, y, categories=words)


def unlabelled(model: SavedModel, source: str) -> Dataset:
    """The inputs of every row, as the run's own data has them, and no targets; raises NotFound and DataError."""
    blocks = [model.columns(block, source) for block in read_blocks(source, model.inputs, model.reading)]
    whole = [torch.from_numpy(np.concatenate(parts)) for parts in zip(*blocks, strict=True)]
    described = model.description.inputs
    x = {item.name: _input(item, tensor) for item, tensor in zip(described, whole, strict=True)}
    return Dataset(x, {}, categories={item.name: item.categories for item in described if item.categories})


def _wanted(target: ModelTarget) -> FileColumn:
    if target.words:
        return FileColumn(target.name, may_lack=False, categories=target.words)
    return FileColumn(target.name, WHOLE if target.labels else NUMBERS, target.shape, may_lack=False)


def known_cells(
    target: ModelTarget,
    cells: np.ndarray[Any, Any],
    source: str,
    start: int,
    form: CellFormat,
    ignored: int | None = None,
) -> np.ndarray[Any, Any]:
    """The target's cells as numbers; raises DataError for a class that the model does not tell, `ignored` aside."""
    words, name = target.words, target.name
    if not words:
        top = len(target.classes) - 1 if target.classes else None
        wrong = (cells > top) | (cells < 0) if top is not None else np.zeros(len(cells), dtype=bool)
        wrong = wrong & (cells != ignored) if ignored is not None else wrong
        known = f"labels go from 0 to {top}"
    else:
        words_of_cells = cells
        try:
            cells = positions(words_of_cells, words, name, form, is_boolean=_is_boolean(target))
        except ValueError as error:
            raise DataError(f"{shown(source)}: {error}", "correct the cell") from error
        wrong = cells < 0
        known = f"the model tells {', '.join(words[:12])}" + (", …" if len(words) > 12 else "")
    if wrong.any():
        row = int(wrong.reshape(len(cells), -1).any(1).argmax())
        cell = words_of_cells[row] if words else cells[row]
        message = f"{shown(source)}: '{cell}' in row {start + row + 1} of the target '{name}' is no class of the run"
        raise DataError(message, known)
    return cells


def _is_boolean(target: ModelTarget) -> bool:
    """Whether a target is a boolean; models of before do not tell, and named only booleans so."""
    return target.type == "boolean" if target.type else target.words in BOOLEANS


def _input(item: ModelColumn, tensor: torch.Tensor) -> torch.Tensor:
    return tensor.long() if item.type in WHOLE_TYPES and not item.categories else tensor.double()


def _target(target: ModelTarget, tensor: torch.Tensor) -> torch.Tensor:
    return tensor.long() if target.labels else tensor.double()
