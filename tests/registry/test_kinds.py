"""The kinds of components: each is called by its name, has its article, and a section of its own or none."""

from __future__ import annotations

from collections import Counter

import pytest

from annpipe.registry.kinds import KINDS, with_article
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import SECTIONS


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("layer", "a layer"),
        ("optimizer", "an optimizer"),
        ("initializer", "an initializer"),
        ("average", "an average"),
        ("data", "a data component"),
        ("metric", "a metric"),
    ],
)
def test_a_kind_in_a_sentence(kind: str, words: str) -> None:
    """By its first letter; data has no singular."""
    assert with_article(kind) == words


def test_each_section_of_components_is_a_section_of_the_language() -> None:
    """No two kinds stand in the same one."""
    sections = Counter(kind.section for kind in KINDS.values() if kind.section)
    assert sections.keys() <= set(SECTIONS)
    assert set(sections.values()) == {1}
    assert all(kind.purpose for kind in KINDS.values() if kind.section)


def test_what_the_engine_fills_is_a_parameter_of_some_component(registry_entries: Registry) -> None:
    """A name that none has would be a slip of the table."""
    known = {
        (kind, parameter.name)
        for kind in KINDS
        for entry in registry_entries.entries(kind)
        for parameter in entry.parameters
        if parameter.supplied
    }
    assert {(kind.name, name) for kind in KINDS.values() for name in kind.supplied} == known
