"""Options and inputs, as small as can be, for every class that comes from torch."""

from __future__ import annotations

from typing import Any

import torch

from annpipe.draft.component import Component
from annpipe.registry.discovery import discover_package
from annpipe.registry.entry import Entry
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.registry.types import Choice, Formula, ListOf, Named, OptionType, alternatives
from annpipe_std import torch_table

# What torch asks for beyond its signatures.
EYE = [[1.0, 0.0], [0.0, 1.0]]
REGISTRY = Registry()
REGISTRY.add_entries(discover_package("annpipe_std"))


def component(kind: str, name: str, options: dict[str, Any]) -> Component:
    return Component(kind, name, options, entry=REGISTRY.entry(kind, name))


NORMALS = component("distribution", "Normal", {"loc": [0.0, 1.0], "scale": [1.0, 1.0]})
INSIDE = component("layer", "TransformerEncoderLayer", {"d_model": 4, "nhead": 2})
STEP = component("scheduler", "StepLR", {"step_size": 4})
EXTRA: dict[str, dict[str, Any]] = {
    "FractionalMaxPool2d": {"output_size": 4},
    "FractionalMaxPool3d": {"output_size": 4},
    "Upsample": {"scale_factor": 2.0},
    "UpsamplingBilinear2d": {"scale_factor": 2.0},
    "UpsamplingNearest2d": {"scale_factor": 2.0},
    "Fold": {"output_size": [6, 6], "kernel_size": [2, 2], "stride": 2},
    "PixelShuffle": {"upscale_factor": 2},
    "Unflatten": {"dim": 1, "unflattened_size": [2, 2]},
    "TransformerEncoder": {"encoder_layer": INSIDE},
    "CosineAnnealingLR": {"T_max": 10},  # a run fills in the length of these
    "LinearLR": {"total_iters": 10},
    "OneCycleLR": {"total_steps": 10},
    "PolynomialLR": {"total_iters": 10},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.5},
    "SequentialLR": {"schedulers": [STEP, STEP]},
    "MixtureSameFamily": {
        "mixture_distribution": component("distribution", "Categorical", {"probs": [0.5, 0.5]}),
        "component_distribution": NORMALS,
    },
    "Uniform": {"low": 0.0, "high": 1.0},
}
WEIGHTS = ("Categorical",)


def minimal(entry: Entry) -> dict[str, Any]:
    """The required options (supplied ones included) and what torch asks for beyond them."""
    extra = EXTRA.get(entry.name, {})
    required = [p for p in entry.parameters if p.required and p.type != "any" and p.name not in extra]
    options = {p.name: value(p.option_type) for p in required}
    if entry.kind == "distribution" and entry.parameter("probs"):
        options["probs"] = [0.5, 0.5] if entry.name in WEIGHTS else 0.5
    return {**options, **extra}


def value(type_: OptionType) -> Any:
    """A value that the type allows, small enough for every class."""
    first = alternatives(type_)[0]
    match first:
        case Named(name="int"):
            return 4
        case Named(name="float" | "tensor"):
            return 0.5
        case Named(name="scheduler"):
            return STEP
        case Formula() | Named(name="expression"):
            return lambda epoch: 0.9**epoch
        case Choice(values=values):
            return values[0]
        case ListOf(item=item):
            return [value(item)]
    raise AssertionError(f"no value for {type_}")


SHAPES = {
    torch_table.NEEDS[1]: (3, 4, 12),
    torch_table.NEEDS[2]: (3, 4, 12, 12),
    torch_table.NEEDS[3]: (3, 4, 12, 12, 12),
    "(rows, length, features)": (3, 5, 4),
    "(rows, features)": (3, 4),
    "(rows, channels, …)": (3, 4, 12, 12),
    "(rows, features) or (rows, features, length)": (3, 4),
    "(rows, features, blocks)": (3, 16, 9),
}


def meta_input(entry: Entry) -> torch.Tensor:
    needs = entry.traits_as(LayerTraits).needs or "(rows, features)"
    if needs.startswith("whole numbers"):
        return torch.zeros(3, 5, dtype=torch.int64, device="meta")
    return torch.empty(SHAPES.get(needs, SHAPES[torch_table.NEEDS[1]]), device="meta")
