"""A checkpoint comes back as it went, and is whole whatever interrupts its writing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annpipe.errors import RunError
from annpipe.train.loop.checkpoint import load_checkpoint, save_checkpoint

TENSORS = st.sampled_from(
    [torch.arange(6.0).reshape(2, 3), torch.tensor(2), torch.zeros(0), torch.tensor([True]), torch.ones(2).double()]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | TENSORS
KEYS = st.text("ab.", max_size=3)
STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equality that takes nan for nan, tensors bit for bit, and minds every type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, STATES, max_size=4))
def test_any_nested_state_comes_back(tmp_path: Path, state: dict[str, Any]) -> None:
    """Dicts with whole numbers for keys, tuples, nan, infinities, empty tensors, names with dots that would collide."""
    save_checkpoint(tmp_path, "last", state)
    assert same(load_checkpoint(tmp_path, "last"), state)


def test_tensors_that_share_memory_or_are_views_come_back(tmp_path: Path) -> None:
    """Tied weights, a transposed view, the same tensor twice."""
    tensor = torch.arange(6.0).reshape(2, 3)
    state = {"tied": tensor, "again": tensor, "view": tensor.T, "row": tensor[1], "inf": [float("inf"), -float("inf")]}
    save_checkpoint(tmp_path, "last", state)
    assert same(load_checkpoint(tmp_path, "last"), state)


@pytest.mark.parametrize("make", [torch.optim.LBFGS, torch.optim.Adam, torch.optim.SGD, torch.optim.Rprop])
def test_an_optimizer_goes_on_from_its_state_exactly(tmp_path: Path, make: Any) -> None:
    """Steps 4 to 6 after a checkpoint are those without one, LBFGS's history included."""

    def steps(parameter: torch.Tensor, optimizer: Any, number: int) -> None:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (parameter.square() * torch.tensor([1.0, 2.0, 3.0])).sum() + parameter.sum().sin()
            loss.backward()
            return loss

        for _ in range(number):
            optimizer.step(closure)

    one = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    first = make([one], lr=0.1)
    steps(one, first, 3)
    save_checkpoint(tmp_path, "last", {"parameter": one, "optimizer": first.state_dict()})
    kept = load_checkpoint(tmp_path, "last")
    other = torch.nn.Parameter(kept["parameter"].clone())
    second = make([other], lr=0.1)
    second.load_state_dict(kept["optimizer"])
    steps(one, first, 3)
    steps(other, second, 3)
    assert torch.equal(one, other)


def test_a_checkpoint_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The run stopped before its first one."""
    with pytest.raises(RunError, match="there is no checkpoint 'last'"):
        load_checkpoint(tmp_path, "last")


WRITER = """
import os, shutil, signal, sys
from pathlib import Path
import torch
from annpipe.train.loop.checkpoint import load_checkpoint, save_checkpoint

calls, fatal = 0, 0

def dying(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

def write(folder, number, dies_at):
    # In a process of its own; True when it lived to its end.
    global fatal
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for name in ("mkdir", "open", "fsync", "rename", "rmdir", "unlink"):
        setattr(os, name, dying(name))
    fatal = dies_at
    save_checkpoint(folder, "last", {"number": number, "tensor": torch.full((3,), float(number))})
    os._exit(0)

def kept(folder):
    state = load_checkpoint(folder, "last")
    assert state["tensor"].tolist() == [float(state["number"])] * 3
    return state["number"]

def moments(begin, number):
    # The folder after a kill at each call in turn; the last one is of a writer that lived.
    for fatal in range(1, 100):
        folder = begin.parent / f"{begin.name}.{fatal}"
        shutil.copytree(begin, folder)
        lived = write(folder, number, fatal)
        yield folder
        if lived:
            return

home = Path(sys.argv[1])
first = home / "run"
first.mkdir()
write(first, 1, 0)
once = list(moments(first, 2))
print(*map(kept, once))
for folder in once:
    print(*map(kept, moments(folder, 3)))
"""


def test_kills_at_any_moment_leave_the_old_checkpoint_or_the_new_one(tmp_path: Path) -> None:
    """The writer is killed before each of its calls to the system in turn, and so is the next writer after it."""
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    once, *twice = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert len(once) > 8
    assert once == sorted(once)
    assert set(once) == {1, 2}
    assert len(twice) == len(once)
    for before, numbers in zip(once, twice, strict=True):
        assert numbers == sorted(numbers)
        assert set(numbers) == {before, 3}
