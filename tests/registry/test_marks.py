"""The decorators of components: each leaves a mark of its kind, with or without arguments, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from annpipe.registry import marks
from annpipe.registry.kinds import KINDS, traits_class, traits_of
from annpipe.registry.marks import ATTRIBUTE, Mark, mark_of

DECORATORS: dict[str, Callable[..., Any]] = {kind: getattr(marks, kind) for kind in KINDS}
USUAL: dict[str, dict[str, Any]] = {
    "transform": {"takes": "number", "gives": "number", "fills": False},
    "loss": {"target": "values"},
    "average": {"each": "step", "update_bn": False},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_decorator_alone_or_with_a_name_marks_its_kind(kind: str) -> None:
    """The class itself comes back."""

    class Component: ...

    assert DECORATORS[kind](Component) is Component
    assert mark_of(Component) == Mark(kind, None, USUAL.get(kind, {}))
    assert DECORATORS[kind](name="other")(Component) is Component
    assert mark_of(Component) == Mark(kind, "other", USUAL.get(kind, {}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_a_decorator_is_a_trait_of_its_kind(kind: str) -> None:
    """A trait that the registry did not know would be refused when the entry is made."""
    options = {name for name, p in inspect.signature(DECORATORS[kind]).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert options - {"name"} <= set(traits_class(kind).__dataclass_fields__)
    traits_of(kind, USUAL.get(kind, {}))


@pytest.mark.parametrize(
    ("kind", "options", "traits"),
    [
        ("data", {"example": {"rows": 3}}, {"example": {"rows": 3}}),
        ("data", {"fields": len}, {"fields": len}),
        ("transform", {"takes": "any", "fills": True}, {"takes": "any", "gives": "number", "fills": True}),
        ("layer", {"repeats": "times", "shares": "share"}, {"repeats": "times", "shares": "share"}),
        ("layer", {"uses": "block", "sets": "name"}, {"uses": "block", "sets": "name"}),
        ("layer", {"reads": "names"}, {"reads": "names"}),
        ("loss", {"target": "classes", "outputs": len}, {"target": "classes", "outputs": len}),
        ("scheduler", {"steps_on": "metric"}, {"steps_on": "metric"}),
        ("scheduler", {"steps_on": None}, {}),
        ("average", {"each": "epoch", "update_bn": True}, {"each": "epoch", "update_bn": True}),
        ("metric", {"classes": True, "threshold": "cut"}, {"classes": True, "threshold": "cut"}),
        ("callback", {"check": len}, {"check": len}),
        ("plot", {"of_rows": False, "check": len}, {"of_rows": False, "check": len}),
    ],
)
def test_options_become_traits(kind: str, options: dict[str, Any], traits: dict[str, Any]) -> None:
    """Those left out do not."""

    class Component: ...

    DECORATORS[kind](**options)(Component)
    mark = mark_of(Component)
    assert mark is not None
    assert mark.traits == traits


def test_a_function_can_be_marked() -> None:
    """And is still called as before."""

    @marks.plot(name="curve")
    def draw(view: int) -> int:
        return view + 1

    assert draw(1) == 2
    assert mark_of(draw) == Mark("plot", "curve")


def test_a_mark_is_not_inherited() -> None:
    """A subclass of a component is one only where it says so."""

    @marks.layer
    class Base: ...

    class Child(Base): ...

    assert mark_of(Base) is not None
    assert mark_of(Child) is None
    assert getattr(Child, ATTRIBUTE) is getattr(Base, ATTRIBUTE)


@pytest.mark.parametrize("value", [3, "text", None, object(), len])
def test_what_carries_no_mark_has_none(value: object) -> None:
    """Whatever it is, also without attributes of its own."""
    assert mark_of(value) is None


def test_what_another_library_left_under_that_name_is_no_mark() -> None:
    """The attribute must be a Mark."""

    class Component: ...

    setattr(Component, ATTRIBUTE, "layer")
    assert mark_of(Component) is None
