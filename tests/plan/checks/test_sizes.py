"""Memory: what the machine has, a plan that needs more, and a failure that is told in words."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.errors import OutOfMemory, is_out_of_memory
from annpipe.files.memory import machine_memory
from annpipe.plan.checks import sizes
from tests.conftest import unrecorded

SPEC = """
version: 1
name: large
data: {table: {inputs: {x: [0, 1, 2, 3]}, targets: {y: [1, 3, 5, 7]}}}
model: [Linear: 100000, ReLU, Linear: 100000, ReLU, Linear: 1]
loss: L1Loss
optimizer: Adam
train: {epochs: 1}
device: {type: cpu, threads: 1}
"""
GIB = 2**30


@pytest.mark.parametrize(
    ("files", "own", "limit"),
    [
        ({"a/b/memory.max": "max", "a/memory.max": str(GIB)}, "0::/a/b", GIB),
        ({"memory.max": str(3 * GIB)}, "0::/not/seen/from/a/container", 3 * GIB),
        ({"memory/x/memory.limit_in_bytes": str(2 * GIB)}, "4:memory:/x\n3:cpu:/x", 2 * GIB),
        ({}, "0::/", None),
        ({"memory.max": "9" * 25}, "0::/", None),
    ],
)
def test_the_limit_of_a_control_group_counts(
    files: dict[str, str], own: str, limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both versions, and of groups above; else it is the machine's memory."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    (tmp_path / "own").write_text(own, encoding="utf-8")
    whole = machine_memory(tmp_path / "none", tmp_path / "none")
    assert whole is not None
    assert machine_memory(tmp_path, tmp_path / "own") == min(whole, limit or whole)


@pytest.mark.parametrize(
    ("override", "gib", "words"),
    [
        ("optimizer=Adam", 64, "a step holds about 149.0 GiB, and the machine has 64.0 GiB: parameters 37.3 GiB"),
        ("optimizer=SGD", 64, "a step holds about 74.5 GiB"),
        ("optimizer=SGD", 75, None),
        ("model=[Linear: 100, Linear: 1]", 1, None),
        ("model=[Linear: 200000000, ReLU, Linear: 1]", 8, "activations"),
    ],
)
def test_a_plan_beyond_the_memory_is_warned_of(
    override: str, gib: int, words: str | None, annpipe_here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the largest layer; nothing is allocated for it."""
    monkeypatch.setattr(sizes, "machine_memory", lambda: gib * GIB)
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml", "--set", override)
    assert code == 0
    assert ("warning[memory]" in said) == (words is not None)
    assert words is None or words in said


@pytest.mark.slow
def test_memory_that_is_not_enough_is_told_in_words(tmp_path: Path) -> None:
    """The command under a limit of the shell's: exit code 1, the remedy, the traceback in a file, no resume."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    command = f"ulimit -v 16000000; exec {shlex.quote(sys.executable)} -m annpipe run spec.yaml"
    more = " --set tracking.wait_seconds=0"
    done = subprocess.run(
        ["bash", "-c", command + more], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1, done.stderr
    assert (
        "error: the run failed: the memory is not enough for 37.3 GiB more: take a smaller `batch_size`" in done.stderr
    )
    assert "annpipe resume" not in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert "DefaultCPUAllocator" in (run / "artifacts" / "error.txt").read_text(encoding="utf-8")


def failing() -> list[tuple[Callable[[], object], bool]]:
    return [
        (lambda: torch.empty(2**60, dtype=torch.uint8), True),
        (lambda: np.empty(2**60, dtype=np.uint8), True),
        (lambda: bytearray(2**60), True),
        (
            lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")),
            True,
        ),
        (lambda: torch.zeros(2) @ torch.zeros(3), False),
    ]


@pytest.mark.parametrize("number", range(5))
def test_errors_of_memory_are_known(number: int) -> None:
    """Of torch, NumPy and Python; what is another error stays one."""
    call, is_one = failing()[number]
    try:
        result = call()
        next(result) if number == 3 else None  # type: ignore[call-overload]
    except Exception as error:
        assert is_out_of_memory(error) == is_one
        assert not is_one or "the memory is not enough" in str(OutOfMemory(error))
    else:
        pytest.fail("there is no such memory")


def test_trials_that_have_no_memory_fail_one_by_one(
    annpipe_here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack whose parts do not fit is trained one by one; each trial that fails says why."""
    from annpipe.sweep import train_trials

    def full(*given: object) -> None:
        raise MemoryError

    monkeypatch.setattr(train_trials, "build", full)
    small = SPEC.replace("100000", "4").replace("optimizer: Adam", "optimizer: {Adam: {lr: 0.1}}")
    (tmp_path / "spec.yaml").write_text(small, encoding="utf-8")
    with unrecorded():
        code, out, said = annpipe_here("sweep", "spec.yaml", "--over", "optimizer.Adam.lr=0.1,0.2")
    assert code == 0, said
    assert "2" in out
