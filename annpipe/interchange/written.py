"""A model in one of the formats, before it has its place: how its bytes are made, and how it compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from annpipe.interchange.parity import Parity, compare
from annpipe.interchange.program import Program, as_tensors, free_lengths, of_length
from annpipe.interchange.raw_rows import RawRows
from annpipe.interchange.signature import KEY, Answering, Signature, signature_of
from annpipe.portable.network import SavedNetwork
from annpipe.portable.predictions import CLASS, ModelAnswer, answers, class_names
from annpipe.saved.model import SavedModel, sources_only

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

ONNX, TORCH, FOLDER = "onnx", "torch", "folder"
ENDINGS = {ONNX: ".onnx", TORCH: ".pt2", FOLDER: "-model"}
EXAMPLE_ROWS = 3  # that exporters see: of one or two rows they take the number for a constant


@dataclass(frozen=True)
class Written:
    """What an export takes and gives, how it answers, and what a reader should know of how it was written.

    `bytes_with` makes the file with a text as its metadata; None for a folder, which is a copy. `facts` are what else
    the metadata has.
    """

    signature: Signature
    answer: Answering
    bytes_with: Callable[[str], bytes] | None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def write(model: SavedModel, rows: RawRows, to: str) -> Written:
    """Writes a model in a format; some of the rows are what exporters see. Raises RunError where torch cannot."""
    cells = {name: values[:EXAMPLE_ROWS] for name, values in rows.cells.items()}
    example = {name: of_length(tensor, 0, EXAMPLE_ROWS) for name, tensor in as_tensors(model, cells).items()}
    lengths = () if to == FOLDER else free_lengths(Program(model), example)
    signature = signature_of(model, example, lengths)
    if to == FOLDER:
        with sources_only():
            network = SavedNetwork(model.folder)
        return Written(signature, lambda cells: _answers(network, model, signature, cells), None)
    if to == TORCH:
        from annpipe.interchange import torch_file

        program = torch_file.torch_file(model, signature, example)
        answering = torch_file.answering(program.bytes({}), model, program.signature)
        return Written(program.signature, answering, lambda text: program.bytes({f"{KEY}.json": text}), program.notes)
    from annpipe.interchange import onnx_file
    from annpipe.interchange.onnx_words import with_metadata

    file = onnx_file.onnx_file(model, signature, example)
    return Written(
        file.signature,
        onnx_file.answering(file.data, file.signature),
        lambda text: with_metadata(file.data, KEY, text),
        file.notes,
        {"exporter": file.exporter},
    )


def compared(model: SavedModel, rows: RawRows, written: Written) -> Parity:
    """The largest difference between an export and the model, over all rows and over the first one and two alone."""
    expected = _answers(model.network, model, written.signature, rows.cells)
    answered = written.answer(rows.cells)
    parities = [compare(written.signature.outputs, expected, answered)]
    for n in (1, 2):
        first = written.answer({name: cells[:n] for name, cells in rows.cells.items()})
        # the rest as above, so that a difference is a share of the same size
        again = {name: np.concatenate([first[name], values[n:]]) for name, values in answered.items()}
        parities.append(compare(written.signature.outputs, expected, again))
    return max(parities, key=lambda parity: parity.relative)


def _answers(
    network: SavedNetwork, model: SavedModel, signature: Signature, cells: Mapping[str, Array]
) -> dict[str, Array]:
    """What a saved network answers for raw cells as `annpipe predict` asks it, by the names of a file's outputs."""
    outputs = network.outputs(network.features(network.columns(dict(cells))))
    return _named(signature, answers(model.targets, outputs))


def _named(signature: Signature, answered: Sequence[ModelAnswer]) -> dict[str, Array]:
    """Answers by the names of a file's outputs, classes by theirs."""
    return {
        output.name: class_names(answer.values.numpy(), output.classes)
        if output.what == CLASS
        else answer.values.numpy()
        for output, answer in zip(signature.outputs, answered, strict=True)
    }
