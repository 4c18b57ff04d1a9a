"""The JSON Schema of specs: valid itself, complete, and right about right specs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.cli.commands.show import examples
from annpipe.registry.entry import Entry
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.schema import as_text, spec_schema
from annpipe.spec.sections.spec import TOP_KEYS
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_file

Complaints = Callable[[str], list[str]]
SpecWith = Callable[..., str]

ROOT = Path(__file__).parents[2]
RIGHT = sorted([*(ROOT / "pipelines").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")])


# --- the schema itself


def test_the_schema_is_valid_draft_07(schema: dict[str, Any]) -> None:
    """By the metaschema of draft-07, which it names."""
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    """No `$ref` of the schema is dangling."""
    references = set(re.findall(r'"\$ref": "([^"]+)"', as_text(schema)))
    assert len(references) > 500
    for reference in references:
        Draft7Validator({"$ref": reference, "definitions": schema["definitions"]}).is_valid(0)


def test_the_schema_has_every_top_level_key_and_no_other(schema: dict[str, Any]) -> None:
    """The sections of the language, `extends` and `variables`."""
    assert set(schema["properties"]) == set(TOP_KEYS)


def test_every_component_is_described_with_its_options_and_origin(
    schema: dict[str, Any], registry_entries: Registry
) -> None:
    """One definition a component, with summary, origin, and each option that a spec gives."""
    entries = [entry for kind in KINDS for entry in registry_entries.entries(kind)]
    assert len(entries) > 200
    for entry in entries:
        definition = schema["definitions"][f"{entry.kind}.{entry.name}"]
        assert entry.summary in definition["description"]
        assert str(entry.origin) in definition["description"]
        assert set(definition["properties"]) >= {option.name for option in entry.options}
        assert all(
            option.description.rstrip(".") in _option(schema, entry, option.name)["description"]
            for option in entry.options
        )


def test_equal_registries_give_equal_text(registry_entries: Registry, schema: dict[str, Any]) -> None:
    """The order in which plugins were found does not matter."""
    turned = Registry()
    for kind in reversed(KINDS):
        turned._add_all(reversed(registry_entries.entries(kind)))
    assert as_text(spec_schema(turned)) == as_text(schema)


def test_every_default_is_a_value_of_its_option(schema: dict[str, Any], registry_entries: Registry) -> None:
    """What `default` says, the option's own schema accepts."""
    count = 0
    for entry in (entry for kind in KINDS for entry in registry_entries.entries(kind)):
        for option in (option for option in entry.options if not option.required):
            own = _option(schema, entry, option.name)
            validator = Draft7Validator({**own, "definitions": schema["definitions"]})
            assert validator.is_valid(own["default"]), (entry.name, option.name, own["default"])
            count += 1
    assert count > 500


def _option(schema: dict[str, Any], entry: Entry, name: str) -> dict[str, Any]:
    option: dict[str, Any] = schema["definitions"][f"{entry.kind}.{entry.name}"]["properties"][name]
    return option


# --- right specs


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_spec_of_the_gallery_validates(path: Path, registry_entries: Registry) -> None:
    """With the plugins that it lists, and with those of the example distribution, which is not installed here."""
    registry = registry_entries.copy()
    files = [path.parent / str(plugin) for plugin in plain(read_file(path)).get("plugins", [])]
    for file in files or sorted(path.parent.glob("annpipe_*/[a-z]*.py")):
        registry.add_file(file)
    errors = Draft7Validator(spec_schema(registry)).iter_errors(plain(read_file(path)))
    assert [error.message for error in errors] == []


def test_the_gallery_is_all_there() -> None:
    """The globs reach the specs."""
    assert len(RIGHT) >= 9


def test_every_spelling_that_show_prints_validates(
    complaints: Complaints, registry_entries: Registry, spec_with: SpecWith
) -> None:
    """The schema agrees with the examples that annpipe itself makes."""
    wrong = {}
    shown = [
        (entry, text)
        for kind in KINDS
        for entry in registry_entries.entries(kind)
        for text in examples(entry, registry_entries)
    ]
    for entry, text in shown:
        section = text
        if entry.kind == "distribution":
            drawn = f"{{{text}}}" if ":" in text else text
            section = f"data: {{formula: {{rows: 1, inputs: {{x: {drawn}}}, targets: {{y: x}}}}}}"
        if entry.kind == "transform":
            drawn = "formula: {rows: 1, inputs: {number: {Uniform: [0, 1]}}, targets: {y: number}}"
            section = f"data: {{{drawn}, {text}}}"
        if entry.kind == "initializer":
            section = f"model: {{layers: [Linear: 1], init: {{{text}}}}}"
        if found := complaints(spec_with(section)):
            wrong[text] = found
    assert len(shown) > 400
    assert wrong == {}
