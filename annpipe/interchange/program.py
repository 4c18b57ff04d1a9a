"""The whole way from raw columns to answers as one torch module, which exporters can read."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annpipe.portable.cell_text import CellFormat
from annpipe.portable.network import WHOLE, SavedNetwork
from annpipe.portable.predictions import ModelAnswer, answers
from annpipe.saved.model import SavedModel

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

TensorsByName = dict[str, torch.Tensor]


class Program(torch.nn.Module):
    """Raw columns by name in, answers by name out, as `annpipe predict` gives them; words are positions.

    A column of words comes as positions among its categories, double precision: -1 for a word that is not known, NaN
    where it is missing; a class goes out as a position among the classes, -1 where there is none. With `single`, the
    network computes in single precision.
    **Shape:** (rows,) or (rows, …) each -> (rows,) or (rows, …) each.
    """

    def __init__(self, model: SavedModel, names: Sequence[str] = (), *, single: bool = False) -> None:
        super().__init__()
        self.network, self.dtype = _in_single(model.network) if single else (model.network.network, model.network.dtype)
        self.network.requires_grad_(False)  # a reader of the file shall get plain tensors
        self.inputs, self.targets, self.names = model.description.inputs, model.targets, list(names)
        self.missing_numbers = sorted(CellFormat.of(model.description.reading).missing_numbers)

    def forward(self, columns: TensorsByName) -> TensorsByName:
        """Each input under its column's name, each answer under its name in the file."""
        answered = answers(self.targets, self.network(self._features(columns)))
        return {name: answer.values for name, answer in zip(self.names, answered, strict=True)}

    def answers(self, columns: TensorsByName) -> list[ModelAnswer]:
        """The same with all that is known of each answer, without gradients."""
        with torch.no_grad():
            return answers(self.targets, self.network(self._features(columns)))

    def _features(self, columns: TensorsByName) -> torch.Tensor:
        """(rows, …) each -> (rows, features), or (rows, …) of one input with a shape of its own."""
        tensors = [self._known(columns[column.name], is_plain=not column.shape) for column in self.inputs]
        if len(tensors) == 1 and self.inputs[0].shape:
            return tensors[0].to(self.dtype)
        return torch.cat([tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in tensors], 1).to(
            self.dtype
        )

    def _known(self, column: torch.Tensor, *, is_plain: bool) -> torch.Tensor:
        """A column in which the numbers that stand for a missing value are NaN."""
        if is_plain and column.is_floating_point():
            for number in self.missing_numbers:
                column = torch.where(column == number, torch.nan, column)
        return column


class InOrder(torch.nn.Module):
    """A program whose columns and answers have an order instead of names, as ONNX exporters want them."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program, self.columns = program, [column.name for column in program.inputs]

    def forward(self, *columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """**Shape:** (rows, …) each -> (rows, …) each."""
        return tuple(self.program(dict(zip(self.columns, columns, strict=True))).values())


def _in_single(saved: SavedNetwork) -> tuple[torch.nn.Module, torch.dtype]:
    """The network in single precision, between transforms that stay in double, and the type that it takes."""
    network: Any = copy.deepcopy(saved.network)
    if not saved.description.transforms:
        return network.float(), torch.float32 if saved.dtype.is_floating_point else saved.dtype
    network.network.float()
    network.dtype = torch.float32
    return network, saved.dtype


def as_tensors(model: SavedModel, cells: Mapping[str, Array]) -> TensorsByName:
    """Raw cells by column as a program takes them; raises ValueError at one that does not fit."""
    pairs = zip(model.description.inputs, model.network.columns(dict(cells)), strict=True)
    return {
        column.name: torch.as_tensor(values).to(torch.int64 if column.type in WHOLE else torch.float64)
        for column, values in pairs
    }


def free_lengths(program: Program, columns: TensorsByName) -> tuple[int, ...]:
    """The dimensions of the only input, a sequence, along which the network takes rows of any length."""
    if len(columns) != 1 or len(program.inputs[0].shape) not in (1, 2):
        return ()
    (name, tensor) = next(iter(columns.items()))
    return tuple(
        dim
        for dim in range(1, tensor.ndim)
        if tensor.shape[dim] > 1 and _runs(program, {name: of_length(tensor, dim, tensor.shape[dim] + 1)})
    )


def of_length(tensor: torch.Tensor, dim: int, length: int) -> torch.Tensor:
    """The tensor repeated along a dimension, or cut, until it has this length."""
    times = [1] * tensor.ndim
    times[dim] = -(-length // tensor.shape[dim])
    return tensor.repeat(times).narrow(dim, 0, length).contiguous()


def _runs(program: Program, columns: TensorsByName) -> bool:
    try:
        program.answers(columns)
    except Exception:  # a layer of anybody's, which may raise anything at a length that it does not take
        return False
    return True
