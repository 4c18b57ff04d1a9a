"""Overrides: values replaced from the command line, by the same YAML rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from annpipe.errors import Place, SpecError
from annpipe.spec import Spec, load_spec
from annpipe.spec.compose.overrides import override, unset
from annpipe.spec.yaml.nodes import ScalarNode, plain
from annpipe.spec.yaml.reader import read_text

SPEC = (
    "data: {csv: {files: a.csv}}\nloss: L1Loss\ndevice: cpu\nmodel: [Linear: 3, ReLU]\noptimizer: {Adam: {lr: 0.1}}\n"
)


@pytest.mark.parametrize(
    ("text", "section", "value"),
    [
        ("optimizer.Adam.lr=1e-3", "optimizer", {"Adam": {"lr": 1e-3}}),
        ("optimizer.Adam.amsgrad=true", "optimizer", {"Adam": {"lr": 0.1, "amsgrad": True}}),
        ("optimizer=SGD", "optimizer", "SGD"),
        ("model.1=Tanh", "model", [{"Linear": 3}, "Tanh"]),
        ("model.0.Linear=no", "model", [{"Linear": "no"}, "ReLU"]),
        ("model.1.ReLU.inplace=true", "model", [{"Linear": 3}, {"ReLU": {"inplace": True}}]),
        ("loss.L1Loss.reduction=sum", "loss", {"L1Loss": {"reduction": "sum"}}),
        ("device.threads=1", "device", {"type": "cpu", "threads": 1}),
        ("tracking.wait_seconds=0", "tracking", {"wait_seconds": 0}),
        ("seed=7", "seed", 7),
        ("model+=Tanh", "model", [{"Linear": 3}, "ReLU", "Tanh"]),
        ("model+={Linear: 1}", "model", [{"Linear": 3}, "ReLU", {"Linear": 1}]),
        ("metrics+=R2Score", "metrics", ["R2Score"]),
        ("variables.width=3", "variables", {"width": 3}),
        ("data.split.folds=5", "data", {"csv": {"files": "a.csv"}, "split": {"folds": 5}}),
        (
            "data.transforms.number=standardize",
            "data",
            {"csv": {"files": "a.csv"}, "transforms": {"number": "standardize"}},
        ),
        ("data.csv.types.zip=category", "data", {"csv": {"files": "a.csv", "types": {"zip": "category"}}}),
    ],
)
def test_an_override_replaces_one_value(text: str, section: str, value: object) -> None:
    """Also inside a bare name, a device's word, and a section that the spec lacks."""
    assert plain(override(read_text(SPEC, "s.yaml"), text))[section] == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer", "not an override"),
        ("optimizr.Adam.lr=1", "there is no 'optimizr'"),
        ("model.7=ReLU", "no position"),
        ("model.x=ReLU", "no position"),
        ("loss.MSELoss.reduction=sum", "there is no 'MSELoss'"),
        ("loss+=ReLU", "appends to a list"),
        ("optimizer..lr=1", "not a path"),
        ("+=1", "not an override"),
        ("data.splitt.val=0.2", "there is no 'splitt'"),
        ("optimizer.Adamm.lr=1", "there is no 'Adamm'"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(text: str, words: str) -> None:
    """With its own text as the excerpt."""
    with pytest.raises(SpecError, match=words) as caught:
        override(read_text(SPEC, "s.yaml"), text)
    assert str(caught.value.problems[0].place) == "the command line"


def test_places_inside_an_override_count_in_the_command_line() -> None:
    """The caret stands under the value."""
    root = override(read_text(SPEC, "s.yaml"), "optimizer.Adam.lr=fast")
    place = root.get("optimizer").get("Adam").get("lr").place  # type: ignore[union-attr]
    assert place.file[place.column - 1 :][: place.length] == "fast"


def test_options_set_beside_positional_ones_keep_those() -> None:
    """`Linear: 3` with `bias` set is a Linear of 3 without a bias."""
    root = override(read_text(SPEC, "s.yaml"), "model.0.Linear.bias=false")
    node = root.get("model").items[0].get("Linear")  # type: ignore[union-attr]
    assert plain(node) == {"bias": False}
    assert plain(node.beneath) == 3


@pytest.mark.parametrize(
    ("paths", "section", "value"),
    [
        (["optimizer.Adam.lr"], "optimizer", {"Adam": {}}),
        (["model.0"], "model", ["ReLU"]),
        (["model.0", "model.1"], "model", []),
        (["model.1", "model.0.Linear"], "model", [{}]),
    ],
)
def test_unset_removes_what_stands_at_the_paths(paths: list[str], section: str, value: object) -> None:
    """All positions are those of the spec as written."""
    assert plain(unset(read_text(SPEC, "s.yaml"), paths))[section] == value


def test_a_whole_section_can_be_unset() -> None:
    """As if it had not been written."""
    assert "device" not in plain(unset(read_text(SPEC, "s.yaml"), ["device"]))


@pytest.mark.parametrize(
    ("path", "words"),
    [("modl", "no 'modl' here"), ("model.9", "no position"), ("loss.L1Loss", "plain value"), ("", "not a path")],
)
def test_unset_of_what_is_not_there_is_refused(path: str, words: str) -> None:
    """With the step at fault marked in the command line."""
    with pytest.raises(SpecError, match=words) as caught:
        unset(read_text(SPEC, "s.yaml"), [path])
    place = caught.value.problems[0].place
    assert place is not None
    assert place.file == f"--unset {path}"


def test_a_key_made_by_an_override_has_its_place_at_its_step() -> None:
    """A misspelt option of the command line is marked where it was typed, not under its value."""
    root = override(read_text(SPEC, "s.yaml"), "optimizer.Adam.beta=0.9")
    key = root.get("optimizer").get("Adam").key("beta")  # type: ignore[union-attr]
    assert key.place.file[key.place.column - 1 :][: key.place.length] == "beta"


def test_an_empty_value_has_its_place_at_the_last_step() -> None:
    """There is no character of its own to mark."""
    place = override(read_text(SPEC, "s.yaml"), "loss=").get("loss").place  # type: ignore[union-attr]
    assert place.file[place.column - 1 :][: place.length] == "loss"


@pytest.mark.parametrize("path", ["loss", "optimizer.Adam.lr", "device"])
def test_what_is_emptied_from_the_command_line_has_its_place_there(path: str) -> None:
    """Also a section that every spec needs; one that may be left out is gone."""
    root = unset(read_text(SPEC, "s.yaml"), [path])
    section, *below = path.split(".")
    node = root.get(section)
    if below:
        node = node.get(below[0])  # type: ignore[union-attr]
    assert (node is None) == (path == "device")
    assert node is None or node.place.on_command_line


def test_data_by_its_bare_name_takes_a_split() -> None:
    root = read_text("data: spiral\n", "s.yaml")
    assert plain(override(root, "data.split.folds=5")) == {"data": {"spiral": {}, "split": {"folds": 5}}}


def loaded(tmp_path: Path, overrides: Sequence[str], unset_paths: Sequence[str], **more: Any) -> Spec:
    (tmp_path / "s.yaml").write_text("data: {csv: {files: a.csv}, split: {val: 0.2}}\n" + SPEC.partition("\n")[2])
    return load_spec(tmp_path / "s.yaml", overrides, unset_paths=unset_paths, **more)


def test_what_is_set_beneath_what_is_left_out_stands_there_alone(tmp_path: Path) -> None:
    """By an override or as a value of a sweep's trial, which was left out with the rest before."""
    split = loaded(tmp_path, ["data.split.folds=5"], ["data.split"]).split
    assert (split.folds, split.val) == (5, 0)
    fold = ScalarNode(3, "3", True, Place("s.yaml", 1, 1, 1))
    split = loaded(tmp_path, ["data.split.folds=5"], ["data.split"], values=[("data.split.fold", fold)]).split
    assert (split.folds, split.fold, split.val) == (5, 3, 0)
    assert loaded(tmp_path, ["average.EMA.decay=0.5"], ["average"]).average is not None  # there was none to leave out
    with pytest.raises(SpecError, match="set and left out at once"):
        loaded(tmp_path, ["model.1=Tanh"], ["model.1"])
