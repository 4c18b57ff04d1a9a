"""Every path that the schema knows: it can be set, or the error has a spelling in backticks that can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from annpipe.errors import SpecError
from annpipe.registry.registry import Registry
from annpipe.spec.compose.overrides import override
from annpipe.spec.sections import models
from annpipe.spec.sections.models import MANY_COMPONENTS, ONE_COMPONENT
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import MappingNode, descend, plain

BARE = "data: spiral\nmodel: [ReLU]\nloss: L1Loss\noptimizer: Adam\ntrain: {epochs: 1}\n"
FULL = """
data: {spiral: {rows: 3}}
model: [{Linear: {out_features: 4}}, ReLU]
loss: {L1Loss: {reduction: sum}}
optimizer: {Adam: {lr: 1}}
scheduler: {StepLR: {step_size: 1}}
average: {EMA: {decay: 0.5}}
device: {type: cpu}
train: {epochs: 1}
sweep: {trials: 3}
tracking: {uri: a}
metrics: [R2Score]
plots: [{learning_curve: {log: true}}]
callbacks: [{early_stopping: {patience: 2}}]
"""
SPELLING = re.compile(r"`([^`]+=[^`]+)`")


def root(text: str) -> MappingNode:
    composed = compose(text, "spec.yaml")
    assert isinstance(composed, MappingNode)
    return composed


def schema_paths() -> Iterator[str]:
    """Every field of every section, and every option of every component where the kind stands."""
    sections = {"device": models.Device, "data.split": models.Split, "train": models.Train}
    for section, model in {**sections, "tracking": models.Tracking, "sweep": models.Sweep}.items():
        yield from (f"{section}.{name}" for name in model.model_fields)
    yield from (
        "sweep.over.optimizer.Adam.lr",
        "sweep.method.random.seed",
        "sweep.prune.median.after",
        "tags.a",
        "variables.a",
    )
    yield from ("model.init.weight", "model.init.weight.normal_.std", "model.inputs.x", "model.outputs.y.loss")
    yield from (
        "model.outputs.y.loss.HuberLoss.delta",
        "blocks.b",
        "optimizer.groups.0.lr",
        "model.layers.0.Linear.bias",
    )
    yield from ("data.transforms.x", "data.transforms.x.0.impute.strategy", "data.formula.noise.y.Normal.scale")
    registry = Registry.installed()
    places = {**{name: name for name in ONE_COMPONENT}, **{name: f"{name}.0" for name in MANY_COMPONENTS}}
    for section, place in {**places, "model": "model.1"}.items():
        kind = {**ONE_COMPONENT, **MANY_COMPONENTS, "model": "layer"}[section]
        for entry in registry.entries(kind)[:12]:
            yield from (f"{place}.{entry.name}.{parameter.name}" for parameter in entry.options)


def stands(node: MappingNode, path: str) -> Any:
    """The value at a path; the keys of `sweep.over` are paths themselves, and the long form of a model has `layers`."""
    steps: list[Any] = [
        int(step) if step.isdecimal() and not path.startswith("model.init") else step for step in path.split(".")
    ]
    if path.startswith("sweep.over."):
        steps = ["sweep", "over", path.removeprefix("sweep.over.")]
    found, depth = descend(node, steps)
    return plain(found) if depth == len(steps) else None


def spelled(text: str, problem_help: str) -> MappingNode:
    """The spec after the last spelling that the help shows: the one that takes the path as it is."""
    return override(root(text), SPELLING.findall(problem_help)[-1])


def leaves(value: Any, step: str) -> Iterator[Any]:
    """All values under a key of this name."""
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == step)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(item, step)


@pytest.mark.parametrize("text", [BARE, FULL], ids=["bare", "full"])
def test_a_path_of_the_schema_can_be_set_or_the_error_says_how(text: str) -> None:
    """Whatever the spec leaves out above it."""
    paths = list(dict.fromkeys(schema_paths()))
    assert len(paths) > 200
    made = refused = 0
    for path in paths:
        try:
            after = override(root(text), f"{path}=7")
        except SpecError as error:
            (problem,) = error.problems
            assert problem.help, path
            after = spelled(text, problem.help)
            assert 7 in leaves(plain(after), path.rpartition(".")[2]), (path, problem.help)
            refused += 1
        else:
            assert stands(after, path) == 7, path
            made += 1
    assert made > 50
    assert refused > 50


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ("split.val=0.2", "data.split.val=0.2"),
        ("Adam.lr=0.2", "optimizer.Adam.lr=0.2"),
        ("optimizer.lr=0.2", "optimizer.Adam.lr=0.2"),
        ("optimizer.SGD.lr=0.2", "optimizer={SGD: {lr: 0.2}}"),
        ("optimizer.SGD.betas=[1, 2]", "optimizer={SGD: {betas: [1, 2]}}"),
        ("data.csv.files=a b.csv", "data={csv: {files: a b.csv}}"),
        ("model.0.Conv1d.bias=true", "model.0={Conv1d: {bias: true}}"),
        ("callbacks.1.early_stopping.patience=3", "callbacks+={early_stopping: {patience: 3}}"),
        ("data.transforms.x.0.impute.value=3", "data.transforms.x+={impute: {value: 3}}"),
    ],
)
def test_the_help_shows_the_spelling_that_works(given: str, spelling: str) -> None:
    """It can be copied."""
    with pytest.raises(SpecError) as caught:
        override(root(FULL), given)
    (problem,) = caught.value.problems
    assert f"`{spelling}`" in (problem.help or "")
    override(root(FULL), spelling)
