"""What single components need so that a short spec can use them: options, layers around them, rows of a kind.

Most components need nothing here: the smallest spec of their kind and their shortest spelling do. A component of one's
own says the same in its attribute `checked_in`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


def table(targets: Sequence[float], **more: Any) -> dict[str, Any]:
    """A table of 16 rows with these targets, and further sections."""
    return {"data": {"table": {"inputs": {"x": NUMBERS}, "targets": {"y": list(targets)}}}, **more}


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
    ("data", "json_lines"): {"data": {"json_lines": {"files": "rows.jsonl", "target": "y"}}},
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
