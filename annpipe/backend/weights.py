"""Reads the weights that a model begins with, and puts them into it. They are safetensors: data, and never code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from annpipe.draft.weight_files import KEPT
from annpipe.draft.weights import InitialWeights
from annpipe.errors import RunError
from annpipe.files.named import NamedFault, content, shown

NETWORK, AROUND = "network.", ("columns.", "targets.")  # the parts of a saved model that has transforms


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The values of a file by the names that they have in a model; raises NamedFault.

    What the transforms around a saved network have learnt is left out.
    """
    try:
        values = load(content(file))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise NamedFault(f"{shown(file)} holds no weights that can be read: {reason}", "make it again") from error
    if not _has_transforms(file, values):
        return values
    of_network = {name.removeprefix(NETWORK): value for name, value in values.items() if name.startswith(NETWORK)}
    return {name: value for name, value in of_network.items() if not name.startswith(AROUND)}


def _has_transforms(file: Path, values: Mapping[str, torch.Tensor]) -> bool:
    """Whether a saved model has transforms around its network: model.json beside it says it, else the names do."""
    description = file.with_name("model.json")
    try:
        flag = json.loads(content(description)).get("transforms")
    except (NamedFault, ValueError, AttributeError, RecursionError):
        flag = None
    if isinstance(flag, bool):
        return flag
    return any(name.startswith(AROUND) for name in values) and all(
        name.startswith((NETWORK, *AROUND)) for name in values
    )


def digest_of(values: Mapping[str, torch.Tensor]) -> str:
    """The digest of names, types, shapes and values, in 16 hexadecimal digits."""
    total = hashlib.sha256()
    for name in sorted(values):
        value = values[name].detach().cpu().contiguous()
        total.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]


def taken_values(weights: InitialWeights) -> dict[str, torch.Tensor]:
    """The values that a plan takes; raises RunError where they are not those that it was made with."""
    try:
        values = read_weights(weights.file)
    except NamedFault as fault:
        raise RunError(f"the weights of {weights.source} cannot be read any more: {fault.message}") from fault
    taken = {name: values[name] for name in weights.taken if name in values}
    if digest_of(taken) != weights.digest:
        raise RunError(f"the weights of {weights.source} were changed while the run began; run its spec again")
    return taken


def begin_with(model: torch.nn.Module, weights: InitialWeights) -> None:
    """Copies the values into the model's parameters and buffers of those names."""
    state = model.state_dict()
    with torch.no_grad():
        for name, value in taken_values(weights).items():
            state[name].copy_(value)


def keep_weights(weights: InitialWeights, folder: Path) -> None:
    """Writes the values that a run begins with into its folder, by which it can be opened without those it took."""
    save_file({name: value.contiguous() for name, value in taken_values(weights).items()}, folder / KEPT)
