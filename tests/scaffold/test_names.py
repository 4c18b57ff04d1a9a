"""Names of new components and distributions: those that are refused, with the reason."""

from __future__ import annotations

import pytest

from annpipe.registry.registry import Registry
from annpipe.scaffold.names import NewError, check_module, check_not_taken, component_name, distribution_name
from annpipe.scaffold.templates_by_kind import TEMPLATES


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two words", "letters, digits"),
        ("Rad-Basis", "letters, digits"),
        ("2Layers", "letters, digits"),
        ("", "letters, digits"),
        ("../up", "letters, digits"),
        ("ﬁt", "letters, digits"),  # Python would read the ligature as two letters
        ("_hidden", "begin with a letter"),
        ("A" * 61, "60 characters"),
        ("None", "means something else"),
        ("class", "means something else"),
        ("null", "means something else"),
        ("true", "means something else"),
        ("Class", "a word of Python"),
        ("TestCase", "pytest would take"),
        ("conftest", "pytest would take"),
        ("torch", "needs 'Torch'|would hide"),
        ("Annotated", "needs 'Annotated'"),
        ("Warning", "needs 'Warning'"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, reason: str) -> None:
    """Of a layer, which is a class in a module of its name."""
    template = TEMPLATES["layer"]
    with pytest.raises(NewError, match=reason):
        check_module(component_name("layer", name, is_class=True, used=template.identifiers).module, "it")


def test_letters_of_any_script_may_be_a_name() -> None:
    """As they may in Python and YAML."""
    names = component_name("layer", "게이트", is_class=True, used=())
    assert (names.spec, names.module) == ("게이트", "게이트")


@pytest.mark.parametrize("module", ["json", "torch", "annpipe"])
def test_a_module_that_is_there_is_not_hidden(module: str) -> None:
    """Python's own, a dependency's, annpipe's."""
    with pytest.raises(NewError, match="would hide"):
        check_module(module, "the file")


def test_a_built_in_name_is_taken_in_its_own_kind_only(registry_entries: Registry) -> None:
    """A loss may be called as a layer is."""
    name = component_name("layer", "Linear", is_class=True, used=())
    with pytest.raises(NewError, match="comes from torch"):
        check_not_taken("layer", name, registry_entries)
    check_not_taken("loss", name, registry_entries)


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("gates", "annpipe-gates"),
        ("Radial_Basis", "annpipe-radial-basis"),
        ("annpipe-gates", "annpipe-gates"),
        ("annpipe", "annpipe-annpipe"),
    ],
)
def test_a_distribution_has_the_prefix_and_a_normal_name(name: str, distribution: str) -> None:
    """As package indexes write it."""
    assert distribution_name(name) == distribution


@pytest.mark.parametrize("name", ["", "-x", "x-", "a--b", "../up", "a/b", "게이트", "x" * 61, "a b", "2d"])
def test_a_name_that_packages_cannot_have_is_refused(name: str) -> None:
    """It would fail at the latest when it is published."""
    with pytest.raises(NewError, match="distribution"):
        distribution_name(name)
