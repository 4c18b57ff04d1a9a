"""The loss, the metrics and the plots of a spec alone: no data is made, and nothing else is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.metrics_only import draft_measures
from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import Spec, read_spec
from annpipe.spec.yaml.reader import read_text

PLAIN = """
version: 1
name: small
data: {csv: {files: gone.csv, target: y}}
model: [NoSuchLayer]
loss: {L1Loss: {reduction: sum}}
optimizer: Adam
train: {epochs: 1}
metrics: [R2Score, R2Score]
plots: [learning_curve]
"""
HEADS = """
version: 1
name: small
data: {csv: {files: gone.csv, target: [y, kind]}}
model:
  layers: [Linear: 3]
  outputs:
    y: {layers: [Linear: 1], loss: L1Loss, weight: 0.5, metrics: [R2Score]}
    kind: {layers: [Linear: 3], loss: CrossEntropyLoss}
optimizer: Adam
train: {epochs: 1}
"""


def spec(text: str) -> Spec:
    return read_spec(read_text(text, "spec.yaml"), "spec.yaml")


def test_what_judges_a_model(registry_entries: Registry, tmp_path: Path) -> None:
    """The layers are not looked up, and the data need not be there."""
    measures = draft_measures(spec(PLAIN), registry_entries.copy(), project=tmp_path)
    assert (measures.loss.name, measures.loss.options["reduction"]) == ("L1Loss", "sum")
    assert {key: head for key, (_, head) in measures.metrics.items()} == {"r2_score": None, "r2_score_2": None}
    assert [plot.name for plot in measures.plots] == ["learning_curve"]
    assert measures.heads == {}


def test_heads_have_losses_and_metrics_of_their_own(registry_entries: Registry, tmp_path: Path) -> None:
    """The loss of the model is their weighted sum."""
    measures = draft_measures(spec(HEADS), registry_entries.copy(), project=tmp_path)
    assert {name: loss.name for name, loss in measures.heads.items()} == {"y": "L1Loss", "kind": "CrossEntropyLoss"}
    assert measures.loss.options["weights"] == {"y": 0.5, "kind": 1.0}
    assert {key: head for key, (_, head) in measures.metrics.items()} == {"y/r2_score": "y"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metrics: [R2Score, R2Score]", "metrics: [R2Scor]", "there is no metric 'R2Scor'"),
        ("reduction: sum", "reduction: most", "`L1Loss.reduction` must be one of"),
        ("plots: [learning_curve]", "plugins: [./gone.py]", "there is no plugin file './gone.py'"),
    ],
)
def test_what_is_wrong_with_them_is_said(
    old: str, new: str, message: str, registry_entries: Registry, tmp_path: Path
) -> None:
    """And nothing else of the spec."""
    with pytest.raises(SpecError) as caught:
        draft_measures(spec(PLAIN.replace(old, new)), registry_entries.copy(), project=tmp_path)
    (problem,) = caught.value.problems
    assert message in problem.message
