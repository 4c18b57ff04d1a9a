"""The network of the run "plain" in plain PyTorch; `weights.safetensors` holds its state dict."""

from columns_model import Columns, Model, Targets, Whole, begun_with
import plugin_categories
import plugin_missing
import plugin_numbers
import plugin_wave
import torch
import torch.nn


def build():
    """The untrained network."""
    network = torch.nn.Sequential(
        torch.nn.Linear(in_features=5, out_features=6),  # (rows, 5) -> (rows, 6)
        plugin_wave.Snake(a=2.0),  # (rows, 6) -> (rows, 6)
        torch.nn.Linear(in_features=6, out_features=1),  # (rows, 6) -> (rows, 1)
    )
    columns = Columns([
        ([0], [plugin_missing.Impute(strategy='median', categories=[0]), plugin_numbers.Standardize()]),
        ([1], [plugin_categories.OneHot()]),
        ([2], [plugin_numbers.Standardize()]),
    ])
    return Model(columns, network, Targets([[plugin_numbers.Log(), plugin_numbers.Standardize()]]), torch.float32)
