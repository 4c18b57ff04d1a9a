"""Words that other tools use, and what they are called here.

What users of Keras, Lightning, Ludwig and Hydra type when they write their first spec. A word is explained only where
its counterpart is there: a section of this name, a component in the registry, an option of that component.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from annpipe.registry.other_tools.options import FILE_WORDS, OPTIONS
from annpipe.registry.other_tools.python_names import bare_name, python_word


@dataclass(frozen=True)
class Moved:
    """A word of another tool: what is said of it, and the sections and options (`train.epochs`) it stands for."""

    hint: str
    stands_for: tuple[str, ...] = ()


def _called(name: str, section: str = "") -> Moved:
    return Moved(f"it is called `{name}` here", (f"{section}.{name}" if section else name,))


def _under_train(name: str) -> Moved:
    return Moved(f"`{name}` stands under train: `train: {{{name}: …}}`", ("train", f"train.{name}"))


def _of_optimizer(name: str) -> Moved:
    return Moved(f"`{name}` belongs to the optimizer: `optimizer: {{Adam: {{{name}: …}}}}`", ("optimizer",))


def _callback(example: str) -> Moved:
    return Moved(f"it is a callback: `callbacks: [{example}]`")


def _own_section(section: str) -> Moved:
    return Moved(f"`{section}` is a section of its own", (section,))


_SPLIT = Moved("rows are held out in `data.split`: `split: {val: 0.2, test: 0.1}`")
_LAYER = "an activation is a layer of its own: `- ReLU` after `- Linear: 10`"
_PRECISION = Moved("`precision` stands under device: `device: {precision: float64}`")
_PATIENCE = _callback("early_stopping: {patience: 10}")

_EMA = Moved("it is a section of its own: `average: {EMA: {decay: 0.999}}`", ("average",))
_SWA = Moved("it is a section of its own: `average: {SWA: {start: 0.75}}`", ("average",))

_WARM_UP = Moved(
    "a warm-up is a scheduler before another: "
    "`scheduler: {SequentialLR: [[LinearLR: [0.01, 1.0, 5], CosineAnnealingLR: 95], [5]]}`"
)
_WARM_UPS = ("warmup", "warm_up", "warmup_steps", "warmup_epochs", "num_warmup_steps", "warmup_ratio")

SECTIONS: dict[str, Moved] = {
    **dict.fromkeys(("lr", "learning_rate", "initial_lr"), _of_optimizer("lr")),
    **dict.fromkeys(("weight_decay", "decay"), _of_optimizer("weight_decay")),
    "momentum": Moved("`momentum` belongs to the optimizer: `optimizer: {SGD: {lr: …, momentum: …}}`", ("optimizer",)),
    "betas": _of_optimizer("betas"),
    **dict.fromkeys(("epochs", "max_epochs", "num_epochs", "n_epochs", "nb_epochs"), _under_train("epochs")),
    **dict.fromkeys(("steps", "max_steps", "num_steps", "train_steps"), _under_train("steps")),
    **dict.fromkeys(("max_seconds", "max_time", "time_limit"), _under_train("max_seconds")),
    **dict.fromkeys(("batch_size", "batch", "train_batch_size"), _under_train("batch_size")),
    "shuffle": _under_train("shuffle"),
    "drop_last": _under_train("drop_last"),
    **dict.fromkeys(("layers", "network", "net", "architecture", "backbone", "encoder", "decoder"), _called("model")),
    "combiner": Moved("every layer stands in `model`"),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function", "objective"), _called("loss")),
    **dict.fromkeys(
        ("class_weight", "class_weights"),
        Moved("class weights belong to the loss: `loss: {CrossEntropyLoss: {weight: balanced}}`", ("loss",)),
    ),
    **dict.fromkeys(
        ("losses", "loss_weights"),
        Moved("several losses stand in one: `loss: {weighted_sum: [[MSELoss, L1Loss], [1, 0.5]]}`", ("loss",)),
    ),
    **dict.fromkeys(("optim", "optimiser", "optimizers", "solver"), _called("optimizer")),
    "compile": Moved("`loss`, `optimizer` and `metrics` are sections of their own", ("loss", "optimizer")),
    **dict.fromkeys(("lr_scheduler", "learning_rate_scheduler", "lr_schedule", "schedule"), _called("scheduler")),
    **dict.fromkeys(_WARM_UPS, _WARM_UP),
    **dict.fromkeys(("ema", "model_ema", "use_ema"), _EMA),
    **dict.fromkeys(("swa", "stochastic_weight_avg", "stochastic_weight_averaging"), _SWA),
    **dict.fromkeys(("trainer", "training", "fit", "train_cfg", "train_config", "trainer_args"), _called("train")),
    **dict.fromkeys(
        ("dataset", "datasets", "datamodule", "data_module", "dataloader", "train_dataloader", "preprocessing"),
        _called("data"),
    ),
    **dict.fromkeys(
        ("input_features", "inputs", "features"), Moved("the inputs are options of the data component", ("data",))
    ),
    **dict.fromkeys(
        ("output_features", "outputs", "targets", "labels"),
        Moved("the targets are options of the data component", ("data",)),
    ),
    **dict.fromkeys(("validation_split", "val_split", "test_split", "split", "validation"), _SPLIT),
    **dict.fromkeys(("seed_everything", "random_seed", "random_state", "manual_seed"), _called("seed")),
    **dict.fromkeys(("accelerator", "devices", "gpus", "gpu", "backend"), _called("device")),
    "precision": _PRECISION,
    "deterministic": Moved("`deterministic` stands under device: `device: {type: auto, deterministic: true}`"),
    "threads": Moved("`threads` stands under device: `device: {type: cpu, threads: 1}`"),
    **dict.fromkeys(("logger", "loggers", "logging", "mlflow", "experiment", "wandb"), _called("tracking")),
    "activation": Moved(_LAYER),
    **dict.fromkeys(("metric", "val_metrics", "evaluation"), _called("metrics")),
    **dict.fromkeys(("callback", "hooks", "default_hooks"), _called("callbacks")),
    **dict.fromkeys(("early_stopping", "EarlyStopping"), _PATIENCE),
    **dict.fromkeys(("checkpoint", "checkpointing"), _callback("checkpoint: {every: 10}")),
    **dict.fromkeys(("plot", "figures", "visualizations"), _called("plots")),
    "defaults": Moved("`extends` takes the path of one spec, not a list: `extends: base.yaml`", ("extends",)),
    **dict.fromkeys(("_base_", "base", "include", "import", "inherits"), _called("extends")),
    **dict.fromkeys(("vars", "params", "parameters", "constants"), _called("variables")),
    **dict.fromkeys(("custom_imports", "imports", "plugin"), _called("plugins")),
    **dict.fromkeys(("notes", "note", "desc"), _called("description")),
    **dict.fromkeys(("run_name", "experiment_name"), _called("name")),
    **dict.fromkeys(("_target_", "class_path"), Moved("a component is named by its own name: `optimizer: {Adam: …}`")),
}

SECTION_OPTIONS: dict[tuple[str, str], Moved] = {
    **{("train", word): _called("epochs", "train") for word in ("max_epochs", "num_epochs", "n_epochs", "epoch")},
    **{
        ("train", word): _called("steps", "train")
        for word in ("max_steps", "total_steps", "num_steps", "n_steps", "train_steps", "iterations", "max_iter")
    },
    **{
        ("train", word): _called("max_seconds", "train")
        for word in ("max_time", "time_limit", "max_duration", "time_limit_s", "seconds")
    },
    **{("train", word): _called("batch_size", "train") for word in ("batch", "batchsize", "train_batch_size")},
    **{
        ("train", word): _called("evaluate_every", "train")
        for word in (
            *("check_val_every_n_epoch", "val_check_interval", "validation_freq", "eval_every"),
            "steps_per_checkpoint",
        )
    },
    **{("train", word): _of_optimizer("lr") for word in ("lr", "learning_rate")},
    **{
        ("train", word): _called("clip_norm", "train")
        for word in ("gradient_clip_val", "max_grad_norm", "clipnorm", "grad_clip", "gradient_clipping")
    },
    ("train", "clipvalue"): _called("clip_value", "train"),
    **{
        ("train", word): _called("accumulate", "train")
        for word in ("accumulate_grad_batches", "gradient_accumulation_steps", "accumulation_steps")
    },
    **dict.fromkeys((("train", word) for word in _WARM_UPS), _WARM_UP),
    **{("train", word): _EMA for word in ("ema", "use_ema", "ema_decay", "model_ema")},
    **{("train", word): _SWA for word in ("swa", "stochastic_weight_avg", "swa_start")},
    **{("train", word): SECTIONS[word] for word in ("class_weight", "class_weights", "loss_weights")},
    ("train", "weight_decay"): _of_optimizer("weight_decay"),
    ("train", "momentum"): SECTIONS["momentum"],
    **{
        ("train", section): _own_section(section)
        for section in ("optimizer", "loss", "metrics", "callbacks", "seed", "device", "scheduler", "average")
    },
    **{("train", word): _PATIENCE for word in ("early_stop", "early_stopping", "patience")},
    **{("train", word): _SPLIT for word in ("validation_split", "val_split", "validation_data")},
    **{("train", word): _PRECISION for word in ("precision", "dtype")},
    **{("train", word): _own_section("device") for word in ("accelerator", "devices", "gpus")},
    **{("data.split", word): _called("val", "data.split") for word in ("validation", "valid", "dev", "eval")},
    ("data.split", "train"): Moved("what `val` and `test` leave is the train split"),
    ("device", "name"): _called("type", "device"),
    ("device", "dtype"): _called("precision", "device"),
    ("tracking", "tracking_uri"): _called("uri", "tracking"),
    ("tracking", "experiment_name"): _called("experiment", "tracking"),
    ("tracking", "run_name"): Moved("the run's name is the section `name`", ("name",)),
}

# a word with two counterparts names both, a space between them
COMPONENTS: dict[tuple[str, str], str] = {
    **{("layer", word): "Linear" for word in ("dense", "fc", "fullyconnected", "inner_product", "affine")},
    **{("layer", f"conv{n}d"): f"Conv{n}d" for n in (1, 2, 3)},
    **{("layer", f"convolution{n}d"): f"Conv{n}d" for n in (1, 2, 3)},
    **{("layer", f"conv{n}dtranspose"): f"ConvTranspose{n}d" for n in (1, 2, 3)},
    **{("layer", f"maxpooling{n}d"): f"MaxPool{n}d" for n in (1, 2, 3)},
    **{("layer", f"averagepooling{n}d"): f"AvgPool{n}d" for n in (1, 2, 3)},
    **{("layer", f"globalaveragepooling{n}d"): f"AdaptiveAvgPool{n}d" for n in (1, 2, 3)},
    **{("layer", word): "BatchNorm1d BatchNorm2d" for word in ("batchnormalization", "batchnorm")},
    ("layer", "layernormalization"): "LayerNorm",
    ("layer", "swish"): "SiLU",
    ("layer", "reshape"): "Unflatten",
    ("layer", "multiheadattention"): "MultiheadAttention",
    **{("layer", word): "join parallel" for word in ("concatenate", "concat", "add", "multiply")},
    **{("layer", word): "tap residual" for word in ("skip", "skip_connection", "skipconnection", "shortcut")},
    **{("loss", word): "MSELoss" for word in ("mse", "mean_squared_error", "meansquarederror", "l2", "l2loss")},
    **{("loss", word): "L1Loss" for word in ("mae", "mean_absolute_error", "meanabsoluteerror", "l1")},
    **{
        ("loss", word): "CrossEntropyLoss"
        for word in (
            *("crossentropy", "cross_entropy", "categorical_crossentropy", "sparse_categorical_crossentropy"),
            *("softmax_cross_entropy", "ce", "categoricalcrossentropy", "sparsecategoricalcrossentropy"),
        )
    },
    **{
        ("loss", word): "BCEWithLogitsLoss"
        for word in ("bce", "binary_crossentropy", "binarycrossentropy", "binary_weighted_cross_entropy", "log_loss")
    },
    **{("loss", word): "HuberLoss" for word in ("huber", "smooth_l1")},
    **{("metric", word): "MeanAbsoluteError" for word in ("mae", "mean_absolute_error", "l1")},
    **{("metric", word): "MeanSquaredError" for word in ("mse", "mean_squared_error", "l2")},
    **{("metric", word): "RootMeanSquaredError" for word in ("rmse", "root_mean_squared_error")},
    **{("metric", word): "F1Score" for word in ("f1", "f1_score", "fscore", "fbeta")},
    **{("metric", word): "AUROC" for word in ("auc", "roc_auc", "rocauc", "areaunderthecurve")},
    ("metric", "mcc"): "MatthewsCorrCoef",
    ("metric", "mape"): "MeanAbsolutePercentageError",
    **{("metric", word): "R2Score" for word in ("r2", "r_squared", "coefficient_of_determination")},
    **{("metric", word): "Accuracy" for word in ("acc", "categorical_accuracy", "binary_accuracy", "top1")},
    **{("callback", word): "early_stopping" for word in ("earlystopping", "early_stop")},
    **{("callback", word): "checkpoint" for word in ("modelcheckpoint", "model_checkpoint", "checkpointcallback")},
    **{("scheduler", word): "CosineAnnealingLR" for word in ("cosine", "cosinedecay", "cosine_annealing")},
    **{("scheduler", word): "ExponentialLR" for word in ("exponential", "exponentialdecay", "exp")},
    **{("scheduler", word): "StepLR" for word in ("step", "steplr", "multistep")},
    **{("optimizer", word): "SGD" for word in ("gradientdescent", "momentum", "nesterov", "sgdm")},
    **{("distribution", word): "Normal" for word in ("gaussian", "randn", "gauss")},
    **{("data", word): "table" for word in ("inline", "rows", "tensor", "tensordataset")},
    **{("data", word): "formula" for word in ("function", "expression", "synthetic", "generator")},
}

_NO_COMPONENT: dict[tuple[str, str], str] = {
    **{
        ("layer", word): "no layer stands for the input: its size comes from the data"
        for word in ("input", "inputlayer", "input_layer")
    },
    **{
        ("callback", word): _SWA.hint
        for word in ("stochasticweightaveraging", "stochastic_weight_averaging", "swa", "swapemaweights")
    },
    **{
        ("callback", word): _EMA.hint
        for word in ("ema", "emaweightaveraging", "weightaveraging", "exponentialmovingaverage")
    },
    ("callback", "timer"): "`max_seconds` stands under train: `train: {epochs: 100, max_seconds: 3600}`",
    **{
        ("scheduler", word): _WARM_UP.hint
        for word in (*_WARM_UPS, "linearwarmupcosineannealinglr", "cosine_with_warmup", "linear_with_warmup")
    },
    **{
        ("loss", word): "it takes more than one prediction and one target: write a loss of your own around it, see "
        "plugins/README.md"
        for word in (
            "cosineembeddingloss",
            "marginrankingloss",
            "tripletmarginloss",
            "tripletmarginwithdistanceloss",
            "ctcloss",
        )
    },
    ("loss", "multilabelmarginloss"): "MultiLabelSoftMarginLoss takes a 0 or 1 for each label",
    **{
        ("layer", word): "it takes several tensors: write a layer of your own around it, see plugins/README.md"
        for word in (
            "bilinear",
            "cosinesimilarity",
            "pairwisedistance",
            "maxunpool1d",
            "maxunpool2d",
            "maxunpool3d",
            "transformer",
            "transformerdecoder",
            "transformerdecoderlayer",
        )
    },
    **{
        ("distribution", word): "it draws vectors; give each column a distribution of its own"
        for word in (
            "dirichlet",
            "lkjcholesky",
            "logisticnormal",
            "lowrankmultivariatenormal",
            "multinomial",
            "multivariatenormal",
            "onehotcategorical",
            "onehotcategoricalstraightthrough",
            "relaxedonehotcategorical",
            "wishart",
        )
    },
    ("layer", "sequential"): "`model` is a sequence already: list the layers",
}

_NO_OPTION: dict[tuple[str, str], str] = {
    ("layer", "activation"): _LAYER,
    ("layer", "activation_fn"): _LAYER,
    ("layer", "nonlinearity"): _LAYER,
    **{
        ("layer", word): "leave it out: a layer's input size is filled from the shape that arrives"
        for word in ("input_shape", "input_dim", "in_dim", "in_size", "in_features", "in_channels", "batch_input_shape")
    },
    ("layer", "name"): "layers have no names; what flows has one where it is tapped: `- tap: name`",
    **{
        ("layer", word): "`output_of` says what flows on: `output_of: {layer: {LSTM: 32}, part: last_step}`"
        for word in ("return_sequences", "return_state", "need_weights")
    },
    **{
        ("layer", word): "`init` stands under model, by names of parameters: "
        "`model: {layers: […], init: {weight: xavier_uniform_}}`"
        for word in ("kernel_initializer", "bias_initializer", "weight_init", "init")
    },
    **{
        ("data", word): "rows are held out in `data.split`, beside the data component: `split: {val: 0.2}`"
        for word in ("split", "validation_split", "val_split", "test_split", "test_size")
    },
    **{
        ("data", word): "a file of rows is read by csv, parquet or npz: `data: {csv: {files: rows.csv, target: y}}`"
        for word in FILE_WORDS
    },
    ("data", "batch_size"): "`batch_size` stands under train",
    ("data", "shuffle"): "`shuffle` stands under train",
    ("data", "seed"): "`seed` is a section of its own",
    ("data", "noise_std"): "write the distribution: `noise: {y: {Normal: [0, 5]}}`",
    **{("optimizer", word): _EMA.hint for word in ("use_ema", "ema_momentum", "ema_decay")},
    **{
        ("optimizer", word): "`groups` stands beside the optimizer: `groups: [{params: '*.bias', weight_decay: 0}]`"
        for word in ("groups", "param_groups", "parameter_groups")
    },
    **{
        ("optimizer", word): "`scheduler` is a section of its own" for word in ("scheduler", "lr_scheduler", "schedule")
    },
}


def section_word(word: str) -> Moved:
    """What another tool's top-level word is here; says nothing of an unknown one."""
    return SECTIONS.get(word, Moved(""))


def section_option_word(section: str, word: str) -> Moved:
    """What another tool's option of a section is here; says nothing of an unknown one."""
    return SECTION_OPTIONS.get((section, word), Moved(""))


def component_word(kind: str, word: str, exists: Callable[[str], bool]) -> str:
    """What another tool's component is called here, where there `exists` such a one, or the empty string."""
    if hint := python_word(kind, word, exists):
        return hint
    key = (kind, bare_name(word).casefold())
    names = COMPONENTS.get(key, "").split()
    if names and all(map(exists, names)):
        return f"it is called {' or '.join(map(repr, names))} here"
    return _NO_COMPONENT.get(key, "")


def option_word(kind: str, word: str, options: Iterable[str]) -> tuple[str, str]:
    """What another tool's option is here: the sentence and the option it means; both may be empty."""
    known = set(options)
    for name in OPTIONS.get(word, ()):
        if name in known:
            return f"`{word}` is called `{name}` here", name
    return _NO_OPTION.get((kind, word), ""), ""
