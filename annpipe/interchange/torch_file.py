"""A program as a .pt2 file of torch.export, which torch runs without annpipe and without the run's own code."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from annpipe.errors import RunError
from annpipe.interchange.exporters import free_dimensions, loops, own_modules, quiet, reason
from annpipe.interchange.probes import first_fault
from annpipe.interchange.program import Program, TensorsByName, as_tensors
from annpipe.interchange.signature import Answering, Signature, signature_of, unique
from annpipe.portable.predictions import CLASS, class_names
from annpipe.saved.model import SavedModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


PLAIN = re.compile(r"[\w .-]+")
"""What a name of an input or output consists of: torch puts the names into source code that it runs, unescaped."""


class ByFileNames(torch.nn.Module):
    """A program whose columns come under the names that they have in the file."""

    def __init__(self, program: Program, signature: Signature) -> None:
        super().__init__()
        self.program = program
        self.columns = {item.name: item.column for item in signature.inputs}

    def forward(self, tensors: TensorsByName) -> TensorsByName:
        """**Shape:** (rows, …) each -> (rows, …) each."""
        answers: TensorsByName = self.program({column: tensors[name] for name, column in self.columns.items()})
        return answers


def with_plain_names(signature: Signature) -> Signature:
    """The signature with other names, `in_0`, `out_0`, …, for inputs and outputs whose own are not plain."""
    inputs = [item.name if PLAIN.fullmatch(item.name) else f"in_{at}" for at, item in enumerate(signature.inputs)]
    outputs = [item.name if PLAIN.fullmatch(item.name) else f"out_{at}" for at, item in enumerate(signature.outputs)]
    names = iter(unique([*inputs, *outputs]))
    return replace(
        signature,
        inputs=tuple(replace(item, name=next(names)) for item in signature.inputs),
        outputs=tuple(replace(item, name=next(names)) for item in signature.outputs),
    )


@dataclass(frozen=True)
class TorchFile:
    """An exported program, what it takes and gives, and what a reader should know of how it was written."""

    program: torch.export.ExportedProgram
    signature: Signature
    notes: tuple[str, ...]

    def bytes(self, extra: Mapping[str, str]) -> bytes:
        """The file, with texts by name beside the program."""
        buffer = io.BytesIO()
        torch.export.save(self.program, buffer, extra_files=dict(extra))
        return buffer.getvalue()


def torch_file(model: SavedModel, signature: Signature, example: TensorsByName) -> TorchFile:
    """Writes a model by the first of torch's ways whose program answers as the model does for the example.

    Raises RunError with torch's reasons where none does.
    """
    faults: list[str] = []
    of_any_length: str | None = None
    signature = with_plain_names(signature)
    program = Program(model, [output.name for output in signature.outputs])
    named = ByFileNames(program, signature)
    tensors = by_file_names(signature, example)
    for lengths in dict.fromkeys((signature.lengths, ())):
        for strict in (False, True):
            try:
                with quiet(), loops(), own_modules(program):
                    dynamic = (dict.fromkeys(tensors, free_dimensions(lengths)),)
                    exported = torch.export.export(named, (tensors,), dynamic_shapes=dynamic, strict=strict)
                    loaded: Any = exported.module()
                    fault = first_fault(program, lengths, example, partial(_run, loaded, signature))
            except Exception as error:  # torch raises whatever comes
                fault = reason(error)
            if fault is None:
                notes = [f"rows have the length of the run's own, since with any length: {of_any_length}"]
                fixed = with_plain_names(signature_of(model, example, ()))
                written = signature if lengths == signature.lengths else fixed
                return TorchFile(exported, written, tuple(notes if of_any_length else ()))
            faults.append(fault)
        of_any_length = of_any_length or (faults[0] if lengths else None)
    raise RunError(f"torch.export cannot carry this model: {'; '.join(dict.fromkeys(faults))}")


def _run(loaded: Any, signature: Signature, columns: TensorsByName) -> TensorsByName:
    answers: TensorsByName = loaded(by_file_names(signature, columns))
    return answers


def by_file_names(signature: Signature, columns: TensorsByName) -> TensorsByName:
    """Columns under the names that they have in the file."""
    return {item.name: columns[item.column] for item in signature.inputs}


def answering(data: bytes, model: SavedModel, signature: Signature) -> Answering:
    """What asks a file, loaded once."""
    with quiet():
        loaded: Any = torch.export.load(io.BytesIO(data)).module()

    def answer(cells: Mapping[str, Array]) -> dict[str, Array]:
        with quiet():
            values: TensorsByName = loaded(by_file_names(signature, as_tensors(model, cells)))
        return {
            output.name: class_names(values[output.name].numpy(), output.classes)
            if output.what == CLASS
            else values[output.name].numpy()
            for output in signature.outputs
        }

    return answer
