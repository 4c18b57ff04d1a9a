"""A plugin file that marks no component is told the mark that it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.registry.kinds import KINDS
from annpipe.registry.unmarked import is_imported_by, nothing_marked
from tests.conftest import CliHere

MODULE = "class Own(torch.nn.Module):\n    def {}: ..."
LIKE = {
    "data": "def own(rows: int) -> Dataset: ...",
    "transform": MODULE.format("fit(self, x)"),
    "layer": MODULE.format("forward(self, x)"),
    "initializer": "def own(tensor: torch.Tensor) -> None: ...",
    "loss": MODULE.format("forward(self, prediction, target)"),
    "optimizer": "class Own(torch.optim.Adam): ...",
    "scheduler": "class Own(torch.optim.lr_scheduler.StepLR): ...",
    "average": "class Own(torch.optim.swa_utils.AveragedModel): ...",
    "distribution": "class Own(torch.distributions.Normal): ...",
    "metric": "class Own:\n    def update(self, a, b): ...\n    def compute(self): ...",
    "callback": "class Own:\n    def on_look(self, look): ...",
    "plot": "def own(view: RunView) -> Figure: ...",
}
HEAD = """
from __future__ import annotations
import torch, torch.optim.swa_utils
from torch.nn import Linear
from annpipe import Dataset, RunView
class _Private(torch.nn.Module): ...
SIZE = 3
def helper(x): ...
"""


def test_each_kind_is_told() -> None:
    """A kind that is new needs a line."""
    assert set(LIKE) == set(KINDS)


@pytest.mark.parametrize("kind", LIKE)
def test_what_is_like_a_component_is_told_its_mark(kind: str, tmp_path: Path) -> None:
    """At its definition; what is imported, private or a helper is not meant."""
    file = tmp_path / "own.py"
    file.write_text(HEAD + LIKE[kind], encoding="utf-8")
    problem = nothing_marked(file)
    assert problem.help is not None
    assert problem.help.startswith(f"write `@{kind}` above `")
    assert problem.place is not None
    assert (problem.place.file, problem.place.line) == (str(file), HEAD.count("\n") + 1)


def test_a_file_of_helpers_is_told_what_a_plugin_is(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(HEAD, encoding="utf-8")
    problem = nothing_marked(file)
    assert problem.place is not None
    assert problem.place.line == 1
    assert "mark what a spec names" in str(problem.help)


@pytest.mark.parametrize(
    ("text", "imports"),
    [
        ("import helpers", True),
        ("from helpers import x", True),
        ("from . import helpers", True),
        ("import lib.helpers as h", True),
        ("import helper", False),
        ("'import helpers'", False),
        ("import (", False),
    ],
)
def test_a_helper_is_known_by_who_imports_it(text: str, imports: bool, tmp_path: Path) -> None:
    helpers, other = tmp_path / "helpers.py", tmp_path / "other.py"
    other.write_text(text, encoding="utf-8")
    assert is_imported_by(helpers, [helpers, other]) == imports


SPEC = """
version: 1
name: helped
plugins: [./helpers.py, ./layers.py]
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}
model: [Doubled, Linear: 1]
loss: L1Loss
optimizer: SGD
train: {epochs: 1}
"""
LAYERS = """
import torch
from annpipe import layer
from helpers import doubled

@layer
class Doubled(torch.nn.Module):
    def forward(self, x): return doubled(x)
"""


def test_a_helper_of_a_listed_file_may_be_listed(
    annpipe_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It registers nothing, and nothing is said; without the other file something is."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helpers.py").write_text("def doubled(x): return 2 * x\n", encoding="utf-8")
    (tmp_path / "layers.py").write_text(LAYERS, encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == 0, said
    code, _, said = annpipe_here("validate", "spec.yaml", "--set", "plugins=[./helpers.py]")
    assert code == 3
    assert "error[plugin-unmarked]: the plugin helpers.py marks no component" in said
