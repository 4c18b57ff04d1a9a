"""Stacks take their own columns, heads stand side by side, and their losses are added with weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from annpipe.portable.heads import HeadLosses, Inputs, Outputs, piece

X = torch.arange(8.0).reshape(2, 4)


def inputs(join: str, output_shapes: list[list[int]] | None = None) -> Inputs:
    return Inputs(
        ["a.b", "forward"],
        [nn.Identity(), nn.Identity()],
        join,
        spans=[[[0, 2]], [[2, 3], [3, 4]]],
        shapes=[[2], [2]],
        whole=[False, False],
        output_shapes=output_shapes or [[2], [2]],
    )


@pytest.mark.parametrize(
    ("join", "joined"), [("concat", X), ("add", X[:, :2] + X[:, 2:]), ("multiply", X[:, :2] * X[:, 2:])]
)
def test_what_stacks_give_is_joined(join: str, joined: torch.Tensor) -> None:
    assert torch.equal(inputs(join)(X), joined)


def test_names_that_torch_has_or_forbids_are_changed() -> None:
    assert [name for name, _ in inputs("concat").named_children()] == ["a_b", "forward_"]


def test_shapes_that_cannot_be_joined_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give \(rows, 2\) and \(rows, 3\); `join: add` needs one shape"):
        inputs("add", [[2], [3]])
    with pytest.raises(ValueError, match="cannot be joined along dimension 1"):
        inputs("concat", [[1, 4, 4], [1, 5, 5]])


def test_columns_are_cut_out_in_their_shape() -> None:
    assert piece(X, [[0, 4]], [2, 2], whole=False).shape == (2, 2, 2)
    assert piece(X, [[1, 2], [3, 4]], [2], whole=True).tolist() == [[1, 3], [5, 7]]


def test_heads_and_their_losses() -> None:
    outputs = Outputs(["y", "k"], [nn.Identity(), nn.Identity()])(X[:, :2])
    assert outputs.shape == (2, 4)
    losses = HeadLosses(
        {"y": nn.MSELoss(), "k": nn.CrossEntropyLoss()},
        {"y": 2.0, "k": 1.0},
        spans={"y": [0, 1], "k": [1, 4]},
        labels={"y": False, "k": True},
    )
    target = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    expected = 2 * nn.functional.mse_loss(outputs[:, :1], target[:, :1])
    expected = expected + nn.functional.cross_entropy(outputs[:, 1:], target[:, 1].long())
    torch.testing.assert_close(losses(outputs, target), expected)
    assert list(losses.by_head(outputs, target)) == ["y", "k"]
