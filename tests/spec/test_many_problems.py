"""A spec with thousands of mistakes is answered soon, not with a report of megabytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

N = 5000
NAMES = [f"k{number}" for number in range(N)]
MAPPING = "{" + ", ".join(f"{name}: 1" for name in NAMES) + "}"
WRONG = {
    "sections": "\n".join(f"{name}: 1" for name in NAMES),
    "options of a component": f"loss: {{MSELoss: {MAPPING}}}",
    "options of a section": f"train: {MAPPING}",
    "components": f"model: [{', '.join(NAMES)}]",
    "values of an option": f"data: {{table: {{inputs: {MAPPING}, targets: {{y: [1]}}}}}}",
    "variables": "tags: {" + ", ".join(f"{name}: '${{{name}}}'" for name in NAMES) + "}",
    "duplicate keys": "tags: {" + ", ".join(["same: 1"] * N) + "}",
}


@pytest.mark.parametrize("section", WRONG)
def test_a_report_stops_at_fifty_problems(
    annpipe_here: Callable[..., tuple[int, str, str]], tmp_path: Path, section: str
) -> None:
    """Whatever is wrong so many times."""
    (tmp_path / "spec.yaml").write_text(f"version: 1\nname: x\n{WRONG[section]}\n", encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == 3
    assert 50 <= said.count("error[") <= 60
    assert " or more\n" in said
    assert len(said) < 60_000
