"""JSON Schema of `sweep`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from annpipe.schema.values import Schema, or_variable
from annpipe.spec.sections.axes import COUNTED, FORMS_SAID
from annpipe.spec.sections.models import Section
from annpipe.spec.sections.sweep_methods import METHODS, PRUNERS

NUMBER: Schema = {"type": "number"}
FORMS: Mapping[str, Schema] = {
    "choice": {"description": "one of these", "type": "array", "minItems": 1},
    "uniform": {"description": "from the smallest number to the largest", "minItems": 2, "maxItems": 2},
    "log_uniform": {"description": "the same, evenly in the logarithm", "minItems": 2, "maxItems": 2},
    "range": {"description": "from the first number to the last, and the step", "minItems": 2, "maxItems": 3},
}


def over_schema() -> Schema:
    """`sweep.over`: a list of values, a form, or how many where repetitions are meant."""
    forms = {name: {"type": "array", "items": NUMBER} | form for name, form in FORMS.items()}
    forms["choice"] = dict(FORMS["choice"])
    form = {
        "type": "object",
        "properties": forms,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    span = {"type": "string", "pattern": r"^-?\d+\.\.-?\d+$"}
    ways: list[Schema] = [{"type": "array", "minItems": 1}, form, span]
    accepted: list[Schema] = [way | {"errorMessage": FORMS_SAID} for way in ways]
    how_many: Schema = {"type": "integer", "minimum": 1, "errorMessage": FORMS_SAID}
    words = "paths of the spec, as optimizer.Adam.lr or model.1, each with the values that are tried"
    return {
        "description": words,
        "type": "object",
        "propertyNames": {"pattern": r"^[^.]+(\.[^.]+)*$"},
        "properties": {path: or_variable([*accepted, how_many]) for path in COUNTED},
        "additionalProperties": or_variable(accepted),
    }


def search_schema(
    words: str, known: Mapping[str, type[Section]], fields: Callable[[type[Section]], Mapping[str, Schema]]
) -> Schema:
    """A name of `known`, or that name with its options, whose schemas `fields` gives."""
    listed = {"enum": list(known), "enumDescriptions": [str(model.__doc__).splitlines()[0] for model in known.values()]}
    options: Schema = {
        name: {"type": ["object", "null"], "properties": dict(fields(model)), "additionalProperties": False}
        for name, model in known.items()
    }
    method = {
        "type": "object",
        "properties": options,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"description": words} | or_variable([listed, method, {"type": "null"}])


def searches(fields: Callable[[type[Section]], Mapping[str, Schema]]) -> Schema:
    """The options of a sweep that are more than values."""
    return {
        "over": over_schema(),
        "method": search_schema("how trials are chosen: grid, or one of Optuna's samplers", METHODS, fields),
        "prune": search_schema("which of Optuna's pruners stops trials early", PRUNERS, fields),
    }
