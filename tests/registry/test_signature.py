"""A typed signature, read as options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, overload

import pytest
import torch
from pydantic import Field

from annpipe.registry.entry import Parameter
from annpipe.registry.kinds import KINDS, Kind
from annpipe.registry.registry import Registry
from annpipe.registry.signature import SignatureFault, Typing, describe, supplied_like

if TYPE_CHECKING:
    from decimal import Decimal


class Stretch(torch.nn.Module):
    """Stretches what arrives. It has a second sentence.

    And a second paragraph.
    """

    def __init__(
        self,
        out_features: Annotated[int, Field(gt=0, description="width of what leaves")],
        sizes: tuple[int, int] = (1, 2),
        mode: Literal["in", "out"] = "in",
        rate: float = None,  # type: ignore[assignment]  # noqa: RUF013  # torch writes it so
        *,
        in_features: int,
    ) -> None:
        super().__init__()


def test_types_defaults_bounds_and_words_are_read_off_the_signature() -> None:
    entry = describe("layer", Stretch)
    assert entry.parameters == (
        Parameter("out_features", "int", None, True, False, {"gt": 0}, "width of what leaves"),
        Parameter("sizes", "tuple[int, int]", [1, 2]),
        Parameter("mode", "'in' | 'out'", "in"),
        Parameter("rate", "float | None"),
        Parameter("in_features", "int", None, True, True),
    )
    assert [option.name for option in entry.options] == ["out_features", "sizes", "mode", "rate"]
    assert (entry.name, entry.summary) == ("Stretch", "Stretches what arrives.")
    assert entry.target == f"{__name__}:Stretch"
    assert Path(entry.file) == Path(__file__)
    assert Path(__file__).read_text().splitlines()[entry.line - 1] == "class Stretch(torch.nn.Module):"


def test_the_table_wins_over_the_signature() -> None:
    table = Typing(
        types={"sizes": "list[int]"},
        defaults={"mode": "out"},
        bounds={"rate": {"ge": 0}},
        descriptions={"rate": "how fast"},
        hidden=frozenset({"out_features", "in_features"}),
    )
    parameters = describe("layer", Stretch, typing_=table).parameters
    assert [(p.name, p.type, p.default) for p in parameters] == [
        ("sizes", "list[int]", [1, 2]),
        ("mode", "'in' | 'out'", "out"),
        ("rate", "float | None", None),
    ]
    assert (parameters[2].bounds, parameters[2].description) == ({"ge": 0}, "how fast")


def test_a_class_without_an_init_of_its_own_has_no_options() -> None:
    class Square(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x

    entry = describe("layer", Square)
    assert entry.parameters == ()
    assert entry.summary == ""  # not torch's own docstring of Module


def test_a_dataclass_shows_its_fields() -> None:
    @dataclass
    class Waiting:
        epochs: int
        patient: bool = True

    entry = describe("callback", Waiting)
    assert [(p.name, p.type, p.required) for p in entry.parameters] == [
        ("epochs", "int", True),
        ("patient", "bool", False),
    ]
    assert entry.summary == ""


def test_overloads_speak_for_a_signature_that_says_nothing() -> None:
    class Recurrent:
        @overload
        def __init__(self, hidden: int, deep: bool = False) -> None: ...
        @overload
        def __init__(self, *arguments: Any) -> None: ...
        def __init__(self, *arguments: Any, **named: Any) -> None: ...

    assert [p.name for p in describe("callback", Recurrent).parameters] == ["hidden", "deep"]


def test_a_return_type_that_is_unknown_at_run_time_harms_nothing() -> None:
    def cheap(price: float) -> Decimal: ...  # type: ignore[empty-body]  # only its signature counts

    assert describe("data", cheap).parameters == (Parameter("price", "float", None, True),)


def test_the_first_parameter_of_a_plot_is_the_view() -> None:
    def curve(view, smooth: int = 1) -> None: ...  # type: ignore[no-untyped-def]  # its type is the engine's

    assert [p.name for p in describe("plot", curve).parameters] == ["smooth"]


def _untyped(a: int, b=1.0) -> None: ...  # type: ignore[no-untyped-def]  # the fault under test
def _unsupported(a: int, f: Callable[[int], int]) -> None: ...
def _unknown(a: int, price: Decimal) -> None: ...
def _variadic(a: int, *more: int) -> None: ...
def _named(a: int, **more: int) -> None: ...
def _odd_default(a: int, b: int = 1j) -> None: ...  # type: ignore[assignment]  # the fault under test


@pytest.mark.parametrize(
    ("component", "parameter", "said"),
    [
        (_untyped, "b", "parameter 'b' has no type"),
        (_unsupported, "f", "parameter 'f' has the type"),
        (_unknown, "price", "parameter 'price' has the type 'Decimal', which is not known"),
        (_variadic, "more", "parameter 'more' takes any number of values"),
        (_named, "more", "parameter 'more' takes any number of values"),
        (_odd_default, "b", "parameter 'b' has the default 1j"),
    ],
)
def test_what_cannot_be_an_option_is_a_fault_with_a_remedy(component: Any, parameter: str, said: str) -> None:
    with pytest.raises(SignatureFault) as caught:
        describe("data", component)
    assert caught.value.parameter == parameter
    assert caught.value.message.startswith(said)
    assert caught.value.remedy


def test_a_supplied_parameter_needs_no_type() -> None:
    def noisy(rows: int, *, generator=None) -> None: ...  # type: ignore[no-untyped-def]  # the engine fills it

    assert describe("data", noisy).parameters[1] == Parameter("generator", "any", None, False, True)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.needs], ids=lambda kind: kind.name)
def test_what_annpipe_supplies_has_a_fixed_name(kind: Kind) -> None:
    """Under another name it would be an option that no spec can give."""
    assert kind.needs in kind.supplied
    source = f"def own(size: int = 1, *, {kind.needs}er: int) -> None: ..."
    scope: dict[str, Any] = {"__name__": __name__}
    exec(source, scope)
    with pytest.raises(
        SignatureFault, match=f"it has no parameter `{kind.needs}`, which annpipe supplies to a"
    ) as told:
        describe(kind.name, scope["own"])
    assert told.value.parameter == f"{kind.needs}er"
    assert told.value.remedy == f"rename '{kind.needs}er' to '{kind.needs}'"


SUPPLIED = [(kind, name) for kind in KINDS.values() for name in sorted(kind.supplied)]


@pytest.mark.parametrize(("kind", "name"), [(k.name, name) for k, name in SUPPLIED if name[:-1] not in k.supplied])
def test_a_slip_in_a_supplied_name_is_seen(kind: str, name: str) -> None:
    """One letter too few, in every kind; a name that an option of torch has is no slip."""
    assert supplied_like(kind, name[:-1]) == name
    assert supplied_like(kind, name[:-1], taken=[name]) != name


def test_options_of_torch_are_no_slips(registry_entries: Registry) -> None:
    """Such as `out_features`, of all components that are there."""
    alike = {
        (kind, option.name, like)
        for kind in KINDS
        for entry in registry_entries.entries(kind)
        for option in entry.options
        if option.required and (like := supplied_like(kind, option.name))
    }
    assert alike == set()
