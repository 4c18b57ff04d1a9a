"""A program as an ONNX file: exported by torch, with words in and out, and run by onnxruntime."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annpipe.errors import RunError
from annpipe.interchange.exporters import free_dimensions, loops, own_modules, quiet, reason
from annpipe.interchange.onnx_words import with_words
from annpipe.interchange.plain_operations import PlainOperations
from annpipe.interchange.probes import first_fault
from annpipe.interchange.program import InOrder, Program, TensorsByName
from annpipe.interchange.signature import Answering, FileInput, Signature, signature_of
from annpipe.portable.cell_text import cell_text
from annpipe.portable.predictions import CLASS
from annpipe.saved.model import SavedModel

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

MOST_BYTES = 2**31 - 2**20  # of weights: the format holds less than 2 GiB in one file
DYNAMO, STRICT, SCRIPT = "torch.export", "torch.export, strict", "TorchScript"


@dataclass(frozen=True)
class Attempt:
    """A way to write a file: by which of torch's exporters, in which precision, for sequences of any length or not."""

    exporter: str
    single: bool
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class OnnxFile:
    """The bytes of a file, what it takes and gives, and what a reader should know of how it was written."""

    data: bytes
    signature: Signature
    exporter: str
    notes: tuple[str, ...]


def onnx_file(model: SavedModel, signature: Signature, example: TensorsByName) -> OnnxFile:
    """Writes a model by the first of torch's ways whose file answers as the model does for the example.

    Raises RunError with torch's and onnxruntime's reasons where none does.
    """
    state = model.network.network.state_dict().values()
    if sum(tensor.numel() * tensor.element_size() for tensor in state) > MOST_BYTES:
        raise RunError("the weights have more than the 2 GiB that an ONNX file can hold: take `--to torch`")
    faults: dict[Attempt, str] = {}
    for attempt in _attempts(model, signature):
        program = Program(model, [output.name for output in signature.outputs], single=attempt.single)
        try:
            with quiet(), loops(), own_modules(program):
                with PlainOperations():
                    inner = _exported(program, attempt, example)
                fault = first_fault(program, attempt.lengths, example, _inner_run(inner, program))
        except Exception as error:  # the exporters and onnxruntime raise whatever comes
            fault = reason(error)
        if fault is None:
            written = signature if attempt.lengths == signature.lengths else signature_of(model, example, ())
            return OnnxFile(with_words(inner, written), written, attempt.exporter, _notes(model, attempt, faults))
        faults[attempt] = fault
    by_exporter = {attempt.exporter: fault for attempt, fault in faults.items()}
    reasons = "; ".join(f"the exporter of {exporter}: {fault}" for exporter, fault in by_exporter.items())
    raise RunError(f"torch cannot write this model as ONNX, `--to torch` may: {reasons}")


def _attempts(model: SavedModel, signature: Signature) -> Iterator[Attempt]:
    """The ways in the order in which they are tried."""
    is_double = any(tensor.dtype == torch.float64 for tensor in _network_of(model).state_dict().values())
    for lengths in dict.fromkeys((signature.lengths, ())):
        for single in (False, True)[: 1 + is_double]:
            for exporter in (DYNAMO, STRICT, SCRIPT):
                yield Attempt(exporter, single, lengths)


def _network_of(model: SavedModel) -> torch.nn.Module:
    """The network without the transforms around it, which are always in double precision."""
    network: Any = model.network.network
    inner: torch.nn.Module = network.network if model.description.transforms else network
    return inner


def _notes(model: SavedModel, attempt: Attempt, faults: Mapping[Attempt, str]) -> tuple[str, ...]:
    notes = []
    if attempt.exporter == SCRIPT:
        first = next(fault for tried, fault in faults.items() if tried.exporter == DYNAMO)
        notes.append(f"written by torch's exporter of {SCRIPT}, since that of {DYNAMO} fails here: {first}")
    if attempt.single:
        first = next(fault for tried, fault in faults.items() if not tried.single)
        notes.append(f"the network computes in single precision, since in double: {first}")
    if not attempt.lengths and any(tried.lengths for tried in faults):
        first = next(fault for tried, fault in faults.items() if tried.lengths)
        notes.append(f"rows have the length of the run's own, since with any length: {first}")
    return tuple(notes)


def _exported(program: Program, attempt: Attempt, example: TensorsByName) -> bytes:
    """The model as torch writes it: numbers in and out, called in_0, in_1, … and out_0, out_1, …"""
    module: Any = InOrder(program).eval()
    columns = tuple(example.values())
    inputs = [f"in_{at}" for at in range(len(columns))]
    outputs = [f"out_{at}" for at in range(len(program.names))]
    names: dict[str, Any] = {"input_names": inputs, "output_names": outputs}
    if attempt.exporter != SCRIPT:
        dynamic = (tuple(free_dimensions(attempt.lengths) for _ in columns),)
        if attempt.exporter == STRICT:
            module, columns = torch.export.export(module, columns, dynamic_shapes=dynamic, strict=True), ()
        shapes = dynamic if columns else None
        written = torch.onnx.export(module, columns, dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
        assert written is not None
        data: bytes = written.model_proto.SerializeToString()
        return data
    axes = {name: {dim: f"{name}_{dim}" for dim in (0, *attempt.lengths)} for name in inputs}
    axes |= {name: {0: "rows"} for name in outputs}
    buffer: Any = io.BytesIO()
    torch.onnx.export(module, columns, buffer, dynamo=False, dynamic_axes=axes, **names)
    whole: bytes = buffer.getvalue()
    return whole


def session(data: bytes) -> Any:
    """The file, loaded by onnxruntime on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _inner_run(data: bytes, program: Program) -> Any:
    """A function that answers as a program does, by a file without words."""
    loaded = session(data)
    known = {item.name for item in loaded.get_inputs()}

    def run(columns: TensorsByName) -> TensorsByName:
        feeds = {f"in_{at}": column.numpy() for at, column in enumerate(columns.values()) if f"in_{at}" in known}
        outputs = loaded.run([f"out_{at}" for at in range(len(program.names))], feeds)
        return {name: torch.as_tensor(values) for name, values in zip(program.names, outputs, strict=True)}

    return run


def answering(data: bytes, signature: Signature) -> Answering:
    """What asks a file, loaded once."""
    loaded = session(data)
    names = [output.name for output in signature.outputs]

    def answer(cells: Mapping[str, Array]) -> dict[str, Array]:
        feeds = {item.name: _typed(item, cells[item.column]) for item in signature.inputs}
        outputs = dict(zip(names, loaded.run(names, feeds), strict=True))
        for output in signature.outputs:
            if output.what == CLASS:
                outputs[output.name] = np.array([name or None for name in outputs[output.name]], dtype=object)
        return outputs

    return answer


def _typed(item: FileInput, column: Array) -> Array:
    """Cells as a file takes them; of words their texts, empty where one is missing."""
    if not item.is_text:
        return np.asarray(column).astype(item.numpy_type)
    return np.array([cell_text(cell) or "" for cell in column], dtype=object)
