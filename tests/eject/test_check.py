"""The check finds where a script leaves the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.eject.check import check, losses_of_script, parting
from annpipe.errors import RunError
from annpipe.observer import SILENT
from tests.eject.ejecting import script_of
from tests.training import Planned

SPEC = """
version: 1
name: line
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [1, 3, 5, 7]}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 3}
"""


def test_series_part_at_the_first_other_bit_or_at_the_end_of_one() -> None:
    """Minus zero is another number than zero."""
    assert parting([1.0, 2.0], [1.0, 2.0]) is None
    last = parting([1.0, 0.0], [1.0, -0.0])
    assert last is not None
    assert last.at == 2
    longer = parting([1.0], [1.0, 2.0])
    assert longer is not None
    assert (longer.at, longer.script, longer.run) == (2, None, 2.0)


@pytest.mark.slow
def test_a_script_that_was_changed_parts(planned: Planned, tmp_path: Path) -> None:
    """From the second epoch on, since the first loss is taken before a step."""
    plan = planned(SPEC)
    script = tmp_path / "line.py"
    script.write_text(script_of(plan, tmp_path).replace("lr=0.1", "lr=0.11"), encoding="utf-8")
    comparison = check(plan, script, SILENT)
    assert not comparison.is_equal
    assert comparison.parts["train/loss"].at == 2


@pytest.mark.slow
def test_a_script_that_needs_annpipe_fails(tmp_path: Path) -> None:
    """It is run where annpipe is not to be found."""
    script = tmp_path / "needs.py"
    script.write_text("import annpipe\n", encoding="utf-8")
    with pytest.raises(RunError, match="has no need of annpipe"):
        losses_of_script(script)
