"""What a plot is told of the run, from runs as a user starts them."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import CliHere

TELL = '''
from annpipe import plot

@plot
def tell(view):
    """Says what the losses take the outputs for."""
    raise RuntimeError(f"expects {dict(view.expects)}")
'''
SPEC = """version: 1
name: told
plugins: [tell.py]
data:
  table:
    inputs: {a: [0, 0, 1, 1], b: [0, 1, 0, 1]}
    targets: {y: [0, 0, 0, 1]}
model: [Linear: 1]
loss: BCEWithLogitsLoss
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 1}
plots: [tell]
tracking: {wait_seconds: 0}
"""


def test_a_plot_knows_what_the_loss_takes_outputs_for(tmp_path: Path, annpipe_here: CliHere) -> None:
    """By the traits of the loss, in the run and where it is measured again."""
    (tmp_path / "tell.py").write_text(TELL, encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, _, told = annpipe_here("run", "spec.yaml")
    assert code == 0
    assert "expects {'y': 'logits'}" in told
    (tmp_path / "rows.csv").write_text("a,b,y\n0,1,0\n1,1,1\n", encoding="utf-8")
    code, _, told = annpipe_here("evaluate", next((tmp_path / "runs").iterdir()).name, "rows.csv")
    assert code == 0
    assert "expects {'y': 'logits'}" in told
    _, _, told = annpipe_here("run", "spec.yaml", "--set", "loss=MSELoss")
    assert "expects {}" in told
