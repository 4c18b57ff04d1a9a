"""The description of a run: what came of it first, what was asked, and the command without credentials."""

from __future__ import annotations

import sys

import pytest

from annpipe.runs.note import run_note, sweep_note
from tests.training import Planned

SPEC = """
version: 1
name: small
data:
  formula: {rows: 8, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x}}
model: [Linear: 4, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 3}
"""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/annpipe", "run", "spec.yaml", "--set", "name=a b"])


@pytest.mark.usefixtures("typed")
def test_what_was_asked_is_there_from_the_beginning(planned: Planned) -> None:
    """A line of the parts, and the command as it can be typed again."""
    asked = "Linear 4 → ReLU → Linear 1 · MSELoss · Adam, lr 0.01 · 3 epochs"
    assert run_note(planned(SPEC)) == f"{asked}\n\n    annpipe run spec.yaml --set 'name=a b'"
    assert run_note(planned(SPEC, "description=Mine.")).startswith(f"Mine.\n\n{asked}")


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize(
    ("final", "headline"),
    [
        ({"train/loss": 1.0}, "**train/loss 1** (best 0.5 after epoch 2)"),
        (
            {"train/loss": 1.0, "val/loss": 2.0, "val/accuracy": 0.987654},
            "**val/accuracy 0.9877** · **val/loss 2** (best 1.5 after epoch 3)",
        ),
        ({"train/loss": 1.0, "val/loss": 2.0, "test/loss": 3.0}, "**test/loss 3**"),
    ],
)
def test_the_headline_is_of_rows_that_were_held_out(final: dict[str, float], headline: str, planned: Planned) -> None:
    """Of the test split before val before train; metrics before the loss."""
    best = {"train/loss": (0.5, 2), "val/loss": (1.5, 3)}
    assert run_note(planned(SPEC), final, best).startswith(f"{headline}\n\n")


def test_credentials_are_hidden_and_another_program_is_a_call(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere in the record."""
    uri = "http://ann:canary@host:5000"
    monkeypatch.setattr(sys, "argv", ["annpipe", "run", "spec.yaml", "--tracking-uri", uri])
    assert "canary" not in run_note(planned(SPEC))
    assert "host:5000" in run_note(planned(SPEC))
    monkeypatch.setattr(sys, "argv", ["annpipe", "run", "spec.yaml", "--storage=sqlite:///canary.db"])
    assert "canary" not in run_note(planned(SPEC))
    monkeypatch.setattr(sys, "argv", ["annpipe", "run", "--storage", "sqlite:///canary.db", "spec.yaml", "--storage"])
    assert run_note(planned(SPEC)).endswith("annpipe run --storage '***' spec.yaml --storage")
    monkeypatch.setattr(sys, "argv", ["/home/ann/mine.py", "canary"])
    assert run_note(planned(SPEC)).endswith('\n\n    annpipe.run("spec.yaml")')


@pytest.mark.usefixtures("typed")
def test_long_models_and_commands_are_cut(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run_note(planned(SPEC, f"model=[{', '.join(['ReLU'] * 30)}, Linear: 1]"))
    assert "ReLU → … 31 layers" in text
    monkeypatch.setattr(sys, "argv", ["annpipe", "run", "x" * 5000])
    assert len(run_note(planned(SPEC))) < 1000


@pytest.mark.usefixtures("typed")
def test_a_sweep_says_what_it_varies_and_in_the_end_its_best(planned: Planned) -> None:
    begun = sweep_note(planned(SPEC), "`seed` in [0, 1]", "2 trials")
    assert begun.startswith("2 trials of `seed` in [0, 1]\n\nLinear 4")
    assert sweep_note(planned(SPEC), "", "2 trials", "**best val/loss 1**: seed 1").startswith(
        "**best val/loss 1**: seed 1\n\n2 trials\n"
    )
