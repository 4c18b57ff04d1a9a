"""JSON Schema of `model.inputs` and `model.outputs`."""

from __future__ import annotations

from annpipe.registry.types import Named
from annpipe.schema.values import Schema, or_variable, reference, value_schema
from annpipe.spec.sections.inputs_outputs import JOINS

WORD: Schema = {"type": "string", "minLength": 1}


def inputs_schema() -> Schema:
    """`model.inputs`: stacks by name."""
    listed = {"type": "array", "items": WORD, "minItems": 1}
    words = "the inputs that the stack takes, by name, pattern or type; left out, the one of its own name"
    columns = {"description": words} | or_variable([WORD, listed])
    return _named("stacks by name, each of which takes some of the inputs", {"columns": columns, "layers": _layers()})


def join_schema() -> Schema:
    """`model.join`."""
    words = "how what the stacks of `inputs` give is joined"
    return {"description": words, "default": JOINS[0]} | or_variable([{"enum": list(JOINS)}])


def outputs_schema() -> Schema:
    """`model.outputs`: heads by the names of targets."""
    number = {"type": "number", "minimum": 0, "errorMessage": "must be a number of at least 0"}
    weight = {"description": "the factor of its loss", "default": 1.0} | or_variable([number])
    metrics = {"description": "what is measured of it", "type": ["array", "null"], "items": reference("metric")}
    loss = {"description": "what training makes small", **reference("loss")}
    options = {"layers": _layers(), "loss": loss, "weight": weight, "metrics": metrics}
    return _named("heads by the targets that they predict", options, ["layers", "loss"])


def _layers() -> Schema:
    return {"description": "its layers, in order"} | value_schema(Named("stack"), {})


def _named(words: str, options: Schema, required: list[str] | None = None) -> Schema:
    part: Schema = {"type": "object", "properties": options, "additionalProperties": False}
    part |= {"required": required} if required else {}
    return {"description": words, "type": ["object", "null"], "minProperties": 1, "additionalProperties": part}


def loss_or_heads() -> Schema:
    """Either `loss`, or heads with losses of their own."""
    heads: Schema = {"properties": {"model": {"required": ["outputs"], "properties": {"outputs": {"type": "object"}}}}}
    heads["properties"]["model"]["type"] = "object"
    has_loss = {"required": ["loss"], "properties": {"loss": {"type": ["object", "string", "array"]}}}
    return {"if": heads, "then": {"properties": {"loss": {"type": "null"}}}, "else": has_loss}
