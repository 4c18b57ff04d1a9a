"""Completions of a path after `--set`, from a spec on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annpipe.cli.completion import components, set_paths
from annpipe.registry import index, registry
from annpipe.registry.kinds import KINDS
from annpipe.spec.compose.overrides import override
from annpipe.spec.sections import models as sections
from annpipe.spec.sections import spec as specs
from annpipe.spec.yaml.reader import read_file

SPEC = """\
version: 1
name: small
data: {formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 4, ReLU, Linear: {out_features: 1}]
loss: L1Loss
optimizer: {Adam: {lr: 1e-3}}
train: {epochs: 2}
metrics: [R2Score]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a spec."""
    (tmp_path / "small.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "answers"),
    [
        ("model.0.", ["model.0.residual."]),
        ("model.0.residual.", ["model.0.residual.0.", "model.0.residual.1=", "model.0.residual.layers="]),
        ("model.0.residual.0.Linear.", [f"model.0.residual.0.Linear.{name}=" for name in ("out_features", "bias")]),
        ("model.1.repeat.", ["model.1.repeat.share=", "model.1.repeat.times=", "model.1.repeat.layers."]),
        ("model.1.repeat.layers.0.", ["model.1.repeat.layers.0.Dropout."]),
        ("model.1.repeat.layers.0.Dropout.", [f"model.1.repeat.layers.0.Dropout.{name}=" for name in ("p", "inplace")]),
    ],
)
def test_paths_go_on_inside_layers_that_hold_layers(typed: str, answers: list[str], project: Path) -> None:
    nested = "[{residual: [Linear: 4, ReLU]}, {repeat: {times: 2, layers: [Dropout: 0.5]}}, {Linear: 1}]"
    (project / "nested.yaml").write_text(f"version: 1\nmodel: {nested}\n", encoding="utf-8")
    assert sorted(set_paths.paths(typed, project / "nested.yaml")) == sorted(answers)


def test_no_path_goes_on_from_a_value_or_from_nowhere(project: Path) -> None:
    for typed in ("optimizer.Adam.lr=", "optimizer.Adam.lr.", "model.9.", "nothing.", "seed.", "model.x.Linear."):
        assert set_paths.paths(typed, project / "small.yaml") == [], typed


def test_paths_of_an_extending_spec_include_its_base(project: Path) -> None:
    """A circle of bases ends; so does a spec that nobody would wait for."""
    (project / "over.yaml").write_text("extends: small.yaml\noptimizer: {Adam: {eps: 1}}\n", encoding="utf-8")
    assert set_paths.paths("optimizer.", project / "over.yaml") == ["optimizer.Adam.", "optimizer.groups+="]
    assert set_paths.paths("model.1", project / "over.yaml") == ["model.1."]
    (project / "round.yaml").write_text("extends: round.yaml\nloss: L1Loss\n", encoding="utf-8")
    assert set_paths.paths("loss.", project / "round.yaml") == ["loss.L1Loss."]
    (project / "long.yaml").write_text("loss: L1Loss\n" + "#" * set_paths.LARGEST, encoding="utf-8")
    assert set_paths.paths("loss.", project / "long.yaml") == []


def test_the_tables_say_what_the_models_say() -> None:
    """Sections, kinds and file names stand here a second time, since importing them takes too long."""
    models: dict[str, Any] = {"device": sections.Device, "train": sections.Train, "tracking": sections.Tracking}
    models |= {"data.split": sections.Split, "sweep": sections.Sweep}
    assert {name: tuple(model.model_fields) for name, model in models.items()} == dict(set_paths.SECTIONS)
    assert set(set_paths.SECTION_KINDS.values()) == set(KINDS) - {"distribution", "initializer", "transform"}
    assert {*set_paths.SECTION_KINDS, *set_paths.VALUES, *set_paths.PLAIN} <= set(specs.SECTIONS)
    assert (components.GROUP, components.SHIPPED) == (registry.GROUP, index.SHIPPED)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a: 1\nb: [true, 0x1, null]\n", {"a": "1", "b": ["true", "0x1", "null"]}),
        ("\ufeffa: 1\n", {"a": "1"}),
        ("extends: small.yaml\nname: other\noptimizer: {Adam: {eps: 1}}\n", None),
        ("extends: gone.yaml\na: 1\n", {"a": "1"}),
        ("extends: [a, b]\na: 1\n", {"a": "1"}),
        ("- a\n", {}),
        ("a: [\n", {}),
        ("", {}),
    ],
)
def test_a_spec_is_read_as_text_over_what_it_extends(text: str, plain: dict[str, Any] | None, project: Path) -> None:
    """What cannot be read is empty: a prompt shows no errors."""
    (project / "a.yaml").write_text(text, encoding="utf-8")
    found = set_paths.read(project / "a.yaml")
    if plain is not None:
        assert found == plain
    else:
        assert found["optimizer"] == {"Adam": {"lr": "1e-3", "eps": "1"}}
        assert (found["name"], found["loss"]) == ("other", "L1Loss")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"\xff\xfea: 1\n", b"a: " + b"[" * 5_000, b"a: !!python/name:os.system 1\n"])
def test_hostile_bytes_are_no_spec(content: bytes, project: Path) -> None:
    """Neither do they crash the reader, nor is anything of them run."""
    (project / "a.yaml").write_bytes(content)
    assert set_paths.read(project / "a.yaml") in ({}, {"a": "1"})
    assert set_paths.read(project / "gone.yaml") == {}
    assert set_paths.read(project) == {}


def test_without_a_spec_the_sections_are_offered() -> None:
    """With what follows them."""
    offered = set_paths.paths("", None)
    assert {"version=", "name=", "train.", "model.", "data."} <= set(offered)
    assert set_paths.paths("train.ep", None) == ["train.epochs="]
    assert set_paths.paths("optimizer.", None) == ["optimizer.groups+="]


def test_options_that_the_spec_has_come_first_and_once(project: Path) -> None:
    """Then those that it leaves out."""
    offered = set_paths.paths("optimizer.Adam.", project / "small.yaml")
    assert offered[0] == "optimizer.Adam.lr="
    assert len(offered) == len(set(offered)) > 3


def test_what_a_path_may_make_is_offered(project: Path) -> None:
    """Parts of sections that the spec has without them, and the components of a section that it lacks."""
    spec = project / "small.yaml"
    assert set_paths.paths("data.s", spec) == ["data.split."]
    assert set_paths.paths("data.split.v", spec) == ["data.split.val=", "data.split.val_rows="]
    assert set_paths.paths("model.i", spec) == ["model.init.", "model.inputs."]
    assert set_paths.paths("sweep.o", spec) == ["sweep.on_failure=", "sweep.over."]
    assert set_paths.paths("scheduler.StepL", spec) == ["scheduler.StepLR."]
    assert "scheduler.StepLR.step_size=" in set_paths.paths("scheduler.StepLR.", spec)
    assert set_paths.paths("loss.H", spec) == []  # the section has a component


@pytest.mark.parametrize("section", ["data", "model", "optimizer", "sweep"])
def test_what_is_offered_can_be_set(section: str, project: Path) -> None:
    """Each of the parts that a spec leaves out is made by a path."""
    for part in set_paths.LEFT_OUT[section]:
        path = f"{section}.{part}" + {".": "x=1", "=": "1"}[part[-1]]
        root = override(read_file(project / "small.yaml"), path)
        assert root.get(section) is not None
