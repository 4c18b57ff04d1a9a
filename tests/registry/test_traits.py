"""Traits are typed: a kind has its own, they are checked when an entry is made, and the index gives them back."""

from __future__ import annotations

from dataclasses import fields

import pytest

from annpipe.registry.entry import Entry, Origin, from_json, to_json
from annpipe.registry.kinds import KINDS, traits_class, traits_of
from annpipe.registry.registry import Registry
from annpipe.registry.traits import (
    LayerTraits,
    LossTraits,
    PlotTraits,
    SchedulerTraits,
    TraitFault,
    Traits,
)


def entry(kind: str, traits: object) -> Entry:
    return Entry(kind, "own", "own:own", (), "", Origin(), traits=traits)  # type: ignore[arg-type]  # a plugin's mapping


def test_a_mapping_of_a_plugin_becomes_the_traits_of_the_kind() -> None:
    assert entry("layer", {"linear": True}).traits == LayerTraits(linear=True)
    assert entry("scheduler", {"factors": ["a", "b"]}).traits == SchedulerTraits(factors=("a", "b"))
    assert entry("initializer", {}).traits == Traits()


def test_the_traits_of_another_kind_are_none() -> None:
    assert entry("layer", {"linear": True}).traits_as(LossTraits) == LossTraits()


@pytest.mark.parametrize(
    ("kind", "traits", "message"),
    [
        ("layer", {"linea": True}, "did you mean 'linear' or 'nonlinear'?"),
        ("metric", {"linear": True}, "has no trait 'linear'"),
        ("layer", {"linear": "yes"}, "the trait 'linear' of the kind 'layer' cannot be 'yes'"),
        ("layer", {"range": [0]}, "cannot be [0]"),
        ("layer", {"range": [0, "1"]}, "cannot be [0, '1']"),
        ("layer", {"range": [False, 1]}, "cannot be [False, 1]"),
        ("loss", {"target": "labels"}, "cannot be 'labels'"),
        ("scheduler", {"factors": "epochs"}, "cannot be 'epochs'"),
        ("callback", {"example": 3}, "cannot be 3"),
    ],
)
def test_what_no_trait_can_be_is_refused_when_the_entry_is_made(
    kind: str, traits: dict[str, object], message: str
) -> None:
    with pytest.raises(TraitFault) as fault:
        entry(kind, traits)
    assert message in str(fault.value)


def test_the_index_gives_every_trait_back(registry_entries: Registry) -> None:
    entries = [one for kind in KINDS for one in registry_entries.entries(kind)]
    for one in entries:
        back = from_json(to_json(one), one.origin)
        assert back.traits == one.traits
        assert type(back.traits) is traits_class(one.kind)
    assert sum(bool(one.traits.to_data()) for one in entries) > 100


def test_only_what_is_said_is_written() -> None:
    assert LayerTraits(linear=True, range=(0, None)).to_data() == {"linear": True, "range": [0, None]}
    assert Traits().to_data() == {}
    assert PlotTraits(of_rows=False).to_data() == {"of_rows": False}


def test_traits_say_their_names_of_no_other_kind_twice() -> None:
    """What two kinds have in common has one meaning: the same type."""
    types: dict[str, set[object]] = {}
    for cls in {kind.traits for kind in KINDS.values()}:
        for field in fields(cls):
            types.setdefault(field.name, set()).add(field.type)
    assert {name for name, found in types.items() if len(found) > 1} <= {"gives", "end"}


def test_traits_of_a_kind_without_traits_are_those_of_all() -> None:
    assert traits_of("initializer", {"example": {"a": 1.0}}) == Traits({"a": 1.0})
