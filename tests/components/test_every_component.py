"""Each listed component trains: for every entry of the registry a spec of at most twelve lines, run to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annpipe.backend import protocols
from annpipe.registry.entry import Entry
from annpipe.registry.examples import Examples
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe_std.torch_table import EXCLUDED
from tests.properties.settling import in_one_line
from tests.sampling import sample

MOST_LINES = 12
REGISTRY = Registry.installed()
BASE: Mapping[str, Any] = {
    "version": 1,
    "name": "listed",
    "device": {"type": "cpu", "threads": 1},
    "data": {"formula": {"rows": 24, "inputs": {"x": {"Uniform": [-1, 1]}}, "targets": {"y": "x**2"}}},
    "model": [{"Linear": 4}, "Tanh", {"Linear": 1}],
    "loss": "MSELoss",
    "optimizer": {"SGD": 0.001},
    "train": {"epochs": 4, "batch_size": 8},
}
"""Eight lines; a case changes some and adds others."""

NUMBERS = [n / 4 - 2 for n in range(16)]


def table(targets: list[float], **more: Any) -> dict[str, Any]:
    return {"data": {"table": {"inputs": {"x": NUMBERS}, "targets": {"y": targets}}}, **more}


LABELS = [n % 3 for n in range(16)]
OF_CLASSES = table(LABELS, model=[{"Linear": 3}], loss="CrossEntropyLoss")
OF_TWO = table([n % 2 for n in range(16)], loss="BCEWithLogitsLoss")
TOKENS = {"data": {"npz": {"file": "tokens.npz", "inputs": ["x"], "targets": ["y"], "tokens": True}}}
IMAGES = {"data": {"npz": {"file": "images.npz", "inputs": ["x"], "targets": ["y"]}}}
CSV = {"csv": {"files": "rows.csv", "target": "y", "features": ["word"]}}

# What a layer meets, by what its entry says that it needs: a shape of 64 numbers, which a Linear makes of the input.
SHAPES = {
    "(rows, channels, length)": [4, 16],
    "(rows, channels, height, width)": [4, 4, 4],
    "(rows, channels, depth, height, width)": [1, 4, 4, 4],
    "(rows, length, features)": [8, 8],
    "(rows, channels, …)": [4, 16],
    "(rows, channels, length, …)": [4, 16],
    "(rows, features, blocks)": [16, 4],
}
SHAPE_OF = {
    **{name: [4, 16] for name in ("ChannelShuffle", "CircularPad1d", "ZeroPad1d")},
    **{name: [4, 4, 4] for name in ("UpsamplingBilinear2d", "UpsamplingNearest2d", "Dropout2d")},
}
LAYERS: Mapping[str, Any] = {
    "ChannelShuffle": {"ChannelShuffle": 2},
    "EmbeddingBag": {"EmbeddingBag": [10, 4]},
    "Embedding": {"Embedding": [10, 4]},
    "Fold": {"Fold": {"output_size": [4, 4], "kernel_size": [2, 2], "stride": 2}},
    "GroupNorm": {"GroupNorm": 2},
    "MultiheadAttention": {"MultiheadAttention": 2},
    "PixelShuffle": {"PixelShuffle": 2},
    "PixelUnshuffle": {"PixelUnshuffle": 2},
    "TransformerEncoder": {"TransformerEncoder": [{"TransformerEncoderLayer": {"nhead": 2, "dim_feedforward": 8}}, 1]},
    "TransformerEncoderLayer": {"TransformerEncoderLayer": {"nhead": 2, "dim_feedforward": 8}},
    "Unflatten": {"Unflatten": [1, [8, 8]]},
    "Upsample": {"Upsample": {"scale_factor": 2.0}},
    "UpsamplingBilinear2d": {"UpsamplingBilinear2d": {"scale_factor": 2.0}},
    "UpsamplingNearest2d": {"UpsamplingNearest2d": {"scale_factor": 2.0}},
    **{f"FractionalMaxPool{n}d": {f"FractionalMaxPool{n}d": {"kernel_size": 2, "output_size": 2}} for n in (2, 3)},
    **{f"LPPool{n}d": {f"LPPool{n}d": [2.0, 2]} for n in (1, 2, 3)},
    **{
        f"{kind}Pool{n}d": {f"{kind}Pool{n}d": 2}
        for kind in ("Avg", "Max", "AdaptiveAvg", "AdaptiveMax")
        for n in (1, 2, 3)
    },
    **{f"{kind}{n}d": {f"{kind}{n}d": [2, 1]} for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3)},
    **{
        f"{kind}Pad{n}d": {f"{kind}Pad{n}d": [1, 2.0] if kind == "Constant" else 1}
        for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")
        for n in (1, 2, 3)
    },
    "Unfold": {"Unfold": 2},
}
MODELS: Mapping[str, list[Any]] = {
    "join": [{"tap": "first"}, {"Linear": 4}, {"join": "first"}, {"Linear": 1}],
    "tap": [{"tap": "first"}, {"Linear": 4}, {"join": "first"}, {"Linear": 1}],
    "take": [{"tap": "first"}, {"Linear": 4}, {"tap": "own"}, {"take": "first"}, {"join": "own"}, {"Linear": 1}],
    "output_of": [{"Unflatten": [1, [1, 1]]}, {"output_of": [{"LSTM": 4}, "last_step"]}, {"Linear": 1}],
    "parallel": [{"parallel": [[{"Linear": 2}], [{"Linear": 2}]]}, {"Linear": 1}],
    "repeat": [{"repeat": [2, [{"Linear": 4}, "ReLU"]]}, {"Linear": 1}],
    "residual": [{"residual": [{"Linear": 4}, "ReLU"]}, {"Linear": 1}],
    "shared": [{"shared": "own"}, "Tanh", {"shared": "own"}],
}
SPECS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("layer", "shared"): {"blocks": {"own": [{"Linear": 1}]}},
    ("layer", "Embedding"): TOKENS,
    ("layer", "EmbeddingBag"): TOKENS,
    ("layer", "mean_variance"): {"model": [{"Linear": 2}, "mean_variance"], "loss": "GaussianNLLLoss"},
    ("layer", "quantiles"): {
        "model": [{"Linear": 3}, {"quantiles": 3}],
        "loss": {"QuantileLoss": {"quantiles": [0.1, 0.5, 0.9]}},
    },
    ("loss", "GaussianNLLLoss"): {"model": [{"Linear": 2}, "mean_variance"]},
    ("loss", "BCELoss"): table([n % 2 for n in range(16)], model=[{"Linear": 1}, "Sigmoid"]),
    ("loss", "BCEWithLogitsLoss"): OF_TWO,
    ("loss", "CrossEntropyLoss"): OF_CLASSES,
    ("loss", "MultiMarginLoss"): OF_CLASSES,
    ("loss", "NLLLoss"): {**OF_CLASSES, "model": [{"Linear": 3}, "LogSoftmax"]},
    ("loss", "KLDivLoss"): {"model": [{"Linear": 1}, "LogSigmoid"]},
    ("loss", "HingeEmbeddingLoss"): table([1 - 2 * (n % 2) for n in range(16)]),
    ("loss", "SoftMarginLoss"): table([1 - 2 * (n % 2) for n in range(16)]),
    ("loss", "MultiLabelSoftMarginLoss"): OF_TWO,
    ("loss", "PoissonNLLLoss"): table([n % 5 for n in range(16)]),
    ("optimizer", "Muon"): {"model": [{"Linear": [4, False]}, {"Linear": [1, False]}]},
    ("optimizer", "SparseAdam"): {
        **TOKENS,
        "model": [{"EmbeddingBag": {"num_embeddings": 10, "embedding_dim": 1, "sparse": True}}],
    },
    ("scheduler", "SequentialLR"): {
        "scheduler": {"SequentialLR": [[{"ConstantLR": [0.5, 2]}, {"ExponentialLR": 0.9}], [2]]}
    },
    ("scheduler", "ChainedScheduler"): {
        "scheduler": {"ChainedScheduler": [[{"ConstantLR": [0.5, 2]}, {"ExponentialLR": 0.9}]]}
    },
    ("scheduler", "LambdaLR"): {"scheduler": {"LambdaLR": "0.95**epoch"}},
    ("scheduler", "MultiplicativeLR"): {"scheduler": {"MultiplicativeLR": "0.95"}},
    ("scheduler", "OneCycleLR"): {"scheduler": {"OneCycleLR": {"max_lr": 0.1, "total_steps": 4}}},
    ("scheduler", "CyclicLR"): {"scheduler": {"CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2}}},
    ("initializer", "dirac_"): {
        "model": {"layers": [{"Unflatten": [1, [1, 1]]}, {"Conv1d": [1, 1]}, "Flatten"], "init": {"weight": "dirac_"}}
    },
    ("initializer", "constant_"): {"model": {"layers": [{"Linear": 1}], "init": {"weight": {"constant_": 0.5}}}},
    ("initializer", "sparse_"): {"model": {"layers": [{"Linear": 1}], "init": {"weight": {"sparse_": 0.1}}}},
    ("data", "csv"): {"data": {"csv": {"files": "rows.csv", "target": "y", "features": "x"}}},
    ("data", "parquet"): {"data": {"parquet": {"files": "rows.parquet", "target": "y"}}},
    ("data", "npz"): {**IMAGES, "model": ["Flatten", {"Linear": 1}]},
    ("data", "sklearn"): {"data": {"sklearn": {"load": "diabetes"}}, "optimizer": {"SGD": 1e-6}},
    ("data", "table"): table([n / 8 for n in range(16)]),
    ("data", "formula"): {},
    ("transform", "embedding"): {"data": {**CSV, "transforms": {"word": {"embedding": 2}}}},
    ("transform", "one_hot"): {"data": {**CSV, "transforms": {"word": "one_hot"}}},
    **{
        ("transform", name): {**IMAGES, "model": ["Flatten", {"Linear": 1}]}
        for name in ("normalize", "random_flip", "random_shift")
    },
    ("transform", "random_crop"): {
        "data": {**IMAGES["data"], "transforms": {"x": {"random_crop": 4}}},
        "model": ["Flatten", {"Linear": 1}],
    },
    **{("metric", name): OF_TWO for name in ("AUROC", "AveragePrecision")},
    **{
        ("metric", name): OF_CLASSES
        for name in ("Accuracy", "CohenKappa", "F1Score", "MatthewsCorrCoef", "Precision", "Recall")
    },
    **{
        ("plot", name): OF_CLASSES
        for name in ("confusion_matrix", "roc_curve", "precision_recall_curve", "calibration", "per_class")
    },
    ("distribution", "MixtureSameFamily"): {
        "data": {
            "formula": {
                "rows": 24,
                "inputs": {
                    "x": {"MixtureSameFamily": [{"Categorical": {"probs": [0.3, 0.7]}}, {"Normal": [[0, 2], [1, 1]]}]}
                },
                "targets": {"y": "x"},
            }
        }
    },
}
LOSSES: Mapping[str, Any] = {
    "KLDivLoss": {"KLDivLoss": {"reduction": "batchmean"}},
    "per_target": {"per_target": {"losses": {"y": "L1Loss"}}},
    "weighted_sum": {"weighted_sum": [["L1Loss", "MSELoss"], [1, 2]]},
}
DISTRIBUTIONS: Mapping[str, Any] = {
    "Categorical": {"probs": [0.5, 0.5]},
    "GeneralizedPareto": {"loc": 0.0, "scale": 1.0, "concentration": 0.1},
    "Uniform": [0, 1],
    **{name: {"probs": 0.5} for name in ("Bernoulli", "Binomial", "ContinuousBernoulli", "Geometric")},
    "NegativeBinomial": {"total_count": 3, "probs": 0.5},
    "RelaxedBernoulli": {"temperature": 1.0, "probs": 0.5},
}


def spelt(entry: Entry) -> Any:
    """The component in its shortest spelling."""
    return next(Examples(REGISTRY).spellings(entry))


def spec_of(entry: Entry) -> dict[str, Any]:
    """The sections of a spec that uses the component."""
    kind, name = entry.kind, entry.name
    own: dict[str, Any] = dict(SPECS.get((kind, name), {}))
    if kind == "layer" and "model" not in own:
        own["model"] = MODELS.get(name) or _around(entry, own)
    elif kind in ("optimizer", "scheduler", "average") and kind not in own:
        own[kind] = spelt(entry)
    elif kind == "loss":
        own["loss"] = LOSSES.get(name) or spelt(entry)
    elif kind in ("metric", "plot", "callback"):
        own[f"{kind}s"] = [spelt(entry)]
        own.setdefault("data", {**BASE["data"], "split": {"val": 0.25}})
    elif kind == "initializer" and "model" not in own:
        own["model"] = {"layers": [{"Linear": 4}, {"Linear": 1}], "init": {"weight": name}}
    elif kind == "transform" and "transforms" not in own.get("data", {}):
        own["data"] = {**own.get("data", BASE["data"]), "transforms": {"x": spelt(entry)}}
    elif kind == "distribution" and "data" not in own:
        drawn = {name: DISTRIBUTIONS[name]} if name in DISTRIBUTIONS else spelt(entry)
        own["data"] = {"formula": {"rows": 24, "inputs": {"x": drawn}, "targets": {"y": "0.1*x"}}}
    return {**BASE, **own}


def _around(entry: Entry, own: Mapping[str, Any]) -> list[Any]:
    """Layers before that make the shape which the layer needs, and behind it down to one number."""
    layer = LAYERS.get(entry.name) or spelt(entry)
    needs = entry.traits_as(LayerTraits).needs or ""
    shape = SHAPE_OF.get(entry.name) or SHAPES.get(needs)
    before = [{"Linear": 64}, *([{"Unflatten": [1, shape]}] if shape else [])]
    return [*([] if "data" in own else before), layer, "Flatten", {"Linear": 1}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of rows that some specs name."""
    folder = tmp_path_factory.mktemp("rows")
    generator = np.random.default_rng(0)
    y = generator.normal(size=16)
    np.savez(folder / "tokens.npz", x=generator.integers(0, 10, (16, 3)), y=y)
    np.savez(folder / "images.npz", x=generator.normal(size=(16, 1, 6, 6)), y=y)
    rows = {"x": list(y), "word": [("a", "b", "c")[n % 3] for n in range(16)], "y": [float(v) for v in y]}
    (folder / "rows.csv").write_text(
        "x,word,y\n" + "\n".join(f"{x},{word},{z}" for x, word, z in zip(*rows.values(), strict=True)) + "\n"
    )
    pq.write_table(pa.table({"x": rows["x"], "y": rows["y"]}), folder / "rows.parquet")
    return folder


ENTRIES = [entry for kind in KINDS for entry in REGISTRY.entries(kind)]


def test_nothing_else_is_listed() -> None:
    """The classes of torch that a spec has no use for are left out, each with its reason."""
    assert len(ENTRIES) > 250
    listed = {entry.name for entry in ENTRIES}
    for unfit in ("CTCLoss", "MarginRankingLoss", "Bilinear", "TransformerDecoder", "MultivariateNormal"):
        assert unfit not in listed
        assert EXCLUDED[unfit]


@pytest.mark.parametrize("entry", sample(ENTRIES, 3), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_a_listed_component_trains(
    entry: Entry, go: Any, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spec of at most twelve lines ends as FINISHED, with a model that answers; what is built is what its kind is."""
    monkeypatch.setattr(protocols, "TESTED", ())
    for file in files.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    sections = spec_of(entry)
    lines = [f"{name}: {in_one_line(value)}" for name, value in sections.items()]
    assert len(lines) <= MOST_LINES
    gone = go("\n".join(lines) + "\n")
    assert (gone.outcome.status, gone.outcome.error) == ("FINISHED", None), json.dumps(sections)
    assert f"{entry.name}" in "\n".join(lines)
