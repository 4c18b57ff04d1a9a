"""Writes a schema with one definition a line, so that a change of one component changes one line."""

from __future__ import annotations

import json
from typing import Any

from annpipe.schema.values import Schema


def as_text(schema: Schema) -> str:
    """The schema as JSON; equal schemas give equal text."""
    written = {key: _lines(value) if key == "definitions" else _json(value) for key, value in schema.items()}
    return "{\n" + ",\n".join(f"{_json(key)}: {value}" for key, value in written.items()) + "\n}\n"


def _lines(schemas: Schema) -> str:
    return "{\n" + ",\n".join(f"  {_json(key)}: {_json(schemas[key])}" for key in sorted(schemas)) + "\n}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
