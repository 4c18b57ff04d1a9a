"""What the registry has, ejected: each script trains the same numbers, bit for bit, as the run does."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.eject.refused import NotEjected
from annpipe.registry.registry import Registry
from tests.conftest import ROOT
from tests.eject.ejecting import assert_equal, script_of
from tests.training import Planned

pytestmark = pytest.mark.slow

DATA = """
data:
  formula:
    rows: 61
    inputs: {a: {Uniform: [-2, 2]}, b: {Normal: [0, 1]}}
    targets: {y: "a*b + sin(a)"}
    noise: {y: {Laplace: [0, 0.1]}}
  split: {val: 0.2, test: 0.1}
"""
CLASSES = DATA.replace('"a*b + sin(a)"', '"(a > 0) + (b > 0)"').replace("    noise: {y: {Laplace: [0, 0.1]}}\n", "")
BINARY = CLASSES.replace('"(a > 0) + (b > 0)"', '"a > b"')
COUNTS = CLASSES.replace('"(a > 0) + (b > 0)"', '"round(abs(a*b))"')
SIGNS = CLASSES.replace('"(a > 0) + (b > 0)"', '"2*(a > b) - 1"')


def spec(
    rest: str = "", *, data: str = DATA, model: str = "[Linear: 6, Tanh, Linear: 1]", loss: str = "MSELoss",
    optimizer: str = "{Adam: {lr: 0.01}}", train: str = "{epochs: 3, batch_size: 16}",
) -> str:  # fmt: skip
    """A small spec."""
    head = "version: 1\nname: small\nseed: 3\n"
    return f"{head}{data}\nmodel: {model}\nloss: {loss}\noptimizer: {optimizer}\ntrain: {train}\n{rest}\n"


def names(kind: str) -> list[str]:
    return sorted({entry.name for entry in Registry.installed().entries(kind)})


SPECIAL_OPTIMIZERS = {
    "LBFGS": ("{LBFGS: {max_iter: 4}}", "[Linear: 6, Tanh, Linear: 1]"),
    "Muon": ("Muon", "[Linear: {out_features: 6, bias: false}, Tanh, Linear: {out_features: 1, bias: false}]"),
    "SparseAdam": None,
}


@pytest.mark.parametrize("name", names("optimizer"))
def test_every_optimizer(name: str, planned: Planned, tmp_path: Path) -> None:
    """In batches with a remainder, with torch's defaults."""
    special = SPECIAL_OPTIMIZERS.get(name, (name, "[Linear: 6, Tanh, Linear: 1]"))
    if special is None:
        pytest.skip("it takes sparse gradients")
    optimizer, model = special
    assert_equal(planned(spec(optimizer=optimizer, model=model)), tmp_path)


SCHEDULERS = {
    "ChainedScheduler": "{ChainedScheduler: {schedulers: [{StepLR: 2}, {ExponentialLR: 0.9}]}}",
    "CosineAnnealingLR": "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts": "{CosineAnnealingWarmRestarts: 2}",
    "CyclicLR": "{CyclicLR: {base_lr: 0.001, max_lr: 0.01, step_size_up: 2, cycle_momentum: false}}",
    "ExponentialLR": "{ExponentialLR: 0.9}",
    "LambdaLR": "{LambdaLR: {lr_lambda: 1 / (1 + 0.3*epoch)}}",
    "MultiStepLR": "{MultiStepLR: {milestones: [1, 2]}}",
    "MultiplicativeLR": "{MultiplicativeLR: {lr_lambda: 0.95}}",
    "OneCycleLR": "{OneCycleLR: {max_lr: 0.02}}",
    "PolynomialLR": "{PolynomialLR: {power: 2}}",
    "ReduceLROnPlateau": "{ReduceLROnPlateau: {patience: 0, threshold: 0.5}}",
    "SequentialLR": "{SequentialLR: {schedulers: [{ConstantLR: {factor: 0.1}}, CosineAnnealingLR], milestones: [1]}}",
    "StepLR": "{StepLR: 2}",
}


@pytest.mark.parametrize("name", names("scheduler"))
@pytest.mark.parametrize("each", ["epoch", "step"])
def test_every_scheduler(name: str, each: str, planned: Planned, tmp_path: Path) -> None:
    """Stepped with each epoch and with each step."""
    if name == "ReduceLROnPlateau" and each == "step":
        pytest.skip("it goes on where the run looks")
    train = f"{{epochs: 3, batch_size: 16, scheduler_each: {each}}}"
    rest = f"scheduler: {SCHEDULERS.get(name, name)}"
    assert_equal(planned(spec(rest, train=train)), tmp_path)


LOSSES = {
    "BCELoss": (BINARY, "[Linear: 6, Tanh, Linear: 1, Sigmoid]", "BCELoss"),
    "BCEWithLogitsLoss": (BINARY, "[Linear: 1]", "{BCEWithLogitsLoss: {pos_weight: balanced}}"),
    "CrossEntropyLoss": (CLASSES, "[Linear: 6, Tanh, Linear: 3]", "{CrossEntropyLoss: {weight: balanced}}"),
    "GaussianNLLLoss": (DATA, "[Linear: 6, Tanh, Linear: 2, mean_variance]", "GaussianNLLLoss"),
    "HingeEmbeddingLoss": (SIGNS, "[Linear: 6, Tanh, Linear: 1]", "HingeEmbeddingLoss"),
    "KLDivLoss": (BINARY, "[Linear: 1, LogSigmoid]", "{KLDivLoss: {reduction: batchmean}}"),
    "MultiLabelMarginLoss": None,
    "MultiLabelSoftMarginLoss": (BINARY, "[Linear: 6, Tanh, Linear: 1]", "MultiLabelSoftMarginLoss"),
    "MultiMarginLoss": (CLASSES, "[Linear: 6, Tanh, Linear: 3]", "MultiMarginLoss"),
    "NLLLoss": (CLASSES, "[Linear: 6, Tanh, Linear: 3, {LogSoftmax: 1}]", "{NLLLoss: {weight: [1, 2, 3]}}"),
    "PoissonNLLLoss": (COUNTS, "[Linear: 6, Tanh, Linear: 1]", "PoissonNLLLoss"),
    "QuantileLoss": (DATA, "[Linear: 6, Tanh, Linear: 3, {quantiles: 3}]", "{QuantileLoss: [[0.1, 0.5, 0.9]]}"),
    "SoftMarginLoss": (SIGNS, "[Linear: 6, Tanh, Linear: 1]", "SoftMarginLoss"),
    "per_target": (DATA, "[Linear: 6, Tanh, Linear: 1]", "{per_target: {losses: {y: L1Loss}}}"),
    "weighted_sum": (DATA, "[Linear: 1]", "{weighted_sum: {losses: [MSELoss, L1Loss], weights: [1, 0.5]}}"),
}


@pytest.mark.parametrize("name", names("loss"))
@pytest.mark.parametrize("train", ["{epochs: 3, batch_size: 16}", "{epochs: 3, batch_size: 8, accumulate: 3}"])
def test_every_loss(name: str, train: str, planned: Planned, tmp_path: Path) -> None:
    """In batches, and in steps that gather several of them."""
    special = LOSSES.get(name, (DATA, "[Linear: 6, Tanh, Linear: 1]", name))
    if special is None:
        pytest.skip("its targets are lists of labels")
    data, model, loss = special
    plan = planned(spec(data=data, model=model, loss=loss, train=train))
    if "accumulate" in train and ("balanced" in loss or "weight: [" in loss) and name != "BCEWithLogitsLoss":
        with pytest.raises(NotEjected, match=r"spec\.yaml:\d+.*accumulate"):
            script_of(plan, tmp_path)
        return
    assert_equal(plan, tmp_path)


@pytest.mark.parametrize("name", names("initializer"))
def test_every_initializer(name: str, planned: Planned, tmp_path: Path) -> None:
    """For a matrix, after the layers were built."""
    options = {"constant_": "{constant_: 0.3}", "sparse_": "{sparse_: 0.5}"}.get(name, name)
    if name == "dirac_":
        pytest.skip("it fills the kernels of convolutions")
    long = f"{{layers: [Linear: 6, Tanh, Linear: 1], init: {{0.weight: {options}}}, freeze: [2.bias]}}"
    assert_equal(planned(spec(model=long)), tmp_path)


@pytest.mark.parametrize(
    "train",
    [
        "{epochs: 4}",
        "{epochs: 3, batch_size: 16, drop_last: true, clip_norm: 0.5}",
        "{epochs: 3, batch_size: 16, shuffle: false, clip_value: 0.01}",
        "{epochs: 3, batch_size: 5, accumulate: 3, drop_last: true}",
        "{steps: 7, batch_size: 16, evaluate_every: 2}",
        "{epochs: 5, batch_size: 30, drop_last: true, evaluate_every: 3}",
    ],
)
@pytest.mark.parametrize("rest", ["", "average: {EMA: {decay: 0.9, start: 0.3}}", "average: {SWA: {start: 0.4}}"])
def test_every_way_to_train(train: str, rest: str, planned: Planned, tmp_path: Path) -> None:
    """Batches, accumulation, clipping, steps, and averages, with layers that draw and layers that count."""
    model = "[BatchNorm1d, Linear: 8, ReLU, Dropout: 0.2, Linear: 1]"
    assert_equal(planned(spec(rest, train=train, model=model)), tmp_path)


@pytest.mark.parametrize(
    "rest",
    [
        "callbacks: [early_stopping: {patience: 2}]",
        "callbacks: [early_stopping: {monitor: val/r2_score, patience: 2, min_delta: 0.01}]\nmetrics: [R2Score]",
        "callbacks: [checkpoint: {every: 2}, histograms: {every: 3}]",
        "scheduler: {ReduceLROnPlateau: {monitor: val/r2_score, mode: max, patience: 0}}\nmetrics: [R2Score]",
        "callbacks: [early_stopping: {monitor: train/loss, patience: 3, goal: minimize, restore_best: false}]",
    ],
)
def test_callbacks(rest: str, planned: Planned, tmp_path: Path) -> None:
    """Stopping early, on losses and metrics; what only writes files is left out."""
    train = "{epochs: 12, batch_size: 16}"
    assert_equal(planned(spec(rest, train=train, optimizer="{SGD: {lr: 0.2}}")), tmp_path)


TABLE = """
data:
  csv: {files: tables/penguins.csv, target: TARGET, ignore: year, drop_missing: TARGET}
  transforms:
    number: [{impute: median}, NUMBER]
    category: CATEGORY
  split: {val: 0.15, test: 0.2, MORE}
"""


@pytest.mark.parametrize("number", ["standardize", "min_max", "robust", "{clip: {low: 0.05, high: 0.95}}", "log1p"])
@pytest.mark.parametrize("category", ["one_hot", "[{impute: most_frequent}, one_hot]", "embedding"])
def test_transforms(number: str, category: str, planned: Planned, tmp_path: Path) -> None:
    """Of numbers and categories in a table with missing values, before the model and as its beginning."""
    if number.strip("{").partition(":")[0] not in names("transform"):
        pytest.skip("there is no such transform")
    data = TABLE.replace("tables/", f"{ROOT}/pipelines/tables/").replace("TARGET", "species")
    data = data.replace("NUMBER", number).replace("CATEGORY", category).replace("MORE", "stratify: species")
    assert_equal(planned(spec(data=data, model="[Linear: 8, ReLU, Linear: 3]", loss="CrossEntropyLoss")), tmp_path)


@pytest.mark.parametrize("more", ["stratify: island", "groups: island", "order: body_mass_g", "seed: 4"])
def test_splits(more: str, planned: Planned, tmp_path: Path) -> None:
    """By proportion, by groups, in order and with a seed of its own."""
    data = TABLE.replace("tables/", f"{ROOT}/pipelines/tables/").replace("TARGET", "bill_length_mm")
    data = data.replace("NUMBER", "standardize").replace("CATEGORY", "one_hot").replace("MORE", more)
    data = data.replace("split:", "  bill_length_mm: standardize\n  split:")
    rest = "metrics: [MeanAbsoluteError]"
    assert_equal(planned(spec(rest, data=data, model="[Linear: 8, ReLU, Linear: 1]")), tmp_path)


def test_folds(planned: Planned, tmp_path: Path) -> None:
    """One of several folds is val."""
    data = DATA.replace("{val: 0.2, test: 0.1}", "{test: 0.1, folds: 3, fold: 1}")
    assert_equal(planned(spec(data=data)), tmp_path)
