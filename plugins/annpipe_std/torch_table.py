"""What torch's signatures leave out: types, bounds and descriptions of options by name; classes a spec cannot name.

A row holds for every class of the kind that has a parameter of that name; `OF_CLASS` is for names that mean something
else in one class. Bounds are torch's own checks, and sizes that would be meaningless below 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """Words, type ("" where the signature's own holds) and bounds of an option."""

    words: str
    type: str = ""
    bounds: Mapping[str, float] = field(default_factory=dict)


def _o(words: str, type_: str = "", **bounds: float) -> Option:
    return Option(words, type_, bounds)


def options_of(kind: str, name: str) -> dict[str, Option]:
    """The rows that hold for one class: those of its kind, then those of its name."""
    shared = {**TABLE["layer"], **TABLE["loss"]} if kind == "loss" else TABLE[kind]
    return {**shared, **OF_CLASS.get(name, {})}


REDUCTION = "'none' | 'mean' | 'sum'"
EACH_DIMENSION = "one number for all dimensions or a list of one for each"

TABLE: dict[str, dict[str, Option]] = {
    "layer": {
        "activation": _o("the nonlinearity between the two linear maps", "'relu' | 'gelu'"),
        "add_bias_kv": _o("whether a learned row is added to keys and values", "bool"),
        "add_zero_attn": _o("whether a row of zeros is added to keys and values", "bool"),
        "affine": _o("whether each channel has a learned scale and shift"),
        "align_corners": _o("whether the corners of input and output meet; for linear modes"),
        "alpha": _o("the scale of the negative part"),
        "approximate": _o("'tanh' is faster and slightly different", "'none' | 'tanh'"),
        "batch_first": _o("whether rows come before positions; data is (rows, length, features)", "bool"),
        "beta": _o("the exponent"),
        "bias": _o("whether a learned shift is added", "bool"),
        "bidirectional": _o("whether the sequence is read from both ends", "bool"),
        "ceil_mode": _o("whether sizes that do not divide are rounded up"),
        "count_include_pad": _o("whether padded zeros count in the average"),
        "d_model": _o("features of each position", ge=1),
        "dilation": _o(f"the distance between the points of the kernel: {EACH_DIMENSION}", ge=1),
        "dim": _o("the dimension it works along, rows being 0; -1 is the last"),
        "dim_feedforward": _o("width of the two linear maps inside", ge=1),
        "divisor_override": _o("what sums are divided by instead of the size of the window", ge=1),
        "downscale_factor": _o("how many times smaller height and width become", ge=1),
        "dropout": _o("the share of values set to zero in training", "float", ge=0, le=1),
        "elementwise_affine": _o("whether each element has a learned scale and shift"),
        "embed_dim": _o("features of each position", "int", ge=1),
        "embedding_dim": _o("length of each vector", ge=1),
        "enable_nested_tensor": _o("whether padding is skipped in evaluation"),
        "encoder_layer": _o("the layer that is repeated", "layer"),
        "end_dim": _o("the last dimension to merge"),
        "eps": _o("a small number that keeps divisions finite", ge=0),
        "groups": _o("into how many separate groups the channels are split", ge=1),
        "hidden_size": _o("features of the hidden state", ge=1),
        "in_channels": _o("channels that arrive", ge=1),
        "in_features": _o("features that arrive", ge=1),
        "include_last_offset": _o("whether the offsets end with the number of indices"),
        "init": _o("the first value of the learned slope"),
        "inplace": _o("whether the input is overwritten, which saves memory"),
        "input_size": _o("features that arrive at each position", "int", ge=1),
        "k": _o("the constant added before the division"),
        "kdim": _o("features of the keys, where they differ", "int | None", ge=1),
        "kernel_size": _o(f"size of the window: {EACH_DIMENSION}", ge=1),
        "lambd": _o("half the width of the band that becomes zero"),
        "layer_norm_eps": _o("a small number that keeps the normalization finite", ge=0),
        "lower": _o("the least slope of the negative part"),
        "mask_check": _o("whether the padding mask is checked before padding is skipped"),
        "max_norm": _o("the length that vectors are cut to"),
        "max_val": _o("the largest output"),
        "min_val": _o("the least output"),
        "mode": _o("how values are computed", "str"),
        "momentum": _o("the weight of the newest batch in the running statistics; null: a plain average of all"),
        "negative_slope": _o("the slope of the negative part"),
        "nhead": _o("number of attention heads; must divide d_model", ge=1),
        "nonlinearity": _o("what the hidden state passes through", "'tanh' | 'relu'"),
        "norm": _o("a layer that the output passes through last", "layer | None"),
        "norm_first": _o("whether normalization comes before attention and linear maps, not after"),
        "norm_type": _o("the p of the p-norm"),
        "normalized_shape": _o("sizes of the last dimensions, which are normalized together", "int | list[int]", ge=1),
        "num_channels": _o("channels that arrive", ge=1),
        "num_embeddings": _o("number of different tokens", ge=1),
        "num_features": _o("features or channels that arrive", ge=1),
        "num_groups": _o("number of groups of channels; must divide them", ge=1),
        "num_heads": _o("number of attention heads; must divide embed_dim", "int", ge=1),
        "num_layers": _o("number of layers, one on the other", ge=1),
        "num_parameters": _o("one slope for all, or one for each channel", ge=1),
        "out_channels": _o("channels that leave", ge=1),
        "out_features": _o("features that leave", ge=1),
        "output_padding": _o(f"added to one side of the output: {EACH_DIMENSION}", ge=0),
        "output_ratio": _o("size of the output as a share of the input", gt=0, lt=1),
        "output_size": _o(f"size of the output: {EACH_DIMENSION}", ge=1),
        "p": _o("the share of values set to zero in training", ge=0, le=1),
        "padding": _o(f"added on both sides: {EACH_DIMENSION}", ge=0),
        "padding_idx": _o("the token whose vector stays as it is"),
        "padding_mode": _o("what stands beyond the edges"),
        "proj_size": _o("features that the hidden state is projected to; 0: no projection", ge=0),
        "recompute_scale_factor": _o("whether the factor is computed again from the rounded size"),
        "return_indices": _o("whether the places of the maxima are given too"),
        "scale_factor": _o(f"how many times larger the output is: {EACH_DIMENSION}", gt=0),
        "scale_grad_by_freq": _o("whether gradients are divided by how often the token occurs in the batch"),
        "size": _o("how many neighbouring channels are summed", ge=1),
        "sparse": _o("whether gradients are sparse, as SparseAdam needs"),
        "start_dim": _o("the first dimension to merge; 0 would merge the rows"),
        "stride": _o(f"the step of the window: {EACH_DIMENSION}", ge=1),
        "threshold": _o("where the function changes its form"),
        "track_running_stats": _o("whether running statistics are kept for evaluation"),
        "unflattened_size": _o("the sizes it is split into", "list[int]"),
        "upper": _o("the largest slope of the negative part"),
        "upscale_factor": _o("how many times larger height and width become", ge=1),
        "value": _o("the number that is put in"),
        "vdim": _o("features of the values, where they differ", "int | None", ge=1),
    },
    "loss": {
        "beta": _o("where the loss turns from squared to absolute", ge=0),
        "delta": _o("where the loss turns from squared to absolute", gt=0),
        "eps": _o("a small number that keeps the loss finite", ge=0),
        "full": _o("whether constant terms are included"),
        "ignore_index": _o("the label that does not count"),
        "label_smoothing": _o("the share of the target spread evenly over all classes", ge=0, le=1),
        "log_input": _o("whether predictions are logarithms of the rate"),
        "log_target": _o("whether targets are log-probabilities"),
        "margin": _o("the distance from which on nothing is lost"),
        "reduction": _o("how the losses of the rows become one number", REDUCTION),
        "weight": _o("a weight for each class", "tensor | None", ge=0),
    },
    "optimizer": {
        "adjust_lr_fn": _o("how the rate follows a matrix's shape", "'original' | 'match_rms_adamw' | None"),
        "alpha": _o("how slowly the average of squared gradients forgets", ge=0),
        "amsgrad": _o("whether the largest second moment so far is used"),
        "beta2_decay": _o("how the average of squared gradients forgets over time", le=0),
        "betas": _o("how slowly the averages of gradients and squares forget", "tuple[float, float]", ge=0, lt=1),
        "capturable": _o("whether the step can be part of a CUDA graph"),
        "centered": _o("whether gradients are normalized by their variance"),
        "d": _o("the largest root mean square of an update", ge=1),
        "dampening": _o("how much the newest gradient is damped in the momentum"),
        "decoupled_weight_decay": _o("whether weights decay apart from the gradient, as in AdamW"),
        "differentiable": _o("whether gradients can flow through the step"),
        "eps": _o("a small number that keeps divisions finite", ge=0),
        "etas": _o("the factors by which step sizes shrink and grow", "tuple[float, float]", gt=0),
        "foreach": _o("whether all parameters are stepped at once; null: torch decides"),
        "fused": _o("whether one kernel does the whole step; null: where there is one"),
        "history_size": _o("number of past steps that shape the next", ge=1),
        "initial_accumulator_value": _o("where the sum of squared gradients starts", ge=0),
        "lambd": _o("how fast the rate decays", ge=0),  # torch takes a negative one, and a complex rate comes of it
        "line_search_fn": _o("how the step's length is searched; null: it is lr", "'strong_wolfe' | None"),
        "lr": _o("the learning rate", "float", ge=0),
        "lr_decay": _o("how the rate falls with the steps", ge=0),
        "max_eval": _o("the most evaluations of the loss in a step; null: max_iter * 5 / 4", ge=1),
        "max_iter": _o("the most iterations in a step", ge=1),
        "maximize": _o("whether to climb instead of to descend"),
        "momentum": _o("how much of the last step goes into the next", ge=0),
        "momentum_decay": _o("how the momentum falls with the steps", ge=0),
        "nesterov": _o("whether Nesterov's momentum is used"),
        "ns_coefficients": _o("coefficients of the Newton-Schulz iteration", "tuple[float, float, float]"),
        "ns_steps": _o("number of Newton-Schulz iterations", ge=1),
        "params": _o("the parameters of the model"),
        "rho": _o("how slowly the average of squared gradients forgets", ge=0, le=1),
        "step_sizes": _o("the least and the largest step size", "tuple[float, float]", gt=0),
        "t0": _o("the step at which averaging starts"),
        "tolerance_change": _o("stops the step when parameters or loss change less", ge=0),
        "tolerance_grad": _o("stops the step when the gradient is smaller", ge=0),
        "weight_decay": _o("how strongly weights are pulled to zero", "float", ge=0),
    },
    "scheduler": {
        "T_0": _o("steps until the first restart", ge=1),
        "T_max": _o("steps from the highest to the lowest rate; null: those of the run", "int | None", ge=1),
        "T_mult": _o("the factor by which each cycle is longer than the last", ge=1),
        "anneal_strategy": _o("whether the rate falls on a cosine or a line"),
        "base_lr": _o("the lowest rate", ge=0),
        "base_momentum": _o("the lowest momentum", ge=0),
        "cycle_momentum": _o("whether momentum moves against the rate; the optimizer must have one"),
        "div_factor": _o("the first rate is max_lr divided by this", gt=0),
        "end_factor": _o("the factor at the end", ge=0, le=1),
        "epochs": _o("number of epochs, in place of total_steps", ge=1),
        "eta_min": _o("the lowest rate", ge=0),
        "factor": _o("what the rate is multiplied by", ge=0, le=1),
        "final_div_factor": _o("the last rate is the first one divided by this", gt=0),
        "gamma": _o("what the rate is multiplied by at each fall"),
        "lr_lambda": _o("what gives the factor of the rate", "expression[epoch] | list[expression[epoch]]"),
        "max_lr": _o("the highest rate", ge=0),
        "max_momentum": _o("the highest momentum", ge=0),
        "milestones": _o("the steps at which something changes", "list[int]", ge=0),
        "mode": _o("whether the metric should fall or rise"),
        "optimizer": _o("the optimizer whose rate is set"),
        "pct_start": _o("the share of the cycle in which the rate rises", ge=0, le=1),
        "power": _o("the power of the polynomial"),
        "scale_mode": _o("whether the scale follows cycles or steps"),
        "schedulers": _o("the schedulers", "list[scheduler]"),
        "start_factor": _o("the factor at the start", gt=0, le=1),
        "step_size": _o("steps between two falls", ge=1),
        "step_size_down": _o("steps from the highest to the lowest rate; null: as many as up", ge=1),
        "step_size_up": _o("steps from the lowest to the highest rate", ge=1),
        "steps_per_epoch": _o("number of steps in an epoch, with epochs", ge=1),
        "three_phase": _o("whether a third phase brings the rate to its end"),
        "total_iters": _o("steps until the end", ge=1),
        "total_steps": _o("steps in the cycle", ge=1),
    },
    "initializer": {
        "a": _o("the slope of leaky_relu's negative part", "float"),
        "gain": _o("what the spread is multiplied by", "float"),
        "generator": _o("the one that random numbers are drawn from"),
        "groups": _o("into how many groups of channels the tensor is split", ge=1),
        "mean": _o("the mean"),
        "mode": _o("whether the spread is kept forwards (fan_in) or backwards (fan_out)"),
        "nonlinearity": _o("what follows the layer; with relu or leaky_relu"),
        "sparsity": _o("the share of zeros in each column", ge=0, le=1),
        "std": _o("the standard deviation", ge=0),
        "tensor": _o("the parameter, which is filled in place"),
        "val": _o("the value"),
    },
    "distribution": {
        "alpha": _o("the shape: larger falls faster", "tensor", gt=0),
        "component_distribution": _o("the distributions that are mixed", "distribution"),
        "concentration": _o("the shape", "tensor", gt=0),
        "concentration0": _o("the second shape (beta)", "tensor", gt=0),
        "concentration1": _o("the first shape (alpha)", "tensor", gt=0),
        "df": _o("degrees of freedom", "tensor", gt=0),
        "df1": _o("degrees of freedom of the numerator", "tensor", gt=0),
        "df2": _o("degrees of freedom of the denominator", "tensor", gt=0),
        "high": _o("the upper end", "tensor"),
        "lims": _o("between these a stable expansion is used", "tuple[float, float]", gt=0, lt=1),
        "loc": _o("the centre", "tensor"),
        "logits": _o("log-odds of the events, in place of probs", "tensor | None"),
        "low": _o("the lower end", "tensor"),
        "mixture_distribution": _o("a Categorical that chooses the component", "distribution"),
        "probs": _o("probabilities of the events", "tensor | None", ge=0, le=1),
        "rate": _o("events in a unit", "tensor", gt=0),
        "scale": _o("the width", "tensor", gt=0),
        "temperature": _o("how far from 0 and 1 samples are", "tensor", gt=0),
        "total_count": _o("number of trials", "tensor", ge=0),
    },
}

_PADDING_1D = "int | tuple[int, int]"
_PADDING_2D = "int | tuple[int, int, int, int]"
_PADDING_3D = "int | tuple[int, int, int, int, int, int]"
_ADDED = "cells added: one number for all sides, or a list: left, right, top, bottom, front, back"
_SIZE = f"size of the output, in place of scale_factor: {EACH_DIMENSION}"
_WEIGHTS = _o("weights of the events; they need not sum to 1", "tensor | None", ge=0)


def _pads(*prefixes: str) -> dict[str, dict[str, Option]]:
    rows = {}
    for prefix in prefixes:
        for rank, type_ in (("1d", _PADDING_1D), ("2d", _PADDING_2D), ("3d", _PADDING_3D)):
            rows[f"{prefix}Pad{rank}"] = {"padding": _o(_ADDED, type_)}
    return rows


def _convolutions() -> dict[str, dict[str, Option]]:
    rows = {}
    for rank in (1, 2, 3):
        each = ", ".join(["int"] * rank)
        words = f"added on both sides, or 'same' to keep the size: {EACH_DIMENSION}"
        rows[f"Conv{rank}d"] = {"padding": _o(words, f"'valid' | 'same' | int | tuple[{each}]", ge=0)}
    return rows


def _adaptive_pools() -> dict[str, dict[str, Option]]:
    words = f"size of the output, null for that of the input: {EACH_DIMENSION}"
    rows = {}
    for prefix in ("AdaptiveAvgPool", "AdaptiveMaxPool"):
        rows[f"{prefix}1d"] = {"output_size": _o("length of the output", "int | tuple[int]", ge=1)}
        for rank in (2, 3):
            each = ", ".join(["int | None"] * rank)
            rows[f"{prefix}{rank}d"] = {"output_size": _o(words, f"int | None | tuple[{each}]", ge=1)}
    return rows


_PAIR = "int | tuple[int, int]"

_CLASS_WEIGHT = _o(
    "a weight for each class; balanced: rows / (classes · rows of the class), of the train split",
    "tensor | 'balanced' | None",
    ge=0,
)
OF_CLASS: dict[str, dict[str, Option]] = {
    "CrossEntropyLoss": {"weight": _CLASS_WEIGHT},
    "NLLLoss": {"weight": _CLASS_WEIGHT},
    "BCEWithLogitsLoss": {
        "pos_weight": _o(
            "a weight of the 1s, one for each output; balanced: 0s for each 1, of the train split",
            "tensor | 'balanced' | None",
            ge=0,
        ),
    },
    "trunc_normal_": {"a": _o("the lower end", "float"), "b": _o("the upper end", "float")},
    "uniform_": {"a": _o("the lower end", "float"), "b": _o("the upper end", "float")},
    **_pads("Circular", "Constant", "Reflection", "Replication", "Zero"),
    **_convolutions(),
    **_adaptive_pools(),
    "CrossMapLRN2d": {
        "alpha": _o("the factor of the sum of squares"),
        "k": _o("the constant added before the division", "float"),
    },
    "EmbeddingBag": {"mode": _o("how the vectors of a row become one", "'sum' | 'mean' | 'max'")},
    "Fold": {
        "output_size": _o("height and width of the output", _PAIR, ge=1),
        "kernel_size": _o("size of the blocks", _PAIR, ge=1),
        "dilation": _o("the distance between the points of a block", _PAIR, ge=1),
        "padding": _o("cells that were added on both sides", _PAIR, ge=0),
        "stride": _o("the step between blocks", _PAIR, ge=1),
    },
    "FractionalMaxPool2d": {
        "output_size": _o("size of the output; this or output_ratio", "int | tuple[int, int] | None", ge=1),
    },
    "FractionalMaxPool3d": {
        "output_size": _o("size of the output; this or output_ratio", "int | tuple[int, int, int] | None", ge=1),
    },
    "LPPool1d": {
        "kernel_size": _o("size of the window", "int", ge=1),
        "stride": _o("the step of the window; null: its size", "int | None", ge=1),
    },
    "KLDivLoss": {"reduction": _o("how the losses become one number", "'none' | 'mean' | 'sum' | 'batchmean'")},
    "LocalResponseNorm": {"alpha": _o("the factor of the sum of squares")},
    "MultiMarginLoss": {"weight": _CLASS_WEIGHT, "p": _o("the power of the distance", "1 | 2")},
    "Softplus": {"beta": _o("how sharp the bend is"), "threshold": _o("above this the function is the identity")},
    "Threshold": {"threshold": _o("inputs above this pass"), "value": _o("what all other inputs become")},
    "Unflatten": {"dim": _o("the dimension that is split; 0 would split the rows", "int")},
    "Unfold": {
        "kernel_size": _o("size of the blocks", _PAIR, ge=1),
        "dilation": _o("the distance between the points of a block", _PAIR, ge=1),
        "padding": _o("cells added on both sides", _PAIR, ge=0),
        "stride": _o("the step between blocks", _PAIR, ge=1),
    },
    "Upsample": {
        "size": _o(_SIZE, "int | tuple[int] | tuple[int, int] | tuple[int, int, int] | None", ge=1),
        "scale_factor": _o(
            f"how many times larger the output is: {EACH_DIMENSION}",
            "float | tuple[float] | tuple[float, float] | tuple[float, float, float] | None",
            gt=0,
        ),
        "mode": _o("how values between are computed", "'nearest' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear'"),
    },
    "UpsamplingBilinear2d": {"size": _o(_SIZE, "int | tuple[int, int] | None", ge=1)},
    "UpsamplingNearest2d": {"size": _o(_SIZE, "int | tuple[int, int] | None", ge=1)},
    # optimizers
    "ASGD": {"alpha": _o("the power by which the rate falls")},
    "Adafactor": {"eps": _o("least values of squared gradient and step", "tuple[float | None, float]", ge=0)},
    # schedulers
    "LinearLR": {"total_iters": _o("steps to the last factor; null: those of the run", "int | None", ge=1)},
    "PolynomialLR": {"total_iters": _o("steps until the rate is zero; null: those of the run", "int | None", ge=1)},
    "ConstantLR": {"total_iters": _o("steps until the factor is dropped", ge=0)},
    "MultiStepLR": {"milestones": _o("the steps at which the rate falls", "list[int]", ge=0)},
    "SequentialLR": {"milestones": _o("the steps at which the next scheduler takes over", "list[int]", ge=0)},
    "CyclicLR": {"mode": _o("the form of the cycle"), "gamma": _o("the factor of each step, for mode exp_range")},
    # distributions
    "Categorical": {"probs": _WEIGHTS},
    "GeneralizedPareto": {"concentration": _o("the shape: how heavy the tail is", "tensor")},
    "Geometric": {"probs": _o("probability of success in a trial", "tensor | None", gt=0, le=1)},
    "NegativeBinomial": {
        "total_count": _o("number of failures at which counting stops", "tensor", ge=0),
        "probs": _o("probability of success in a trial", "tensor | None", ge=0, lt=1),
    },
    "Poisson": {"rate": _o("events in a unit", "tensor", ge=0)},
}

# A rank in the class's name gives these a type: int, or a list of one int for each dimension.
RANK_SIZES = ("kernel_size", "stride", "padding", "dilation", "output_padding")

# Defaults that differ from torch's own.
_ROWS_FIRST = {"batch_first": True}  # data is rows first: torch's (length, rows, features) would mix rows up
_LAST = {"dim": -1}  # torch's guess is deprecated, and for (rows, length, features) it means the rows
_RELU = {"activation": "relu"}  # the same function as torch's default, by the name that YAML can say
DEFAULTS: dict[str, dict[str, Any]] = {
    "GRU": _ROWS_FIRST,
    "LSTM": _ROWS_FIRST,
    "LogSoftmax": _LAST,
    "MultiheadAttention": _ROWS_FIRST,
    "RNN": _ROWS_FIRST,
    "Softmax": _LAST,
    "Softmin": _LAST,
    "TransformerEncoderLayer": _ROWS_FIRST | _RELU,
}

# Parameters that YAML cannot say or that are not the spec's to set.
HIDDEN = frozenset(
    {
        *("device", "dtype"),  # the spec's `device` section
        *("args", "kwargs"),  # taken and ignored by Identity
        *("size_average", "reduce", "min_value", "max_value"),  # deprecated
        *("_weight", "_freeze", "_random_samples", "process_group"),  # torch's own business
        *("custom_encoder", "custom_decoder", "distance_function", "scale_fn", "options"),  # Python objects
        "last_epoch",  # resuming is the engine's
        "validate_args",  # always on
    }
)

# Devices with a fused kernel, where they are fewer than cpu, cuda and mps.
FUSED = {"Adagrad": ["cpu"]}  # torch names CPU and CUDA, never MPS; CUDA is left out until tried

NEEDS = {
    1: "(rows, channels, length)",
    2: "(rows, channels, height, width)",
    3: "(rows, channels, depth, height, width)",
}
_SEQUENCE = "(rows, length, features)"
NEEDS_BY_NAME = {
    "BatchNorm1d": "(rows, features) or (rows, features, length)",
    "ChannelShuffle": "(rows, channels, …)",
    "Embedding": "whole numbers (tokens) of any shape",
    "EmbeddingBag": "whole numbers (tokens), (rows, length)",
    "FeatureAlphaDropout": "(rows, channels, …)",
    "Fold": "(rows, features, blocks)",
    "GRU": _SEQUENCE,
    "GRUCell": "(rows, features)",
    "GroupNorm": "(rows, channels, …)",
    "LSTM": _SEQUENCE,
    "LSTMCell": "(rows, features)",
    "LocalResponseNorm": "(rows, channels, …)",
    "MultiheadAttention": _SEQUENCE,
    "PixelShuffle": NEEDS[2],
    "PixelUnshuffle": NEEDS[2],
    "RNN": _SEQUENCE,
    "RNNCell": "(rows, features)",
    "TransformerEncoder": _SEQUENCE,
    "TransformerEncoderLayer": _SEQUENCE,
    "Unfold": NEEDS[2],
    "Upsample": "(rows, channels, length, …)",
}

_LAZY = "the engine fills sizes from the shapes that arrive: write the layer without Lazy"
_CONTAINER = "a spec's `layers` is the container"
_BASE = "a base class"
_SEVERAL = "takes several tensors; in a stack one arrives"
_VECTORS = "draws vectors or matrices; a column is one number a row"
EXCLUDED: dict[str, str] = {
    "AdaptiveLogSoftmaxWithLoss": "gives (output, loss) instead of one number",
    "Container": "deprecated; a spec's `layers` is the container",
    "DataParallel": "takes a module that is already built",
    "Distribution": _BASE,
    "ExponentialFamily": _BASE,
    "LRScheduler": _BASE,
    "LinearCrossEntropyLoss": "has weights that the model's optimizer would not see: Linear, CrossEntropyLoss",
    "Module": _BASE,
    "ModuleDict": _CONTAINER,
    "ModuleList": _CONTAINER,
    "NLLLoss2d": "deprecated: NLLLoss takes targets of any shape",
    "Optimizer": _BASE,
    "ParameterDict": _CONTAINER,
    "ParameterList": _CONTAINER,
    "RNNBase": _BASE,
    "RNNCellBase": _BASE,
    "Sequential": _CONTAINER,
    **dict.fromkeys(("Bilinear", "CosineSimilarity", "PairwiseDistance"), _SEVERAL),
    **dict.fromkeys(("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"), _SEVERAL),
    **dict.fromkeys(("Transformer", "TransformerDecoder", "TransformerDecoderLayer"), _SEVERAL),
    **dict.fromkeys(
        (
            *("Dirichlet", "Independent", "LKJCholesky", "LogisticNormal", "LowRankMultivariateNormal", "Multinomial"),
            *("MultivariateNormal", "OneHotCategorical", "OneHotCategoricalStraightThrough"),
            *("RelaxedOneHotCategorical", "Wishart"),
        ),
        _VECTORS,
    ),
    "GaussianNLLLoss": "annpipe_std.losses has it, for models that give mean and variance",
    **dict.fromkeys(("CosineEmbeddingLoss", "MarginRankingLoss"), "compares two predictions; a run has one"),
    **dict.fromkeys(("TripletMarginLoss", "TripletMarginWithDistanceLoss"), "compares three embeddings; a run has one"),
    "CTCLoss": "takes the lengths of sequences beside them; a run has one prediction and one target",
    "MultiLabelMarginLoss": "takes labels in a list that ends with -1; MultiLabelSoftMarginLoss takes 0 and 1",
    "ReduceLROnPlateau": "annpipe_std.schedulers has it, with the choice of the metric that it follows",
    "SyncBatchNorm": "needs a group of processes: write BatchNorm1d, 2d or 3d",
    "TransformedDistribution": "takes transforms, which are Python objects",
    **dict.fromkeys(
        (
            *("LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d"),
            *("LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d"),
            *("LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear"),
        ),
        _LAZY,
    ),
}
