"""Copies of plugin files beside a saved model: what they import of annpipe has a stand-in, the rest stays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import annpipe
from annpipe.export.plugin_copies import copy_plugins, distributions, stand_ins, standalone
from tests.training import Planned


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the copy of a plugin file beside its stand-ins; gives what it defines."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stand_ins_of_annpipe.py").write_text(stand_ins(), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "stand_ins_of_annpipe", raising=False)

    def copied(source: str) -> dict[str, Any]:
        text = standalone(source)
        assert "from annpipe" not in text
        assert "import annpipe" not in text
        scope: dict[str, Any] = {"__name__": "copied"}
        exec(text, scope)
        return scope

    return copied


def test_a_stand_in_leaves_the_rest_of_the_line_alone(copied: Any) -> None:
    """Statements that share a line with an import of annpipe stay."""
    scope = copied("import math; import annpipe; import json\nx = math.pi\n@annpipe.layer\nclass A: ...\n")
    assert (scope["x"], scope["json"].dumps([1])) == (scope["math"].pi, "[1]")


WAYS = {
    "from": "from annpipe import NAME as it",
    "from within": "def f():\n    from annpipe import NAME\n    return NAME\nit = f()",
    "guarded": "try:\n    from annpipe import (\n        NAME as it,  # a name\n    )\nexcept ImportError: raise",
    "module": "import annpipe\nit = annpipe.NAME",
    "module as": "import annpipe as ap; it = ap.NAME",
    "star": "from annpipe import *\nit = NAME",
    "home": "from HOME import NAME as it",
    "home module": "import HOME as home\nit = home.NAME",
    "whole home": "import HOME\nit = HOME.NAME",
}


USES = """
from typing import Annotated, Any, Optional, Union
import torch
if it.__name__ == "mark":
    @it
    class Bare: size = 3
    @it(name="called", example={"a": 1})
    class Called: size = 3
    assert Bare().size == Called().size == 3
elif issubclass(it, Exception):
    class Own(it): ...
    try:
        raise it("option", "is wrong", help="mend it")
    except it as error:
        assert "option" in str(error)
elif it.__module__ != "stand_ins_of_annpipe" or not issubclass(it, (torch.nn.Module, dict)):
    class Own(it):
        limit: int = 3
        def __init__(self, *args): super().__init__(*args)
    made = it()
    def annotated(a: it, b: it | None, c: list[it], d: Annotated[it, "words"] | float, e: Optional[it] = None): ...
"""


def test_whatever_a_plugin_imports_of_annpipe_has_a_harmless_stand_in(copied: Any) -> None:
    """Every public name, imported in every way, can be used at import as it would be: marks mark, errors are raised."""
    tried = 0
    for home, names in annpipe._HOMES.items():
        for name in names:
            for way in WAYS.values():
                scope = copied(way.replace("NAME", name).replace("HOME", home) + USES)
                real = getattr(annpipe, name)
                is_error = isinstance(real, type) and issubclass(real, Exception)
                assert isinstance(scope["it"], type) or scope["it"].__name__ == "mark", name
                assert (isinstance(scope["it"], type) and issubclass(scope["it"], Exception)) == is_error, name
                assert (scope["it"].__name__ == "mark") == (home == "annpipe.registry.marks"), name
                tried += 1
    assert tried == len(WAYS) * len(annpipe.__all__)


def test_stack_and_taps_are_the_real_ones_in_a_copy(copied: Any) -> None:
    """A layer that derives from annpipe's stack runs its layers where annpipe is not."""
    source = (
        "import torch\nfrom annpipe import Stack, Taps, layer\n@layer\nclass Twice(Stack):\n"
        "    def forward(self, x): return super().forward(super().forward(x))\n"
    )
    scope = copied(source)
    twice = scope["Twice"](torch.nn.Linear(2, 2), torch.nn.LSTM(2, 2))
    assert twice(torch.zeros(5, 2)).shape == (5, 2)
    assert scope["Taps"]().values == {}


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        ("import annpipe\n", "import stand_ins_of_annpipe as annpipe\n"),
        ("import annpipe as ap\n", "import stand_ins_of_annpipe as ap\n"),
        (
            "import math, annpipe.contract, json as j\n",
            "import math; import stand_ins_of_annpipe as annpipe; import json as j\n",
        ),
        ("from annpipe.contract import Look as L, Dataset\n", "from stand_ins_of_annpipe import Look as L, Dataset\n"),
        ("ä = 'ö'; from annpipe import layer; ü = 1\n", "ä = 'ö'; from stand_ins_of_annpipe import layer; ü = 1\n"),
        (
            "from annpipe import (\n    layer,\n    loss,\n)\nx = 1\n",
            "from stand_ins_of_annpipe import layer, loss\nx = 1\n",
        ),
        ("from pydantic import Field as F\n", "from stand_ins_of_annpipe import option_bounds as F\n"),
        ("from pydantic import Field, BaseModel\n", "from pydantic import Field, BaseModel\n"),
        ("from annpipe_std import layers\nimport annpiper\n", "from annpipe_std import layers\nimport annpiper\n"),
        ("from .annpipe import layer\n", "from .annpipe import layer\n"),
        ("text = 'import annpipe'  # import annpipe\n", "text = 'import annpipe'  # import annpipe\n"),
        ("def f():\r\n    import annpipe\r\n", "def f():\r\n    import stand_ins_of_annpipe as annpipe\r\n"),
    ],
)
def test_only_imports_of_annpipe_are_replaced(source: str, copy: str) -> None:
    """Wherever they stand; pydantic's too, where nothing but bounds are taken from it."""
    assert standalone(source) == copy


LAYER = """
import math
import torch
import yaml.nodes
from os import path
from {home} import layer


@layer
class Own(torch.nn.Module):
    def forward(self, x):
        import numpy as np
        return x
"""
SPEC = """
version: 1
name: small
data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}
model: [MODEL, Linear: 1]
loss: MSELoss
optimizer: Adam
train: {epochs: 1}
plugins: [./own.py]
"""


def test_the_libraries_of_the_copies_are_returned(planned: Planned, tmp_path: Path) -> None:
    """Wherever a file imports them; Python's own and annpipe are none."""
    plan = planned(SPEC.replace("MODEL", "Own"), own=LAYER.format(home="annpipe"))
    folder = tmp_path / "model"
    folder.mkdir()
    assert copy_plugins(plan, folder) == {"torch", "yaml", "numpy"}
    assert sorted(path.name for path in folder.iterdir()) == ["plugin_own.py", "stand_ins_of_annpipe.py"]
    assert "from stand_ins_of_annpipe import layer" in (folder / "plugin_own.py").read_text(encoding="utf-8")


def test_a_plugin_that_the_model_does_not_need_stays_away(planned: Planned, tmp_path: Path) -> None:
    """And with it the stand-ins."""
    folder = tmp_path / "model"
    folder.mkdir()
    assert copy_plugins(planned(SPEC.replace("MODEL", "Tanh"), own=LAYER.format(home="annpipe")), folder) == frozenset()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("library", "expected"), [("torch", ("torch",)), ("yaml", ("PyYAML",)), ("no_such_library", ())]
)
def test_a_library_is_of_a_distribution(library: str, expected: tuple[str, ...]) -> None:
    """Which may have another name."""
    assert distributions(library) == expected
