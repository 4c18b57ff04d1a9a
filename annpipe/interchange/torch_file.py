"""A program as a .pt2 file of torch.export, which torch runs without annpipe and without the run's own code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from annpipe.errors import RunError
from annpipe.interchange.exporters import free_dimensions, loops, own_modules, quiet, reason
from annpipe.interchange.probes import first_fault
from annpipe.interchange.program import Program, TensorsByName, as_tensors
from annpipe.interchange.signature import Answering, Signature, signature_of
from annpipe.portable.predictions import CLASS, class_names
from annpipe.saved.model import SavedModel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


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
    program = Program(model, [output.name for output in signature.outputs])
    for lengths in dict.fromkeys((signature.lengths, ())):
        for strict in (False, True):
            try:
                with quiet(), loops(), own_modules(program):
                    dynamic = ({column.name: free_dimensions(lengths) for column in program.inputs},)
                    exported = torch.export.export(program, (example,), dynamic_shapes=dynamic, strict=strict)
                    loaded: Any = exported.module()
                    fault = first_fault(program, lengths, example, loaded)
            except Exception as error:  # torch raises whatever comes
                fault = reason(error)
            if fault is None:
                notes = [f"rows have the length of the run's own, since with any length: {of_any_length}"]
                written = signature if lengths == signature.lengths else signature_of(model, example, ())
                return TorchFile(exported, written, tuple(notes if of_any_length else ()))
            faults.append(fault)
        of_any_length = of_any_length or (faults[0] if lengths else None)
    raise RunError(f"torch.export cannot carry this model: {'; '.join(dict.fromkeys(faults))}")


def answering(data: bytes, model: SavedModel, signature: Signature) -> Answering:
    """What asks a file, loaded once."""
    with quiet():
        loaded: Any = torch.export.load(io.BytesIO(data)).module()

    def answer(cells: Mapping[str, Array]) -> dict[str, Array]:
        with quiet():
            values: TensorsByName = loaded(as_tensors(model, cells))
        return {
            output.name: class_names(values[output.name].numpy(), output.classes)
            if output.what == CLASS
            else values[output.name].numpy()
            for output in signature.outputs
        }

    return answer
