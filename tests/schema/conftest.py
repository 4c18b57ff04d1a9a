"""What tests of the schema share: the schema of all installed components, and what it says of a spec's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.registry import Registry
from annpipe.schema import spec_schema
from annpipe.spec.nodes import plain
from annpipe.spec.reader import read_text

Complaints = Callable[[str], list[str]]


def complaints_of(schema: dict[str, Any], text: str) -> list[str]:
    """What is wrong with a spec's text by a schema; scalars are read by YAML 1.2."""
    errors = Draft7Validator(schema).iter_errors(plain(read_text(text, "spec.yaml")))
    return [f"{error.json_path}: {error.message}" for error in errors]


@pytest.fixture(scope="session")
def schema(registry_entries: Registry) -> dict[str, Any]:
    """The schema of all installed components."""
    return spec_schema(registry_entries)


@pytest.fixture(scope="session")
def complaints(schema: dict[str, Any]) -> Complaints:
    """What the schema says against a spec's text; nothing when it is right."""
    return lambda text: complaints_of(schema, text)
