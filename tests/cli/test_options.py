"""Options that several commands share."""

from __future__ import annotations

import pytest

from tests.conftest import CliHere


@pytest.mark.parametrize("command", [["export", "--to", "onnx"], ["report"], ["verify"]])
@pytest.mark.parametrize("named", [[], ["curve", "--last"]])
def test_one_run_is_named_or_the_last_one(command: list[str], named: list[str], annpipe_here: CliHere) -> None:
    """Neither and both are wrong usage."""
    code, _, err = annpipe_here(*command, *named)
    assert code == 2
    assert "say which run: its id, its name, or --last" in err
