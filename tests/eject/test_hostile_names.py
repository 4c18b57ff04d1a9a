"""A user's text in a spec becomes a literal, a comment or nothing: it is never code of the script."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.eject.ejecting import script_of
from tests.training import Planned

SPEC = """
version: 1
name: {name}
description: {note}
data:
  table:
    inputs: {{{first}: [0, 1, 2, 3, 4, 5], {second}: [1, 0, 1, 0, 1, 0]}}
    targets: {{{target}: [{one}, {other}, {one}, {other}, {one}, {other}]}}
model: {{layers: [Linear: 3, {{tap: {tap}}}, {{take: {tap}}}, Linear: 2]}}
loss: CrossEntropyLoss
optimizer: SGD
train: {{epochs: 2}}
metrics: [Accuracy]
plots: [confusion_matrix]
"""
PLAIN = {"name": "n", "note": "d", "first": "a", "second": "b", "target": "y", "one": "u", "other": "v", "tap": "t"}
HOSTILE = [
    "a\"); import os; os.system('true') #",
    "'''\"\"\"",
    "\\",
    "x\\'; y",
    "{__import__('os')}",
    "$x$ \\n %s",
    "# comment",
    "model",
    "import",
    "größe",
    "loss_function.zero_",
]


def shape(text: str, columns: set[str]) -> str:
    """The syntax tree of a script, in which every text and every name of a column is the same."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        if isinstance(node, ast.Name) and node.id in columns:
            node.id = "column"
    return ast.dump(tree)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_never_code(text: str, planned: Planned, tmp_path: Path) -> None:
    """The script has the syntax tree of one with plain names, its texts aside."""
    plain = script_of(planned(SPEC.format(**PLAIN)), tmp_path)
    words = {key: f"{text}{number}" for number, key in enumerate(PLAIN)} | {"name": text, "target": text}
    hostile = script_of(planned(SPEC.format(**{key: json.dumps(word) for key, word in words.items()})), tmp_path)
    safe = {word for word in (words["first"], words["second"]) if word.isidentifier()}
    assert shape(hostile, {"column_1", "column_2", "column_3", *safe}) == shape(plain, {"a", "b", "y"})
