"""A spec with the changes of a command: what the draft has of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.errors import SpecError
from annpipe.runs.spec_source import SpecSource

SPEC = """
version: 1
name: small
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 2]}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1, clip_norm: 1}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec in a folder of its own."""
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_a_draft_has_every_change(spec: Path) -> None:
    """--set, --unset and --device."""
    drafted = SpecSource(spec, ("train.epochs=7",), ("train.clip_norm",), "cpu").draft()
    assert (drafted.spec.train.epochs, drafted.spec.train.clip_norm) == (7, None)
    assert drafted.spec.device.type == "cpu"


def test_a_run_of_another_name_stays_in_the_experiment_of_its_spec(spec: Path) -> None:
    """Beside the runs that it is compared with."""
    renamed = SpecSource(spec, name="other").draft().spec
    assert (renamed.head.name, renamed.tracking.experiment) == ("other", "small")


def test_a_name_that_cannot_be_printed_is_refused(spec: Path) -> None:
    """With its place on the command line."""
    with pytest.raises(SpecError) as caught:
        SpecSource(spec, name="two\nlines").draft()
    (problem,) = caught.value.problems
    assert problem.code == "unprintable-name"
    assert problem.place
    assert problem.place.on_command_line


def test_the_data_can_be_drafted_alone(spec: Path) -> None:
    """Whatever the rest of the spec is."""
    spec.write_text(SPEC.replace("loss: MSELoss", "loss: Nothing"), encoding="utf-8")
    assert SpecSource(spec).draft_data().data.name == "table"
