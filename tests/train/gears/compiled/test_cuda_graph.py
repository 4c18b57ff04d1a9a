"""What stands around a graph of many steps: its memory, and where it computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from annpipe.backend.device import clock, computing
from annpipe.plan.plan import Plan
from annpipe.train.gears.compiled.cuda_graph import GraphedSteps, cuda_graph
from annpipe.train.gears.compiled.steps import StepInputs, StepState, state_of, steps_of
from annpipe.train.gears.compiled.verify import option_table
from annpipe.train.gears.stacked.state import StackedState
from tests.train.gears.recording import Recorder
from tests.train.gears.stacks import OPTIMIZERS, SPEC, built
from tests.training import Planned

ADAM = "optimizer={Adam: {lr: 0.01}}"


class Laid:
    """Two members side by side, with rows and options for `n_steps` steps."""

    def __init__(self, plans: list[Plan], n_steps: int = 4) -> None:
        runs = [built(plan) for plan in plans]
        self.n_steps, self.runs = n_steps, runs
        self.state = StackedState(plans, [one.parts for one in runs], [torch.Generator() for _ in runs], 1)
        self.numbers = state_of(self.state)
        self.x, self.y = (torch.stack([getattr(one.parts.rows["train"], name) for one in runs]) for name in "xy")
        options = option_table([one.parts.optimizer for one in runs], self.state.optimizer.hyperparameters)
        self.table = [torch.stack([own] * n_steps) for own in options]

    def take(self, steps: Any, numbers: StepState, step: int = 2) -> torch.Tensor:
        """Steps on all rows."""
        return steps(numbers, StepInputs([self.x], [self.y], self.table, step))

    def plain(self, numbers: StepState, xs: list[torch.Tensor], ys: list[torch.Tensor], step: int = 2) -> torch.Tensor:
        """The steps as they are written."""
        own = numbers.values, numbers.gradients, numbers.states
        count = torch.tensor(float(step), dtype=torch.float64)
        with torch.no_grad():
            return steps_of(self.state, self.n_steps, self.x)(*own, xs, ys, self.table, count)


@pytest.fixture
def laid(planned: Planned) -> Laid:
    with computing("float64", deterministic=False):
        return Laid([planned(SPEC, ADAM, f"seed={seed}") for seed in (1, 2)])


def equal(one: StepState, other: StepState) -> bool:
    """To the bit."""
    return all(
        map(
            torch.equal,
            tree_leaves([one.values, one.gradients, one.states]),
            tree_leaves([other.values, other.gradients, other.states]),
        )
    )


def test_a_graph_serves_any_numbers(laid: Laid) -> None:
    """It is captured once; those of the first call are touched by no later one."""
    recorder = Recorder()
    steps = GraphedSteps(laid.state, laid.n_steps, laid.x, shares_rows=True, capture=recorder)
    first, second = laid.numbers.copied(), laid.numbers.copied()
    for one in second.values:
        one.mul_(0.5)
    for own in (first, second, first):
        kept = [other.copied() for other in (first, second) if other is not own]
        expected = own.copied()
        losses = laid.plain(expected, [laid.x], [laid.y])
        assert torch.equal(laid.take(steps, own), losses)
        assert equal(own, expected)
        assert equal(kept[0], second if own is first else first)
    assert recorder.captures == 1


def test_capturing_leaves_the_numbers_as_they_are(laid: Laid) -> None:
    """Whatever is called for it: the first call takes its steps once."""

    def often(function: Any) -> Any:
        for _ in range(3):
            function()
        return Recorder()(function)

    numbers, expected = laid.numbers.copied(), laid.numbers.copied()
    steps = GraphedSteps(laid.state, laid.n_steps, laid.x, shares_rows=True, capture=often)
    losses = laid.plain(expected, [laid.x], [laid.y])
    assert torch.equal(laid.take(steps, numbers), losses)
    assert equal(numbers, expected)


def test_losses_are_no_memory_of_the_graph(laid: Laid) -> None:
    """Those of a call stay when the next one is made."""
    steps = GraphedSteps(laid.state, laid.n_steps, laid.x, shares_rows=True, capture=Recorder())
    numbers = laid.numbers.copied()
    losses = laid.take(steps, numbers)
    before = losses.clone()
    laid.take(steps, numbers, 6)
    assert torch.equal(losses, before)


def test_shared_rows_are_read_where_they_are(laid: Laid) -> None:
    """Rows that lie elsewhere are taken too, one step after another; neither they nor the first ones are written to."""
    recorder = Recorder()
    steps = GraphedSteps(laid.state, laid.n_steps, laid.x, shares_rows=True, capture=recorder)
    numbers, kept = laid.numbers.copied(), (laid.x.clone(), laid.y.clone())
    laid.take(steps, numbers)
    others, expected = ([laid.x.flip(1)], [laid.y * 2]), numbers.copied()
    losses = laid.plain(expected, *others, step=6)
    assert torch.equal(steps(numbers, StepInputs(*others, laid.table, 6)), losses)
    assert equal(numbers, expected)
    assert (recorder.captures, recorder.replays) == (1, 1)
    assert all(map(torch.equal, (laid.x, laid.y), kept))


def test_options_are_copied_when_they_change(laid: Laid) -> None:
    """To other values, or back; a table that says the same is left."""
    steps = GraphedSteps(laid.state, laid.n_steps, laid.x, shares_rows=True, capture=Recorder())
    numbers = laid.numbers.copied()
    usual = laid.table
    for factor, step in ((1.0, 2), (0.5, 6), (1.0, 10), (1.0, 14)):
        laid.table = [one * factor for one in usual]
        expected = numbers.copied()
        losses = laid.plain(expected, [laid.x], [laid.y], step)
        assert torch.equal(laid.take(steps, numbers, step), losses)
        assert equal(numbers, expected)


@dataclass
class Cuda:
    """What a capture asks of torch: the stream, whether waiting is forbidden, and what is being captured."""

    stream: str = "default"
    mode: int = 0
    graph: str | None = None
    replays: int = 0
    waits: bool = False
    at_calls: list[tuple[str, int, str | None]] = field(default_factory=list)

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream, graph = mock.Mock(), mock.Mock(**{"replay.side_effect": self._replay})
        own = {
            "Stream": lambda: stream,
            "current_stream": lambda: mock.Mock(),
            "CUDAGraph": lambda: graph,
            "stream": lambda one: self._within("stream", "side"),
            "graph": lambda one, stream: self._within("graph", "captured"),
            "get_sync_debug_mode": lambda: self.mode,
            "set_sync_debug_mode": lambda mode: setattr(self, "mode", 2 if mode == "error" else mode),
        }
        for name, value in own.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def _replay(self) -> None:
        self.replays += 1

    @contextmanager
    def _within(self, name: str, value: str) -> Iterator[None]:
        before = getattr(self, name)
        setattr(self, name, value)
        try:
            yield
        finally:
            setattr(self, name, before)

    def called(self) -> torch.Tensor:
        """What is captured."""
        self.at_calls.append((self.stream, self.mode, self.graph))
        if self.mode and self.waits:
            raise RuntimeError("called a synchronizing CUDA operation")
        return torch.full((), float(len(self.at_calls)))


@pytest.mark.slow
def test_a_capture_is_prepared_beside_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice outside of it, the second time with no waiting; whatever happens, waiting is allowed again."""
    cuda = Cuda()
    cuda.put_in_place(monkeypatch)
    replay = cuda_graph(cuda.called)
    assert cuda.at_calls == [("side", 0, None), ("side", 2, None), ("side", 0, "captured")]
    assert [replay().item(), replay().item(), cuda.replays] == [3.0, 3.0, 2]
    cuda.waits = True
    with pytest.raises(RuntimeError, match="synchronizing"):
        cuda_graph(cuda.called)
    assert (cuda.stream, cuda.mode, cuda.graph) == ("default", 0, None)


class _Devices(TorchDispatchMode):
    """Notes where operations put what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        self.seen |= {one.device.type for one in tree_leaves(given) if isinstance(one, torch.Tensor)}
        return given


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_compute_where_their_numbers_are(name: str, planned: Planned) -> None:
    """On a device that is only imagined: nothing is made on the CPU between, and no number is asked for."""
    with computing("float32", deterministic=False):
        own = ["device.precision=float32", f"optimizer={OPTIMIZERS[name][-1]}"]
        laid = Laid([planned(SPEC, *own, f"seed={seed}") for seed in (1, 2)])
        steps = steps_of(laid.state, laid.n_steps, laid.x)
        numbers, count = laid.numbers, torch.tensor(2.0, dtype=torch.float64)
        given = (numbers.values, numbers.gradients, numbers.states, [laid.x], [laid.y], laid.table, count)
        imagined = tree_map_only(torch.Tensor, lambda one: one.to("meta"), given)
        with _Devices() as devices, torch.no_grad():
            losses = steps(*imagined)
    assert losses.shape == (laid.n_steps, 2)
    assert devices.seen == {"meta"}


def test_a_clock_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA computes on while Python goes on; the CPU does not."""
    waited = list[torch.device]()
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    before = clock(torch.device("cpu"))
    assert not waited
    assert clock(torch.device("cuda:1")) >= before
    assert waited == [torch.device("cuda:1")]
