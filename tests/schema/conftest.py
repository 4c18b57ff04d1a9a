"""What tests of the schema share: the schema of all installed components, and what it says of a spec's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.schema import spec_schema
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_text

Complaints = Callable[[str], list[str]]
SECTIONS = {
    "version": "version: 1",
    "name": "name: spelt",
    "data": "data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}",
    "model": "model: [Linear: 1]",
    "loss": "loss: L1Loss",
    "optimizer": "optimizer: Adam",
    "train": "train: {epochs: 1}",
}


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


@pytest.fixture(scope="session")
def spec_with() -> Callable[..., str]:
    """Makes a right spec in which the given sections stand instead of its own."""

    def made(*sections: str) -> str:
        own = {section.partition(":")[0]: section for section in sections}
        return "\n".join((SECTIONS | own).values())

    return made


@pytest.fixture(scope="session")
def is_right() -> Callable[[str, Registry], bool]:
    """Tells whether annpipe itself takes a spec's text, as far as can be told without shapes."""

    def told(text: str, registry: Registry) -> bool:
        try:
            draft(read_spec(read_text(text, "spec.yaml"), "spec.yaml"), registry.copy())
        except SpecError:
            return False
        return True

    return told
