"""Words in an ONNX file: texts become positions before the network, and positions the names of classes after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from annpipe.interchange.signature import FLOAT, INT, FileInput, FileOutput, Signature
from annpipe.portable.predictions import CLASS

ML = "ai.onnx.ml"  # the operators of classical models, of which LabelEncoder is one
ML_VERSION = 2
UNKNOWN = -1.0


def with_words(data: bytes, signature: Signature) -> bytes:
    """A file whose inputs and outputs in_0, out_0, … get the names, types and shapes of a signature, words included.

    Raises what onnx's checker does where the file is none.
    """
    import onnx
    import onnx.compose

    prefix = _free_prefix([*(item.name for item in signature.inputs), *(item.name for item in signature.outputs)])
    model = onnx.compose.add_prefix(onnx.load_from_string(data), prefix, rename_functions=False)
    graph, nodes = model.graph, []
    kinds = {item.name: item.type.tensor_type.elem_type for item in graph.output}
    del graph.input[:]
    del graph.output[:]
    for at, item in enumerate(signature.inputs):
        graph.input.append(_input_info(item))
        nodes += _input_nodes(item, f"{prefix}in_{at}")
    after = []
    for at, output in enumerate(signature.outputs):
        kind = onnx.TensorProto.STRING if output.what == CLASS else kinds[f"{prefix}out_{at}"]
        graph.output.append(onnx.helper.make_tensor_value_info(output.name, kind, ["rows", *output.shape]))
        after.append(_output_node(output, f"{prefix}out_{at}"))
    nodes += [*graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    if ML not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(ML, ML_VERSION))
    onnx.checker.check_model(model)
    whole: bytes = model.SerializeToString()
    return whole


def _free_prefix(names: Iterable[str]) -> str:
    """What the names of values within the file begin with, so that none is that of a column or an answer."""
    prefix = "inner."
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    return prefix


def _input_info(item: FileInput) -> Any:
    import onnx

    types = {FLOAT: onnx.TensorProto.DOUBLE, INT: onnx.TensorProto.INT64}
    return onnx.helper.make_tensor_value_info(
        item.name, types.get(item.kind, onnx.TensorProto.STRING), ["rows", *item.shape]
    )


def _input_nodes(item: FileInput, inner: str) -> list[Any]:
    """Of words a table of positions, NaN for a missing cell; of numbers nothing but the name."""
    import onnx

    if not item.is_text:
        return [onnx.helper.make_node("Identity", [item.name], [inner])]
    nan = float("nan")
    words = [*item.categories, *((word, nan) for word in item.missing)]
    table = onnx.helper.make_node(
        "LabelEncoder",
        [item.name],
        [f"{inner}_position"],
        domain=ML,
        keys_strings=[word for word, _ in words],
        values_floats=[float(position) for _, position in words],
        default_float=nan if item.is_boolean else UNKNOWN,
    )
    return [table, onnx.helper.make_node("Cast", [f"{inner}_position"], [inner], to=onnx.TensorProto.DOUBLE)]


def _output_node(output: FileOutput, inner: str) -> Any:
    """Of a class a table of names, empty where a row has none."""
    import onnx

    if output.what != CLASS:
        return onnx.helper.make_node("Identity", [inner], [output.name])
    return onnx.helper.make_node(
        "LabelEncoder",
        [inner],
        [output.name],
        domain=ML,
        keys_int64s=list(range(len(output.classes))),
        values_strings=list(output.classes),
        default_string="",
    )


def with_metadata(data: bytes, key: str, text: str) -> bytes:
    """The same file with a text in its metadata."""
    import onnx

    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, {key: text})
    model.producer_name, model.doc_string = "annpipe", "`annpipe` in the metadata says what it takes and gives, as JSON"
    whole: bytes = model.SerializeToString()
    return whole
