"""Words of other tools: each is explained by a name that annpipe has."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from annpipe.registry.kinds import KINDS
from annpipe.registry.other_tools.options import OPTIONS
from annpipe.registry.other_tools.words import COMPONENTS, SECTION_OPTIONS, SECTIONS, component_word
from annpipe.registry.registry import Registry
from annpipe.spec.sections.models import Device, Split, Tracking, Train
from annpipe.spec.sections.spec import TOP_KEYS

MODELS: dict[str, type[BaseModel]] = {"train": Train, "data.split": Split, "device": Device, "tracking": Tracking}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What is installed."""
    return Registry.installed()


def _exists(name: str) -> bool:
    section, _, option = name.rpartition(".")
    return option in (MODELS[section].model_fields if section else TOP_KEYS)


@pytest.mark.parametrize("word", SECTIONS)
def test_a_word_at_the_top_stands_for_sections_and_options_that_exist(word: str) -> None:
    """And is none itself, or nobody would be told."""
    assert all(map(_exists, SECTIONS[word].stands_for))
    assert word not in TOP_KEYS


@pytest.mark.parametrize(("section", "word"), SECTION_OPTIONS)
def test_a_word_in_a_section_stands_for_sections_and_options_that_exist(section: str, word: str) -> None:
    """And is no option of that section."""
    assert all(map(_exists, SECTION_OPTIONS[section, word].stands_for))
    assert word not in MODELS[section].model_fields


@pytest.mark.parametrize(("kind", "word"), COMPONENTS)
def test_a_component_of_another_tool_is_one_that_is_installed(kind: str, word: str, registry: Registry) -> None:
    """A word with two counterparts names both."""
    for own in COMPONENTS[kind, word].split():
        assert registry.find(kind, own)
        assert repr(own) in component_word(kind, word, lambda name: registry.find(kind, name) is not None)


def test_an_option_of_another_tool_is_one_that_some_component_has(registry: Registry) -> None:
    """Every word of the table leads to at least one option."""
    known = {option.name for kind in KINDS for entry in registry.entries(kind) for option in entry.parameters}
    assert {own for owns in OPTIONS.values() for own in owns} - known == set()


@pytest.mark.parametrize("word", ["Dense", "keras.layers.Dense", "Dense(3)", "keras.layers.Dense(3, kernel='a.b')"])
def test_modules_and_arguments_hide_no_word(word: str) -> None:
    """The name alone is looked up."""
    assert component_word("layer", word, {"Linear"}.__contains__) == "it is called 'Linear' here"
