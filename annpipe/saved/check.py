"""The check that a saved model gives the answers of the run that saved it: it is loaded once, and asked.

A model may load and yet answer differently: what a layer learns outside of its parameters and buffers is not saved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.errors import RunError
from annpipe.portable.network import SavedNetwork
from annpipe.saved.model import sources_only
from annpipe.train.loop.evaluate import predict
from annpipe.train.parts import Parts

ROWS = 64  # of the train split, at equal distances
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-9}  # the difference allowed, as a share of the largest answer
CLOSE_ELSEWHERE = 1e-2  # the same where the run was trained on another device than the CPU, on which the model answers


def check_saved_model(parts: Parts, folder: Path) -> None:
    """Loads the model of `folder` and compares its answers with those of the live `parts` for rows of the train split.

    Raises RunError where it cannot be loaded, cannot read the run's own rows or answers differently.
    """
    rows = _some(parts.splits.train)
    with torch.random.fork_rng(devices=()):  # building the network draws initial weights, which nothing else may feel
        try:
            saved = _answers(folder, rows)
        except Exception as error:  # the files run code of plugins, which may raise anything
            message = f"the saved model in {folder} cannot be used: {type(error).__name__}: {error}"
            raise RunError(f"{message}; a plugin file that stands alone beside it must import and build") from error
        expected = _own_answers(parts, rows)
        if _are_close(saved, expected, parts):
            return
        if saved.shape == expected.shape and not _are_close(_own_answers(parts, rows), expected, parts):
            return  # the network answers at random: no two of its answers are the same
    raise RunError(
        f"the saved model in {folder} does not give the run's answers: they differ by {_difference(saved, expected)}; "
        "what a layer learns must be in its parameters, or in buffers (`register_buffer`)"
    )


def _some(train: Dataset) -> Dataset:
    n = min(ROWS, train.rows)
    at = torch.linspace(0, train.rows - 1, n).round().long()
    inputs = {name: tensor[at] for name, tensor in train.inputs.items()}
    return Dataset(inputs, {name: tensor[at] for name, tensor in train.targets.items()}, categories=train.categories)


def _answers(folder: Path, rows: Dataset) -> torch.Tensor:
    """What the saved model gives for rows as they would come from a file: categories by their words."""
    with sources_only():
        network = SavedNetwork(folder)
    columns = {name: raw_cells(tensor, rows.categories.get(name, ())) for name, tensor in rows.inputs.items()}
    return network.outputs(network.features(network.columns(columns)))


def raw_cells(column: torch.Tensor, words: Sequence[str]) -> np.ndarray[Any, Any]:
    """A column as a file has it: positions among categories as their words, None where one is missing."""
    if not words:
        return column.numpy()
    return np.array([None if math.isnan(cell) else words[int(cell)] for cell in column.tolist()], dtype=object)


def _own_answers(parts: Parts, rows: Dataset) -> torch.Tensor:
    """What the run's own network gives for them, on the CPU and in the units of the data."""
    on_device = parts.rows["train"]
    output = predict(parts.model, parts.transformed.features(rows.inputs, on_device.dtype).to(on_device.device)).cpu()
    return output if parts.transformed.targets is None else parts.transformed.targets.inverse(output)


def _are_close(saved: torch.Tensor, expected: torch.Tensor, parts: Parts) -> bool:
    rows = parts.rows["train"]
    tolerance = CLOSE.get(rows.dtype, CLOSE_ELSEWHERE) if rows.device.type == "cpu" else CLOSE_ELSEWHERE
    if saved.shape != expected.shape:
        return False
    largest = expected[expected.isfinite()].abs().max().item() if expected.isfinite().any() else 1.0
    return torch.allclose(
        saved.double(), expected.double(), rtol=0, atol=tolerance * max(largest, 1e-30), equal_nan=True
    )


def _difference(saved: torch.Tensor, expected: torch.Tensor) -> str:
    if saved.shape != expected.shape:
        return f"shape, {tuple(saved.shape)} and {tuple(expected.shape)}"
    return f"up to {(saved.double() - expected.double()).abs().max().item():.3g}"
