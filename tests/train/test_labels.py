"""Class labels: those that no output stands for are refused, and batches in which none counts are left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.errors import RunError
from annpipe.train.gears.stacked.eligibility import why_solo
from tests.conftest import unrecorded

SPEC = """
version: 1
name: labels
data: {npz: {file: rows.npz, inputs: [x], targets: [y]}}
model: [Linear: 3]
loss: {CrossEntropyLoss: {ignore_index: 0}}
optimizer: {SGD: {lr: 0.1}}
device: {type: cpu, threads: 1}
train: {epochs: 3, batch_size: 1, shuffle: false}
"""


def rows(folder: Path, labels: list[int]) -> None:
    x = np.arange(2.0 * len(labels), dtype=np.float32).reshape(-1, 2) / 10
    np.savez(folder / "rows.npz", x=x, y=np.array(labels))


@pytest.mark.parametrize("size", [1, 2])
def test_a_batch_in_which_no_label_counts_is_left_out(size: int, fit: Any, tmp_path: Path) -> None:
    """Its loss is nan in torch: the step is not taken, and told; the others are those of plain torch."""
    rows(tmp_path, [0, 0, 2, 0, 0, 1])
    start = fit(SPEC, f"train.batch_size={size}", "optimizer.SGD.lr=0").parts.model[0]
    run = fit(SPEC, f"train.batch_size={size}")
    model = torch.nn.Linear(2, 3)
    model.load_state_dict(start.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = run.parts.rows["train"].x, run.parts.rows["train"].y
    for _ in range(3):
        for begin in range(0, 6, size):
            if bool((y[begin : begin + size] != 0).any()):
                optimizer.zero_grad()
                batch = slice(begin, begin + size)
                torch.nn.functional.cross_entropy(model(x[batch]), y[batch], ignore_index=0).backward()
                optimizer.step()
    torch.testing.assert_close(run.parts.model[0].weight, model.weight)
    assert run.told.messages == ["warning: step 1 is left out: all its labels are 0, which `ignore_index` leaves out"]
    assert run.loop.gear.guard.n_skipped == {1: 12, 2: 3}[size]
    assert np.isfinite(run.losses).all()
    assert why_solo(run.plan, run.parts) == "labels that the loss ignores: a step may have no others"


@pytest.mark.parametrize(
    ("labels", "override", "words"),
    [
        ([0, 1, 2, 3, 0, 1], [], "from 0 to 2, one for each of the 3 outputs; 'y' in the train split has 3 (row 3 of"),
        ([0, 1, 2, -100, 0, 1], [], "'y' has -100; leave such rows out, or give them a number above the classes"),
        ([0, 0, 0, 0, 0, 0], [], "all labels of 'y' in the train split are 0, which `ignore_index` leaves out"),
        ([1, 1, 2, 2, 0, 0], ["data.split={val_rows: val.txt}"], "all labels of 'y' in the val split are 0"),
        ([1, 1, 2, 2, 0, 7], ["data.split={val: 0.34}", "loss=MultiMarginLoss"], "has 7 (row"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_are_refused_before_the_run(
    labels: list[int], override: list[str], words: str, annpipe_here: Callable[..., Any], tmp_path: Path
) -> None:
    """Exit code 1, the value and its row; nothing was trained."""
    rows(tmp_path, labels)
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "val.txt").write_text("4\n5\n", encoding="utf-8")
    how = [part for one in override for part in ("--set", one)]
    with unrecorded():
        code, _, said = annpipe_here("run", "spec.yaml", *how)
    assert code in (1, 3)
    assert words in said
    assert "Traceback" not in said
    runs = list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else []
    assert not any("train/loss" in (run / "journal.jsonl").read_text(encoding="utf-8") for run in runs)


def test_labels_of_a_head_are_held_against_its_own_outputs(fit: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.ones((4, 2), np.float32), y=np.array([0, 1, 4, 1]), z=np.ones(4, np.float32))
    heads = {"y": (3, "CrossEntropyLoss"), "z": (1, "MSELoss")}
    outputs = {name: {"layers": [{"Linear": width}], "loss": loss} for name, (width, loss) in heads.items()}
    text = SPEC.replace("targets: [y]", "targets: [y, z]").replace("loss: {CrossEntropyLoss: {ignore_index: 0}}\n", "")
    with pytest.raises(RunError, match=r"'y' in the train split has 4 \(row 2"):
        fit(text, f"model={json.dumps({'layers': [{'Linear': 2}], 'outputs': outputs})}")


def test_a_label_above_the_classes_may_be_the_one_that_does_not_count(
    annpipe_here: Callable[..., Any], tmp_path: Path
) -> None:
    """In training, metrics and figures, and when its rows are evaluated again."""
    rows(tmp_path, [0, 1, 2, 3, 0, 1, 3, 2])
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    how = [
        "loss={CrossEntropyLoss: {ignore_index: 3}}",
        "metrics=[Accuracy, AUROC]",
        "plots=[confusion_matrix, roc_curve]",
    ]
    with unrecorded():
        code, out, said = annpipe_here("run", "spec.yaml", "--json", *(part for one in how for part in ("--set", one)))
        assert code == 0, said
        values = json.loads(out)["values"]
        code, out, said = annpipe_here("evaluate", "--last", "rows.npz", "--json")
    assert code == 0, said
    assert "could not" not in said
    again = json.loads(out)["values"]
    assert again["accuracy"] == values["train/accuracy"]
    assert (again["accuracy"] * 6) % 1 == pytest.approx(0, abs=1e-9)
