"""What an entry names is imported: by its file, by its module, or not at all where Python gave it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from annpipe.registry.discovery import PluginFault, function_of, imported, load
from annpipe.registry.entry import Entry, Origin
from annpipe.registry.registry import Registry

Write = Callable[[str, str], Path]

CALLBACKS = """
from annpipe import callback


class Outer:
    class Inner: ...


def fits(outline): ...


@callback(check=fits)
class Checked:
    def on_look(self, look): ...


@callback
class Plain:
    def on_look(self, look): ...
"""


def test_a_target_may_be_an_attribute_of_an_attribute(write: Write) -> None:
    """Of a module or a file."""
    assert imported("torch.nn:Linear") is torch.nn.Linear
    assert imported("torch:nn.Linear.forward") is torch.nn.Linear.forward
    assert imported(f"{write('own.py', CALLBACKS)}:Outer.Inner").__qualname__ == "Outer.Inner"


def test_what_python_gave_is_taken_as_it_is() -> None:
    """Its target need not lead anywhere."""
    component = SimpleNamespace
    assert load(Entry("layer", "own", "nowhere:Own", (), "", Origin(), loaded=component)) is component


def test_a_module_that_fails_to_import_is_a_fault(write: Write) -> None:
    """With its place."""
    path = write("own.py", "import torch\n1 / 0\n")
    with pytest.raises(PluginFault, match="ZeroDivisionError") as caught:
        imported(f"{path}:Own")
    assert caught.value.problem.place is not None
    assert caught.value.problem.place.line == 2


def test_the_function_of_a_trait_is_the_one_in_the_mark(write: Write) -> None:
    """None where the component has none."""
    registry = Registry()
    checked, plain = sorted(registry.add_file(write("own.py", CALLBACKS)), key=lambda entry: entry.name)
    function = function_of(checked, "check")
    assert function is not None
    assert function.__name__ == "fits"
    assert function_of(plain, "check") is None


def test_a_trait_may_name_its_function_by_its_own_module() -> None:
    """Which spares the import of the component."""
    traits = {"check": "math:hypot"}
    entry = Entry("callback", "own", "nowhere:Own", (), "", Origin(), traits=traits)  # type: ignore[arg-type]  # checked
    function = function_of(entry, "check")
    assert function is not None
    assert function(3, 4) == 5
