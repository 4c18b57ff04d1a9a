"""What an exported file takes and gives, by name: made from a saved model, and kept in the file as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annpipe.interchange.program import Program, TensorsByName, of_length
from annpipe.portable.cell_text import FALSE, TRUE, CellFormat
from annpipe.portable.description import ModelColumn
from annpipe.portable.network import BOOLEAN, WHOLE
from annpipe.portable.predictions import VALUE, ModelAnswer
from annpipe.saved.model import SavedModel

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

KEY = "annpipe"  # of the metadata
FLOAT, INT, TEXT = "double", "int64", "string"


Answering = Callable[[Mapping[str, "Array"]], Mapping[str, "Array"]]
"""What a file answers for raw cells by column: numbers, and names of classes, None where a row has none."""


@dataclass(frozen=True)
class FileInput:
    """An input of a file: its name there, the column of the data that it is, its type, and the shape of a row.

    Of words, `categories` has each with its position, `missing` those that stand for a missing cell; of a boolean,
    `categories` has every way to write its two values.
    """

    name: str
    column: str
    kind: str
    shape: tuple[int | str, ...]
    categories: tuple[tuple[str, int], ...] = ()
    missing: tuple[str, ...] = ()
    is_boolean: bool = False

    @property
    def numpy_type(self) -> type[np.generic]:
        """The type of its numbers as NumPy calls it."""
        return np.int64 if self.kind == INT else np.float64

    @property
    def is_text(self) -> bool:
        """Whether the data has words here."""
        return bool(self.categories)

    def to_data(self, *, codes: bool) -> dict[str, Any]:
        """As a JSON object; with `codes`, of a file that takes positions instead of words."""
        data: dict[str, Any] = {"name": self.name, "column": self.column, "shape": list(self.shape)}
        data |= {"type": FLOAT if codes and self.is_text else self.kind}
        if self.is_text:
            data |= {"categories": dict(self.categories), "missing": list(self.missing)}
            data |= {"unknown": "missing" if self.is_boolean else -1}
        return data


@dataclass(frozen=True)
class FileOutput:
    """An output of a file: its name there, the target, and whether it is its class, its probabilities or its value.

    `columns` are what `annpipe predict` calls the columns of it.
    """

    name: str
    target: str
    what: str
    dtype: torch.dtype
    shape: tuple[int | str, ...]
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """As a JSON object."""
        data: dict[str, Any] = {"name": self.name, "target": self.target, "what": self.what, "shape": list(self.shape)}
        data |= {"classes": list(self.classes)} if self.classes else {}
        return data | ({"columns": list(self.columns)} if self.columns else {})


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs of a file, in its order. `lengths` are the dimensions of the input that are free."""

    inputs: tuple[FileInput, ...]
    outputs: tuple[FileOutput, ...]
    lengths: tuple[int, ...] = ()

    def to_data(self, *, codes: bool) -> dict[str, Any]:
        """As a JSON object; with `codes`, of a file that speaks of words by their positions."""
        outputs = [output.to_data() for output in self.outputs]
        return {"inputs": [item.to_data(codes=codes) for item in self.inputs], "outputs": outputs}


def signature_of(model: SavedModel, example: TensorsByName, lengths: Sequence[int]) -> Signature:
    """The signature of a model's file; `example` has some rows, `lengths` the free dimensions of the only input."""
    program = Program(model)
    answered = program.answers(example)
    columns = [column.name or "input" for column in program.inputs]
    names = unique([*columns, *(answer.name for answer in answered)])
    form = CellFormat.of(model.description.reading)
    inputs = [_input(name, column, form, lengths) for name, column in zip(names, program.inputs, strict=False)]
    shapes: list[tuple[int | str, ...]] = [tuple(answer.values.shape[1:]) for answer in answered]
    if lengths:
        ((only, tensor),) = example.items()
        for dim in lengths:
            longer = program.answers({only: of_length(tensor, dim, tensor.shape[dim] + 1)})
            pairs = zip(shapes, (answer.values.shape[1:] for answer in longer), strict=True)
            shapes = [_free(shape, other) for shape, other in pairs]
    outputs = list(map(_output, names[len(inputs) :], answered, shapes))
    return Signature(tuple(inputs), tuple(outputs), tuple(lengths))


def _input(name: str, column: ModelColumn, form: CellFormat, lengths: Sequence[int]) -> FileInput:
    shape = tuple(f"length_{dim}" if dim in lengths else size for dim, size in enumerate(column.shape, 1))
    if not column.categories:
        return FileInput(name, column.name, INT if column.type in WHOLE else FLOAT, shape)
    is_boolean = column.type == BOOLEAN
    words = _truths() if is_boolean else tuple((word, at) for at, word in enumerate(column.categories))
    missing = tuple(word for word in dict.fromkeys(("", *form.missing)) if word not in dict(words))
    return FileInput(name, column.name, TEXT, shape, words, missing, is_boolean)


def _output(name: str, answer: ModelAnswer, shape: tuple[int | str, ...]) -> FileOutput:
    classes = tuple(answer.target.classes or ()) if answer.what != VALUE else ()
    return FileOutput(name, answer.target.name, answer.what, answer.values.dtype, shape, classes, answer.columns)


def _free(shape: Sequence[int | str], other: Sequence[int]) -> tuple[int | str, ...]:
    """A shape in which what differs from another has a name."""
    pairs = zip(shape, other, strict=True)
    return tuple(f"length_out_{dim}" if size != now else size for dim, (size, now) in enumerate(pairs, 1))


def _truths() -> tuple[tuple[str, int], ...]:
    """Every way to write false and true, with 0 or 1."""
    written = {form(word): value for value, words in enumerate((FALSE, TRUE)) for word in words for form in _CASES}
    return tuple(written.items())


_CASES = (str.lower, str.capitalize, str.upper)


def unique(names: Iterable[str]) -> list[str]:
    """The names, each of those that were there before with an underscore more."""
    taken: list[str] = []
    for name in names:
        while name in taken:
            name += "_"
        taken.append(name)
    return taken
