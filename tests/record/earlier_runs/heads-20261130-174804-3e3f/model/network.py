"""The network of the run "heads" in plain PyTorch; `weights.safetensors` holds its state dict."""

from collections import OrderedDict
from columns_model import Columns, Model, Targets, Whole, begun_with
import plugin_categories
import plugin_ends
import plugin_numbers
import torch
import torch.nn


def build():
    """The untrained network."""
    network = torch.nn.Sequential(
        OrderedDict([
            ("inputs", plugin_ends.Inputs(names=['numbers', 'words'], columns=[['size', 'rooms'], ['town']], branches=[torch.nn.Sequential(
                torch.nn.Linear(in_features=2, out_features=4),
                torch.nn.Tanh(),
            ), torch.nn.Sequential(
                torch.nn.Linear(in_features=3, out_features=4),
                torch.nn.Tanh(),
            )], join='concat', spans=[[[0, 2]], [[2, 5]]], shapes=[[2], [3]], whole=[False, False], output_shapes=[[4], [4]])),  # (rows, 5) -> (rows, 8)
            ("0", torch.nn.Linear(in_features=8, out_features=6)),  # (rows, 8) -> (rows, 6)
            ("1", torch.nn.Dropout(p=0.1)),  # (rows, 6) -> (rows, 6)
            ("2", torch.nn.ReLU()),  # (rows, 6) -> (rows, 6)
            ("outputs", plugin_ends.Outputs(names=['kind', 'price'], branches=[torch.nn.Sequential(
                torch.nn.Linear(in_features=6, out_features=3),
            ), torch.nn.Sequential(
                torch.nn.Linear(in_features=6, out_features=1),
            )])),  # (rows, 6) -> (rows, 4)
        ])
    )
    columns = Columns([
        ([0, 2], [plugin_numbers.Standardize()]),
        ([1], [plugin_categories.OneHot()]),
    ])
    return Model(columns, network, Targets([[], [plugin_numbers.Standardize()]], [3, 1]), torch.float32)
