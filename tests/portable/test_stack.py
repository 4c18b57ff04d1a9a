"""Layers run one after another; of a tuple the first item goes on."""

from __future__ import annotations

import torch
from torch import nn

from annpipe.portable.stack import Stack


def test_the_sequence_of_a_recurrent_layer_goes_on() -> None:
    torch.manual_seed(0)
    lstm, x = nn.LSTM(3, 4, batch_first=True), torch.randn(2, 5, 3)
    assert torch.equal(Stack(lstm, nn.Tanh())(x), lstm(x)[0].tanh())


def test_attention_is_of_the_rows_to_themselves() -> None:
    torch.manual_seed(0)
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.randn(2, 5, 4)
    torch.testing.assert_close(Stack(attention)(x), attention(x, x, x)[0])
