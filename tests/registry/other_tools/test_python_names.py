"""A component's name as Python writes it: the remedy is the same component as a spec writes it."""

from __future__ import annotations

import pytest

from annpipe.registry.other_tools.python_names import python_word

KNOWN = {"Linear", "ReLU", "Adam", "StepLR", "MSELoss"}


@pytest.mark.parametrize(
    ("kind", "word", "said"),
    [
        ("layer", "torch.nn.Linear", "write `Linear`"),
        ("optimizer", "torch.optim.Adam", "write `Adam`"),
        ("layer", "ReLU()", "write `ReLU`"),
        ("optimizer", "Adam(lr=0.1)", "write `Adam: {lr: 0.1}`"),
        ("optimizer", "torch.optim.Adam(lr=-1, amsgrad=True)", "write `Adam: {lr: -1, amsgrad: true}`"),
        ("loss", "MSELoss(reduction='sum')", "write `MSELoss: {reduction: sum}`"),
        ("scheduler", "StepLR(30)", "write `StepLR: 30`"),
        ("scheduler", "StepLR(30, 0.5)", "write `StepLR: [30, 0.5]`"),
        ("layer", "Linear 8", "write `Linear: 8`"),
    ],
)
def test_a_name_of_python_is_rewritten(kind: str, word: str, said: str) -> None:
    """Modules are left out, arguments become options."""
    assert python_word(kind, word, KNOWN.__contains__) == said


@pytest.mark.parametrize(
    ("kind", "word"),
    [("layer", "Linear(1, 8)"), ("optimizer", "Adam(lr=rate)"), ("optimizer", "Adam(**x)"), ("loss", "MSELoss(,)")],
)
def test_arguments_that_cannot_be_told_are_not_guessed(kind: str, word: str) -> None:
    """A layer's first argument in torch is often the size that annpipe fills."""
    assert "options after a colon" in python_word(kind, word, KNOWN.__contains__)


@pytest.mark.parametrize(
    "word", ["os.system", "builtins.eval('Linear')", "torch.hub.load", "Linearr", "Linear.weight", "f" * 10_000 + "()"]
)
def test_what_names_no_component_is_not_explained(word: str) -> None:
    """It stays an unknown name."""
    assert python_word("layer", word, KNOWN.__contains__) == ""
