"""Rows that a spec asks to be made are refused where the memory cannot hold them, whatever the system would grant."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.files import memory
from tests.conftest import CliHere

REST = "model: [{Linear: 1}]\nloss: L1Loss\noptimizer: {Adam: {lr: 0.1}}\ntrain: {epochs: 1}\n"
SOURCES = {
    "repeat": "{table: {inputs: {a: [1, 2]}, targets: {y: [0, 1]}, repeat: 100000000}}",
    "rows": "{formula: {inputs: {x: {Uniform: [0, 1]}}, targets: {y: x}, rows: 200000000}}",
    "options": "{sklearn: {make: regression, options: {n_samples: 200000000, n_features: 1}}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("option", SOURCES)
def test_rows_beyond_the_memory_are_refused_before_they_are_made(
    option: str, annpipe_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the option's line, with how much they take and how much there is; the same rows, few, are made."""
    monkeypatch.setattr(memory, "machine_memory", lambda: 2**30)
    spec = tmp_path / "spec.yaml"
    seen = "transforms: {number: standardize}"  # asks for the rows before the plan stands
    text = f"version: 1\nname: big\ndata: {SOURCES[option]}\n{REST}"
    spec.write_text(text.replace("data: {", f"data: {{{seen}, "))
    code, _, said = annpipe_here("validate", str(spec))
    assert code == 3, said
    assert "GiB, and the machine has 1.0 GiB" in said
    assert option in said
    spec.write_text(text)
    code, _, said = annpipe_here("run", str(spec))
    assert code == (3 if option == "options" else 1), said  # only scikit-learn's columns are not told by its options
    assert "GiB, and the machine has 1.0 GiB" in said
    spec.write_text(text.replace("00000000", "0"))
    code, _, said = annpipe_here("validate", str(spec))
    assert code == 0, said
