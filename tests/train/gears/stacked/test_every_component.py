"""Every layer, loss, optimizer and scheduler of the index in a stack: each member's losses are its solo run's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from annpipe.backend.device import computing
from annpipe.draft.draft import draft
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.entry import Entry
from annpipe.registry.registry import Registry
from annpipe.registry.traits import SchedulerTraits
from annpipe.spec import load_spec
from annpipe.train.gears.stacked.eligibility import why_solo
from annpipe.train.gears.stacked.slots import layer_modes
from tests.plugins.torch_examples import meta_input, minimal
from tests.properties.settling import in_one_line
from tests.sampling import sample
from tests.train.gears.stacks import built, hold_stack

ROWS = 6
SHAPED = """
import torch
from annpipe import Dataset, data

@data
def shaped(shape: list[int], target: str = "numbers", *, generator: torch.Generator) -> Dataset:
    n_rows = 6
    whole = shape == [5]
    x = torch.randint(0, 4, (n_rows, *shape), generator=generator) if whole else torch.randn(
        n_rows, *shape, generator=generator, dtype=torch.float64)
    y = torch.randn(n_rows, generator=generator, dtype=torch.float64)
    made = {
        "numbers": y, "signs": y.sign(), "shares": y.sigmoid(), "yes_or_no": (y > 0).double(),
        "counts": (y * 3).abs().floor(),
        "classes": (y > 0).long() + (y > 0.5).long(),
    }
    return Dataset({"x": x}, {"y": made[target]})
"""
REGISTRY = Registry.installed()


def entries(kind: str) -> list[Entry]:
    return list(REGISTRY.entries(kind))


def by_name(found: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", found, ids=lambda entry: entry.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the specs and their plugin lie."""
    made = tmp_path_factory.mktemp("index")
    (made / "shaped.py").write_text(SHAPED, encoding="utf-8")
    return made


def plans(folder: Path, **sections: Any) -> list[Plan]:
    """Two members: a tiny run with these sections and two seeds."""
    spec = {
        "version": 1,
        "name": "index",
        "plugins": ["shaped.py"],
        "device": {"type": "cpu", "threads": 1, "precision": "float64"},
        "data": {"shaped": {"shape": [3]}},
        "model": [{"Linear": 4}, "Tanh", {"Linear": 1}],
        "loss": "MSELoss",
        "optimizer": {"SGD": {"lr": 0.01}},
        "train": {"steps": 50},
        **sections,
    }
    found = []
    for seed in (1, 2):
        file = folder / "spec.yaml"
        file.write_text("\n".join(f"{name}: {in_one_line(value)}" for name, value in {**spec, "seed": seed}.items()))
        found.append(resolve(draft(load_spec(file), REGISTRY.copy(), project=folder)))
    return found


ATTENDING = {"d_model": 4, "nhead": 2, "dim_feedforward": 4}
# Layers that ask for more than `minimal` says, in the words of a spec, and the shape of a row that they meet.
LAYERS: Mapping[str, tuple[list[Any], list[int]]] = {
    "residual": ([{"residual": {"layers": [{"Linear": 4}, "Tanh", {"Dropout": 0.5}]}}], [4]),
    "parallel": ([{"parallel": [[{"Linear": 4}], ["Tanh"]]}], [4]),
    "repeat": ([{"repeat": {"times": 2, "layers": [{"Linear": 4}, "ReLU"]}}], [4]),
    "mean_variance": ([{"Linear": 4}, "mean_variance"], [4]),
    "quantiles": ([{"Linear": 4}, {"quantiles": 2}], [4]),
    "output_of": ([{"output_of": {"layer": {"GRU": 3}, "part": "last_step"}}], [5, 4]),
    "TransformerEncoderLayer": ([{"TransformerEncoderLayer": ATTENDING}], [3, 4]),
    "TransformerEncoder": (
        [{"TransformerEncoder": {"encoder_layer": {"TransformerEncoderLayer": ATTENDING}, "num_layers": 1}}],
        [3, 4],
    ),
    "Conv3d": ([{"Conv3d": [2, 2]}], [2, 4, 4, 4]),
    "ConvTranspose3d": ([{"ConvTranspose3d": [2, 2]}], [2, 3, 3, 3]),
    "tap": ([{"tap": "first"}, {"Linear": 4}, {"join": "first"}], [4]),
    "join": ([{"Linear": 4}, {"tap": "first"}, "Tanh", {"join": {"taps": "first", "by": "add"}}], [4]),
    "take": (["Tanh", {"tap": "a"}, {"Linear": 4}, {"tap": "b"}, {"take": "a"}, {"join": "b"}], [4]),
    **{f"LPPool{n}d": ([{f"LPPool{n}d": {"norm_type": 2.0, "kernel_size": 2}}], [2, *[4] * n]) for n in (1, 2, 3)},
}
NOT_ALONE = {"shared"}  # names a block of the spec; `test_shared_weights_stack` has it

BY_MEMBER = {
    "which draws at random": {
        *("AlphaDropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "FractionalMaxPool2d"),
        *("FractionalMaxPool3d", "RReLU", "TransformerEncoder", "TransformerEncoderLayer", "residual"),
    },
    "which keeps statistics of its batches": {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d"},
    "which has no batched kernel": {
        *("CrossMapLRN2d", "EmbeddingBag", "GRU", "GRUCell", "LSTM", "LSTMCell", "MultiheadAttention", "RNN"),
        *("RNNCell", "output_of"),
    },
    "which sets or reads a tap": {"tap", "take", "join"},
}
"""The layers that run member by member within a stack, by the reason; `residual` here holds a dropout."""


def layer_of(entry: Entry) -> tuple[list[Any], list[int]]:
    """A stack with the layer, and the shape of a row that it takes."""
    if entry.name in LAYERS:
        return LAYERS[entry.name]
    parameters = {p.name: p for p in entry.parameters}
    options = {name: plain(value) for name, value in minimal(entry).items() if not parameters[name].supplied}
    return [{entry.name: options} if options else entry.name], list(meta_input(entry).shape[1:])


def plain(value: Any) -> Any:
    """A component among options as a spec has it."""
    return value.to_data() if hasattr(value, "to_data") else value


PASSED = [e for e in entries("layer") if e.name not in NOT_ALONE]


def of_layer(entry: Entry, folder: Path, precision: str) -> list[Plan]:
    layers, shape = layer_of(entry)
    device = {"type": "cpu", "threads": 1, "precision": precision}
    optimizer = {"SGD": {"lr": 0.005 / math.prod(shape)}}  # so that six rows are not learnt by heart
    data = {"shaped": {"shape": shape}}
    return plans(folder, model=[*layers, "Flatten", {"Linear": 1}], data=data, optimizer=optimizer, device=device)


@by_name(sample(PASSED, 3))
def test_a_layer_is_its_own_run(entry: Entry, folder: Path) -> None:
    """In double precision; which layers run member by member is as the table above says."""
    made = of_layer(entry, folder, "float64")
    hold_stack(made)
    with computing("float64", deterministic=False):
        found = {mode.reason for mode in layer_modes(made[0], built(made[0]).parts)} - {None}
    assert found == {reason for reason, names in BY_MEMBER.items() if entry.name in names}


@pytest.mark.slow
@by_name(PASSED)
def test_a_layer_is_its_own_run_in_single_precision(entry: Entry, folder: Path) -> None:
    """To 1e-5."""
    hold_stack(of_layer(entry, folder, "float32"))


def test_shared_weights_stack(folder: Path) -> None:
    """The gradients of a block's uses add up."""
    block = {"both": [{"Linear": 4}, "Tanh"]}
    model = [{"Linear": 4}, {"shared": "both"}, "ReLU", {"shared": "both"}, {"Linear": 1}]
    hold_stack(plans(folder, blocks=block, model=model))


# The last layers, the targets and, where it asks for options, how a loss is written.
LOSSES: Mapping[str, tuple[list[Any], str, Any]] = {
    "BCELoss": ([{"Linear": 1}, "Sigmoid"], "shares", "BCELoss"),
    "CrossEntropyLoss": ([{"Linear": 3}], "classes", "CrossEntropyLoss"),
    "KLDivLoss": ([{"Linear": 1}, "LogSigmoid"], "shares", {"KLDivLoss": {"reduction": "batchmean"}}),
    "MultiMarginLoss": ([{"Linear": 3}], "classes", "MultiMarginLoss"),
    "NLLLoss": ([{"Linear": 3}, {"LogSoftmax": {"dim": 1}}], "classes", "NLLLoss"),
    "per_target": ([{"Linear": 1}], "numbers", {"per_target": {"losses": {"y": "HuberLoss"}}}),
    "weighted_sum": ([{"Linear": 1}], "numbers", {"weighted_sum": {"losses": ["MSELoss", "L1Loss"]}}),
    "GaussianNLLLoss": ([{"Linear": 2}, "mean_variance"], "numbers", "GaussianNLLLoss"),
    "QuantileLoss": (
        [{"Linear": 3}, {"quantiles": 3}],
        "numbers",
        {"QuantileLoss": {"quantiles": [0.1, 0.5, 0.9]}},
    ),
    **{name: ([{"Linear": 1}], "yes_or_no", name) for name in ("BCEWithLogitsLoss", "MultiLabelSoftMarginLoss")},
    **{name: ([{"Linear": 1}], "signs", name) for name in ("SoftMarginLoss", "HingeEmbeddingLoss")},
    **{name: ([{"Linear": 1}], "counts", name) for name in ("PoissonNLLLoss",)},
    **{name: ([{"Linear": 1}], "numbers", name) for name in ("L1Loss", "MSELoss", "HuberLoss", "SmoothL1Loss")},
}


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sample(LOSSES, 2))
def test_a_loss_is_its_own_run(name: str, precision: str, folder: Path) -> None:
    """The tail of a network that it is for, and targets of its kind."""
    tail, target, loss = LOSSES[name]
    device = {"type": "cpu", "threads": 1, "precision": precision}
    data = {"shaped": {"shape": [3], "target": target}}
    hold_stack(plans(folder, model=[{"Linear": 4}, "Tanh", *tail], data=data, loss=loss, device=device))


def test_every_loss_is_tried() -> None:
    """Nothing of the index is left out by mistake."""
    assert {entry.name for entry in entries("loss")} == LOSSES.keys()


ALONE = {
    "LBFGS": ({"Linear": 4}, "the optimizer LBFGS, which evaluates the model several times a step"),
    "SparseAdam": (
        {"Embedding": {"num_embeddings": 4, "embedding_dim": 2, "sparse": True}},
        "the layer Embedding, whose gradients are sparse",
    ),
}
OPTIMIZERS = [entry for entry in entries("optimizer") if entry.name not in ALONE]


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@by_name(OPTIMIZERS)
def test_an_optimizer_is_its_own_run(entry: Entry, precision: str, folder: Path) -> None:
    """By its stacked step, or by each member's own."""
    matrices = [{"Linear": {"out_features": n, "bias": False}} for n in (4, 1)]
    model = [matrices[0], "Tanh", matrices[1]] if entry.name == "Muon" else [{"Linear": 4}, "Tanh", {"Linear": 1}]
    device = {"type": "cpu", "threads": 1, "precision": precision}
    hold_stack(plans(folder, optimizer=entry.name, model=model, device=device))


@pytest.mark.parametrize("name", ALONE)
def test_an_optimizer_goes_alone(name: str, folder: Path) -> None:
    """And says why."""
    layer, reason = ALONE[name]
    data = {"shaped": {"shape": [5] if "Embedding" in layer else [3]}}
    (first, _) = plans(folder, optimizer=name, model=[layer, "Flatten", {"Linear": 1}], data=data)
    assert why_solo(first) == reason


SCHEDULERS: Mapping[str, Mapping[str, Any]] = {
    "OneCycleLR": {"max_lr": 0.005, "total_steps": 60},
    "CyclicLR": {"base_lr": 0.001, "max_lr": 0.005},
    "LambdaLR": {"lr_lambda": "0.9**epoch"},
    "MultiplicativeLR": {"lr_lambda": "0.9 + 0*epoch"},
    "SequentialLR": {"schedulers": [{"StepLR": 4}, {"StepLR": 2}], "milestones": [3]},
    "ChainedScheduler": {"schedulers": [{"StepLR": 4}, {"ExponentialLR": 0.9}]},
}


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@by_name([entry for entry in entries("scheduler") if entry.traits_as(SchedulerTraits).steps_on != "metric"])
def test_a_scheduler_is_its_own_run(entry: Entry, precision: str, folder: Path) -> None:
    """Stepped at each step; one that steps on a metric is part of the tests of loops."""
    parameters = {p.name: p for p in entry.parameters}
    least = {name: value for name, value in minimal(entry).items() if not parameters[name].supplied}
    options = SCHEDULERS.get(entry.name, least)
    device = {"type": "cpu", "threads": 1, "precision": precision}
    made = plans(
        folder,
        optimizer={"SGD": {"lr": 0.01, "momentum": 0.9}},
        scheduler={entry.name: options} if options else entry.name,
        train={"steps": 50, "scheduler_each": "step"},
        device=device,
    )
    hold_stack(made)
