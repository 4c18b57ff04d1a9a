"""`extends`: a spec laid over another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.errors import SpecError
from annpipe.spec import load_spec
from annpipe.spec.compose.extends import extended
from annpipe.spec.yaml.nodes import MappingNode, plain
from annpipe.spec.yaml.reader import read_file

BASE = """\
version: 1
name: base
seed: 3
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}
model: [Linear: 10, ReLU, Linear: 1]
loss: L1Loss
optimizer: {Adam: {lr: 0.1, amsgrad: true}}
train: {epochs: 5, batch_size: all}
"""


def write(folder: Path, **specs: str) -> dict[str, Path]:
    """Files by their stem."""
    paths = {name: folder / f"{name}.yaml" for name in specs}
    for name, text in specs.items():
        paths[name].write_text(text, encoding="utf-8")
    return paths


def composed(path: Path) -> MappingNode:
    return extended(read_file(path), path)


def test_mappings_merge_and_everything_else_replaces(tmp_path: Path) -> None:
    """Key by key, lists whole, and the base's order kept."""
    over = "extends: base.yaml\nname: mine\nmodel: [Linear: 1]\noptimizer: {Adam: {lr: 0.2}}\ntrain: {epochs: 7}\n"
    data = plain(composed(write(tmp_path, base=BASE, mine=over)["mine"]))
    assert data["optimizer"] == {"Adam": {"lr": 0.2, "amsgrad": True}}
    assert data["train"] == {"epochs": 7, "batch_size": "all"}
    assert data["model"] == [{"Linear": 1}]
    assert (data["name"], data["seed"]) == ("mine", 3)
    assert list(data)[:3] == ["version", "name", "seed"]
    assert "extends" not in data


def test_a_chain_is_followed_to_its_end(tmp_path: Path) -> None:
    """Each spec wins over those it extends; paths start from the spec that says them."""
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", base=BASE)
    paths = write(
        tmp_path, middle="extends: deep/base.yaml\nseed: 4\nname: middle\n", top="extends: middle.yaml\nname: top\n"
    )
    spec = load_spec(paths["top"])
    assert (spec.head.name, spec.head.seed, spec.train.epochs) == ("top", 4, 5)
    assert spec.problems == ()


def test_another_component_takes_the_place_of_the_base_s(tmp_path: Path) -> None:
    """With none of the other's options; the same component keeps them."""
    over = "extends: base.yaml\noptimizer: {SGD: {lr: 0.5}}\nloss: {L1Loss: {reduction: sum}}\n"
    spec = load_spec(write(tmp_path, base=BASE, mine=over)["mine"])
    assert spec.problems == ()
    assert spec.optimizer.name == "SGD"
    assert spec.optimizer.options is not None
    assert plain(spec.optimizer.options) == {"lr": 0.5}
    assert spec.loss.name == "L1Loss"


def test_a_null_takes_a_section_of_the_base_away(tmp_path: Path) -> None:
    """A scheduler of the base is gone."""
    base = BASE + "scheduler: {StepLR: {step_size: 3}}\n"
    assert load_spec(write(tmp_path, base=base, mine="extends: base.yaml\nscheduler: null\n")["mine"]).scheduler is None


def test_a_value_keeps_the_file_it_was_written_in(tmp_path: Path) -> None:
    """So an error in the base points into the base."""
    paths = write(tmp_path, base=BASE.replace("epochs: 5", "epochs: fast"), mine="extends: base.yaml\nseed: 1\n")
    (problem,) = load_spec(paths["mine"]).problems
    assert problem.place is not None
    assert problem.place.file == str(paths["base"])
    assert problem.place.line == 8


def test_a_plugin_path_starts_from_the_spec_that_lists_it(tmp_path: Path) -> None:
    """The base's plugins stand beside the base."""
    (tmp_path / "shared").mkdir()
    base = write(tmp_path / "shared", base=BASE + "plugins: [./swish.py]\n")["base"]
    mine = write(tmp_path, mine="extends: shared/base.yaml\nname: mine\n")["mine"]
    assert [folder for _, _, folder in load_spec(mine).plugin_places] == [base.parent.resolve()]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("extends: nowhere.yaml\n", "file-not-found", "no file"),
        ("extends: /etc/base.yaml\n", "extends", "relative path"),
        ("extends: https://example.org/base.yaml\n", "extends", "relative path"),
        ("extends: [base.yaml]\n", "extends", "a list"),
        ("extends: mine.yaml\n", "extends", "circle: mine.yaml -> mine.yaml"),
        ("extends: there.yaml\n", "extends", "circle: mine.yaml -> there.yaml -> mine.yaml"),
        ("extends: broken.yaml\n", "duplicate-key", "stands twice"),
    ],
)
def test_a_base_that_cannot_be_used_is_an_error_at_its_line(tmp_path: Path, text: str, code: str, words: str) -> None:
    """Absent, absolute, no path, a circle, or wrong itself."""
    paths = write(tmp_path, base=BASE, mine=text, there="extends: ./mine.yaml\n", broken="a: 1\na: 2\n")
    with pytest.raises(SpecError, match=words) as caught:
        composed(paths["mine"])
    (problem,) = caught.value.problems
    assert problem.code == code
    places = [problem.place, *(place for place, _ in problem.related)]
    assert str(paths["mine"]) in {place.file for place in places if place}


def test_an_untrusted_spec_extends_nothing_outside_its_folder(tmp_path: Path) -> None:
    """Also not through a link."""
    (tmp_path / "inner").mkdir()
    write(tmp_path, base=BASE)
    (tmp_path / "inner" / "link.yaml").symlink_to(tmp_path / "base.yaml")
    paths = write(tmp_path / "inner", mine="extends: ../base.yaml\n", linked="extends: link.yaml\n")
    for path in paths.values():
        assert load_spec(path).head.name == "base"
        with pytest.raises(SpecError, match="outside the folder of an untrusted spec"):
            load_spec(path, untrusted=True)
