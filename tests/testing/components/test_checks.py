"""Every component that is there passes its checks or has a listed reason, and faults of further sorts are found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from annpipe import Look, Registry, callback, layer
from annpipe.registry.entry import Entry
from annpipe.registry.kinds import KINDS
from annpipe.testing import check_component
from annpipe.testing.components.checks import CHECKS, check_entry
from annpipe.testing.components.listed_reasons import LISTED_REASONS
from tests.sampling import sample

ROOT = Path(__file__).parents[3]
REGISTRY = Registry.installed()
ENTRIES = [
    entry for kind in KINDS for entry in REGISTRY.entries(kind) if entry.origin.distribution in ("annpipe", "torch")
]
EXAMPLES = [
    file for file in sorted((ROOT / "examples").rglob("[!_]*.py")) if "annpipe import" in file.read_text("utf-8")
]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "plugins" / "README.md").read_text("utf-8"), re.DOTALL)
ON_PAGE = [block for block in BLOCKS if re.search(rf"^@({'|'.join(KINDS)})\b", block, re.MULTILINE)]


@pytest.mark.parametrize("entry", sample(ENTRIES, 90, first=3), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_a_built_in_component_passes(entry: Entry) -> None:
    """All of them, the slow tests; a few, the quick ones."""
    report = check_entry(entry, REGISTRY)
    report.check()
    assert [verdict.check for verdict in report.verdicts] == list(CHECKS)
    assert all(verdict.reason for verdict in report.verdicts)


@pytest.mark.slow
def test_a_listed_reason_is_one_of_a_component_that_is_there_and_fails() -> None:
    """A reason that no component needs is taken out of the list."""
    for kind, name, check in list(LISTED_REASONS):
        entry = REGISTRY.entry(kind, name)
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(LISTED_REASONS, (kind, name, check))  # type: ignore[arg-type]  # a dict, in this place
            assert check in {verdict.check for verdict in check_entry(entry, REGISTRY).failed}


@pytest.mark.slow
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_component_of_the_examples_passes(file: Path) -> None:
    """Each file of the folder."""
    registry = REGISTRY.copy()
    for entry in registry.add_file(file):
        check_entry(entry, registry).check()


@pytest.mark.slow
@pytest.mark.parametrize("block", ON_PAGE, ids=lambda block: re.findall(r"^(?:class|def) (\w+)", block, re.M)[-1])
def test_a_component_of_the_page_passes(block: str, tmp_path: Path) -> None:
    """Each block of the page for plugin authors that marks one."""
    file = tmp_path / "page.py"
    file.write_text(block, encoding="utf-8")
    check_component(file, registry=REGISTRY).check()


def test_every_example_and_block_is_there() -> None:
    """One block a kind, and the files of the folder with components."""
    assert len(ON_PAGE) == len(KINDS)
    assert {file.stem for file in EXAMPLES} >= {"wave", "watching", "fourier", "layer", "metric"}


@layer
class Frozen(nn.Module):
    """Adds what was drawn when it was built."""

    unchecked = {"export": "it is only an example"}  # noqa: RUF012  # as a plugin writes it

    def __init__(self, *, in_features: int) -> None:
        super().__init__()
        self.shift = torch.randn(in_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.shift.to(x)


def test_what_is_drawn_and_not_kept_is_found_by_saving() -> None:
    """A tensor that is no buffer; a listed reason of its own stands in the report instead of a verdict."""
    report = check_component(Frozen, registry=REGISTRY)
    verdicts = {verdict.check: verdict for verdict in report.verdicts}
    assert [verdict.check for verdict in report.failed] == ["saving", "stack"]
    failed = verdicts["saving"]
    assert "`shift` is not in its state" in failed.reason
    assert "register_buffer" in failed.remedy
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[int(failed.place.rpartition(":")[2]) - 1].strip().startswith("self.shift =")
    assert (verdicts["export"].outcome, verdicts["export"].reason) == (
        "not applicable",
        "listed: it is only an example",
    )


@layer
class OfPictures(nn.Module):
    """Adds the numbers of each channel of pictures with three of them."""

    checked_in = {  # noqa: RUF012  # as a plugin writes it
        "model": [{"Linear": 12}, {"Unflatten": [1, [3, 2, 2]]}, "OfPictures", {"Linear": 1}]
    }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] != 3:
            raise ValueError("three channels are needed")
        return x.sum((2, 3))


def test_a_component_may_say_in_which_spec_it_is_tried() -> None:
    """Where no shape that annpipe tries fits it."""
    check_component(OfPictures, registry=REGISTRY).check()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(OfPictures, "checked_in")
        report = check_component(OfPictures, registry=REGISTRY)
    assert [verdict.check for verdict in report.failed] == ["example"]
    assert "three channels" in report.failed[0].reason
    others = [verdict for verdict in report.verdicts if verdict.check not in ("signature", "example")]
    assert {verdict.outcome for verdict in others} == {"not applicable"}


@callback
class Collects:
    """Remembers the losses it saw."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_look(self, look: Look) -> None:
        self.losses.append(look.values["train/loss"])

    def state_dict(self) -> dict[str, Any]:
        return {"losses": self.losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = state["losses"]


def test_state_that_goes_through_a_checkpoint_passes() -> None:
    """The counterpart of the broken callback."""
    report = check_component(Collects, registry=REGISTRY)
    report.check()
    (resume,) = (verdict for verdict in report.verdicts if verdict.check == "resume")
    assert resume.outcome == "passed"


ODD = ROOT / "tests" / "testing" / "odd_components.py"
FAULTY = {"NumpyDraw": "a generator other than torch's own", "Reseeds": "seeds the global generator anew"}
ODD_ENTRIES = Registry().add_file(ODD)


@pytest.mark.parametrize("entry", sample(ODD_ENTRIES, 12, first=9), ids=lambda entry: entry.name)
def test_a_spec_is_found_for_a_component_that_says_nothing_of_it(entry: Entry) -> None:
    """Pictures, sequences, tokens, labels, categories: those without a fault pass, the others fail at their line."""
    registry = REGISTRY.copy()
    registry.add_file(ODD)
    report = check_entry(entry, registry)
    if entry.name not in FAULTY:
        report.check()
        return
    (failed,) = report.failed
    assert failed.check == "random"
    assert FAULTY[entry.name] in failed.reason
    assert ODD.read_text("utf-8").splitlines()[int(failed.place.rpartition(":")[2]) - 1].endswith("# fault")
