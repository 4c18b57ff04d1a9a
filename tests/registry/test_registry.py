"""Three doors, one room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from annpipe import Registry, metric
from annpipe.registry.discovery import PluginFault

Write = Callable[[str, str], Path]

COUNT = """
from annpipe import metric


@metric
class Count:
    \"\"\"Counts.\"\"\"
"""


def test_a_new_registry_is_empty() -> None:
    assert Registry().entries("layer") == []


def test_the_installed_door_has_torch_and_the_built_in_library() -> None:
    registry = Registry.installed()
    linear, formula = registry.find("layer", "Linear"), registry.find("data", "formula")
    assert linear
    assert formula
    assert registry.load(linear) is torch.nn.Linear
    assert str(linear.origin) == f"torch {torch.__version__.partition('+')[0]}"
    assert formula.origin.distribution == "annpipe"


def test_the_file_door(write: Write) -> None:
    path = write("count.py", COUNT)
    registry = Registry()
    (entry,) = registry.add_file(path)
    assert entry.target == f"{path}:Count"
    assert str(entry.origin) == str(path)
    assert registry.load(entry).__name__ == "Count"


def test_the_python_door() -> None:
    @metric(name="tally")
    class Tally:
        """Tallies."""

        def __init__(self, step: int = 1) -> None: ...

    registry = Registry()
    entry = registry.add(Tally)
    assert registry.find("metric", "tally") == entry
    assert registry.load(entry) is Tally
    with pytest.raises(ValueError, match="carries no mark"):
        registry.add(dict)


def test_a_component_at_fault_is_refused_at_the_python_door_too() -> None:
    @metric
    class Vague:
        def __init__(self, step=1) -> None: ...  # type: ignore[no-untyped-def]  # the fault under test

    with pytest.raises(PluginFault, match="parameter 'step' has no type"):
        Registry().add(Vague)


def test_two_registries_know_nothing_of_each_other(write: Write) -> None:
    first, second = Registry(), Registry()
    first.add_file(write("count.py", COUNT))
    assert second.entries("metric") == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nraise RuntimeError('no luck')\n", "RuntimeError on import: no luck"),
        ("import sys\nsys.exit(1)\n", "SystemExit on import"),
        (
            "from annpipe import metric\n@metric\nclass M:\n    def __init__(self, a=1): ...\n",
            "parameter 'a' has no type",
        ),
        (COUNT.replace("Count", "R2Score"), "the metric 'R2Score' exists already: it comes from annpipe"),
    ],
)
def test_a_broken_installed_plugin_is_noted_and_breaks_nothing(
    install: Callable[..., Path], source: str, said: str
) -> None:
    site = install("broken", {"broken_plugin.py": source})
    install("fine", {"fine_plugin.py": COUNT})
    registry = Registry.installed()
    assert registry.find("metric", "Count")
    assert registry.find("layer", "Linear")
    (fault,) = registry.faults
    assert said in str(fault)
    assert fault.problem.place
    assert Path(fault.problem.place.file) == site / "broken_plugin.py"


def test_an_entry_point_without_a_module_is_noted(install: Callable[..., Path]) -> None:
    install("ghost", {}, value="ghost_plugin")
    (fault,) = Registry.installed().faults
    assert "ghost = ghost_plugin" in str(fault)
    assert "there is no module 'ghost_plugin'" in str(fault)


def test_every_module_of_an_installed_package_is_looked_through(install: Callable[..., Path]) -> None:
    install("deep", {"deep_plugin/__init__.py": "", "deep_plugin/a/__init__.py": "", "deep_plugin/a/b.py": COUNT})
    entry = Registry.installed().find("metric", "Count")
    assert entry
    assert entry.target == "deep_plugin.a.b:Count"


def test_entries_come_by_name_whatever_the_case() -> None:
    names = [entry.name for entry in Registry.installed().entries("layer")]
    assert names == sorted(names, key=str.casefold)


def test_a_name_may_belong_to_several_kinds(write: Write) -> None:
    source = "from annpipe import loss\n\n\n@loss(name='Count')\nclass CountLoss: ...\n"
    registry = Registry()
    registry.add_file(write("count.py", COUNT))
    registry.add_file(write("loss.py", source))
    assert registry.kinds_of("Count") == ["loss", "metric"]
    assert registry.kinds_of("nothing") == []
