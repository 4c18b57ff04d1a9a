"""What passes between the engine and components: old names that plugins use, and views cut down to one target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from annpipe.contract import ChunkedDataset, Dataset, Field, Fields, Look, MetricKey, RunPreview, RunView

ROWS = torch.arange(5.0)


def chunks() -> Iterator[Dataset]:
    for rows in (ROWS[:3], ROWS[3:]):
        yield Dataset({"x": rows}, {"y": rows})


FIELDS = Fields({"x": Field()}, {"y": Field()}, rows=5, in_blocks=True)


def test_the_rows_of_data_are_those_of_a_column() -> None:
    """Whatever the shape of a row."""
    assert Dataset({"image": torch.zeros(4, 3, 2), "x": torch.zeros(4)}, {}).rows == 4


@pytest.mark.parametrize("name", ["iter_chunks", "passage"])
def test_chunks_come_by_either_name(name: str) -> None:
    """Each call begins with the first row again."""
    how: dict[str, Any] = {name: chunks}
    data = ChunkedDataset(FIELDS, "digest", **how)
    assert data.iter_chunks is data.passage is chunks
    assert [chunk.rows for chunk in data.iter_chunks()] == [3, 2]
    for _ in range(2):
        assert data.head().inputs["x"].tolist() == [0, 1, 2]
    assert data.rows == 5
    assert data == ChunkedDataset(FIELDS, "digest", chunks)


def test_data_without_chunks_are_refused() -> None:
    """With the name that is missing."""
    with pytest.raises(TypeError, match="needs `iter_chunks`"):
        ChunkedDataset(FIELDS, "digest")


TWO = Fields({"x": Field()}, {"price": Field(), "kind": Field(classes=3)})
HEADS = {"price": ("MSELoss", False), "kind": ("CrossEntropyLoss", True)}
PREVIEW = RunPreview(TWO, "heads", takes_classes=False, has_val=True, options={"bins": 3}, heads=HEADS)


def test_a_preview_of_one_head_is_that_of_a_model_with_it_alone() -> None:
    """Its loss and its target; all else as it was."""
    kind = PREVIEW.of("kind")
    assert (kind.loss, kind.takes_classes, kind.heads) == ("CrossEntropyLoss", True, {})
    assert kind.fields == Fields(TWO.inputs, {"kind": TWO.targets["kind"]})
    assert (kind.has_val, kind.options) == (True, {"bins": 3})
    assert PREVIEW.of("price").takes_classes is False
    assert kind.of("kind") is kind  # a model of one output has no heads


def test_a_target_has_the_loss_of_its_head() -> None:
    """Or the only one."""
    data = Dataset({"x": ROWS}, {"price": ROWS})
    view = RunView(
        "run", data, None, None, {}, lambda inputs: inputs, torch.nn.Identity(), "MSELoss", losses={"kind": "L1Loss"}
    )
    assert (view.loss_of("kind"), view.loss_of("price")) == ("L1Loss", "MSELoss")


def test_a_look_by_itself_shows_no_run() -> None:
    """A plugin's test may make one: parameters are none, and what needs a run says so."""
    look = Look(1, 4, {}, stop=print, keep=print, restore=print)
    assert look.parameters() == look.gradients() == {}
    with pytest.raises(RuntimeError, match="without a run to show"):
        look.view()
    with pytest.raises(RuntimeError, match="without a run to show"):
        look.artifact("name", "text")


def test_the_key_of_a_metric_is_a_text() -> None:
    """As which it is looked up."""
    assert {"val/loss": 1.0}[MetricKey("val/loss")] == 1.0
