"""model.json: what is written is read back as it was, and files of other versions are read as far as they go."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from annpipe.portable import description
from annpipe.portable.description import ModelColumn, ModelDescription, ModelTarget, TargetRoles

EARLIER = Path(__file__).parents[1] / "record" / "earlier_runs"
X = ModelColumn(name="x", type="double")
TOWN = ModelColumn(name="town", type="string", categories=("Bern", "Köln"))
ROLES = TargetRoles(names=("mean", "variance"), point=0, is_log=False, variance=1, layer="GaussianHead")
TARGET = ModelTarget(
    name="y", type="number", shape=(), span=(0, 2), labels=False, words=(), classes=None, gives=None, roles=ROLES
)
WHOLE = ModelDescription(
    inputs=(X, TOWN),
    outputs=(ModelColumn(name="y", type="double", link="exp"),),
    targets=(TARGET,),
    loss={"loss": {"GaussianNLLLoss": {"eps": 1e-6}}},
    reading={"delimiter": ";"},
    precision="float64",
    transforms=True,
    requirements=("torch==2.0",),
    inputs_example={"x": [1.0], "town": [None]},
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Every field of every part, and the version beside them."""
    WHOLE.write(tmp_path)
    assert ModelDescription.read(tmp_path) == WHOLE
    assert json.loads((tmp_path / "model.json").read_text())["version"] == description.VERSION == 1


@pytest.mark.parametrize("path", sorted(EARLIER.glob("*/model/model.json")), ids=lambda path: path.parts[-3])
def test_files_of_an_earlier_version_are_read_whole(path: Path) -> None:
    """Written again, they have all members that they had, in their order, and the version before them."""
    before = json.loads(path.read_text(encoding="utf-8"))
    after = ModelDescription.read(path.parent).to_data()
    assert list(after) == ["version", *before]
    assert {key: value for key, value in after.items() if key != "version"} == before


def test_members_that_are_missing_are_as_they_were_before_they_were_told() -> None:
    """A model of the first version has names and types alone."""
    data = {"inputs": [{"name": "x", "type": "double"}], "outputs": [{"name": "y", "type": "double", "shape": []}]}
    expected = ModelDescription(inputs=(X,), outputs=(ModelColumn(name="y", type="double"),))
    assert ModelDescription.from_data(data) == expected
    assert expected.targets is None


def test_members_of_a_newer_version_are_passed_over() -> None:
    """One that a later annpipe added says nothing that this one needs; one that was changed has a higher version."""
    data = WHOLE.to_data()
    data["colour"] = "blue"
    data["inputs"][0]["unit"] = "m"
    assert ModelDescription.from_data(data) == WHOLE
    with pytest.raises(ValueError, match="has the version 2, and this annpipe reads version 1"):
        ModelDescription.from_data(data | {"version": 2})


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        *(("inputs", "name", 5), ("inputs", "shape", 3), ("inputs", "categories", ["a", 1]), ("outputs", "name", None)),
        *(("targets", "span", [1]), ("targets", "classes", "ab"), ("targets", "shape", ["1"])),
    ],
)
def test_a_member_of_another_type_is_named(where: str, key: str, value: Any) -> None:
    """Whoever loads the model says so of the file."""
    data = WHOLE.to_data()
    data[where][0][key] = value
    with pytest.raises(TypeError, match=f"'{key}' in model.json is"):
        ModelDescription.from_data(data)
    with pytest.raises(TypeError, match="holds no object"):
        ModelDescription.from_data([])  # type: ignore[arg-type]  # as a damaged file may


def test_the_definition_imports_python_alone() -> None:
    """Its copy beside a model of MLflow's finds nothing else."""
    tree = ast.parse(Path(description.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert {str(name).partition(".")[0] for name in names} <= sys.stdlib_module_names
