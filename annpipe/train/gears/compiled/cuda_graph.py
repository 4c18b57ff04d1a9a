"""Many steps of a stack as one CUDA graph: captured once, over memory of its own, and replayed without Python.

A graph reads and writes where it did when it was captured. So the state of a run, its rows and the options of its
optimizers are copied there before a replay, and the state back after it. The graph that was checked on copies is thus
the very one that takes the run's steps; none is captured later on, when it could only fail.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from annpipe.train.gears.compiled.steps import StepInputs, StepState, Take, steps_of
from annpipe.train.gears.stacked.state import StackedState

Replay = Callable[[], torch.Tensor]
Capture = Callable[[Replay], Replay]
"""Captures what a function without arguments does; its output is always the same memory, written by each replay."""


def cuda_graph(function: Replay) -> Replay:
    """Captures on the current device. The function is called before, so that nothing is set up while it is captured.

    What would make the host wait for the device cannot be captured: it raises at the second call, before it could
    leave a capture unfinished.
    """
    gc.collect()  # a graph of another run that were let go of inside would end the capture
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):  # a capture that fails leaves its stream in place: this takes it back
        function()
        with _no_waiting():
            function()
        with torch.cuda.graph(graph, stream=stream):
            output = function()
    torch.cuda.current_stream().wait_stream(stream)

    def replay() -> torch.Tensor:
        graph.replay()
        return output

    return replay


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Inside, torch raises where the host would wait for the device, as far as it notices."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class GraphedSteps:
    """`n_steps` steps a call, each of every member, on rows of one shape; captured at the first call.

    `shares_rows` says that each call is given the same rows, which nobody writes to: these are read where they are.
    """

    def __init__(
        self, stack: StackedState, n_steps: int, x: torch.Tensor, *, shares_rows: bool, capture: Capture = cuda_graph
    ) -> None:
        self._steps = steps_of(stack, n_steps, x)
        self._shares_rows, self._capture = shares_rows, capture
        self._memory: _Memory | None = None
        self._replay: Replay | None = None

    def __call__(self, state: StepState, inputs: StepInputs) -> torch.Tensor:
        """As `CompiledSteps`: the losses, (steps, members); `state` is changed in place."""
        with torch.no_grad():
            if self._memory is None or self._replay is None:
                self._memory = _Memory(state, inputs, shares_rows=self._shares_rows)
                with torch.cuda.device_of(inputs.xs[0]):  # type: ignore[no-untyped-call]  # torch's own
                    self._replay = self._capture(_bound(self._steps, self._memory))
            if not self._memory.can_take(inputs):  # rows in other memory: the same steps, one by one
                return _bound(self._steps, _Memory(state, inputs, copies=False))()
            self._memory.copy_in(state, inputs)
            losses = self._replay().clone()
            self._memory.copy_out(state)
            return losses


class _Memory:
    """What a graph reads and writes: copies, but for rows that are shared; with `copies` off the tensors themselves."""

    def __init__(self, state: StepState, inputs: StepInputs, *, shares_rows: bool = True, copies: bool = True) -> None:
        table = zip(inputs.table, state.values, strict=True)
        self.state = state.copied() if copies else state
        self.xs, self.ys = ([x if shares_rows else x.clone() for x in rows] for rows in (inputs.xs, inputs.ys))
        self.table = [group.to(values.device, copy=True) for group, values in table]
        self.count = torch.full((), float(inputs.step), dtype=torch.float64, device=inputs.xs[0].device)
        self._shares_rows, self._last_table = shares_rows, list(inputs.table)

    def can_take(self, inputs: StepInputs) -> bool:
        """Whether rows can be read: any that are copied, and those that are shared."""
        pairs = zip([*inputs.xs, *inputs.ys], [*self.xs, *self.ys], strict=True)
        return not self._shares_rows or all(_is_same_memory(*pair) for pair in pairs)

    def copy_in(self, state: StepState, inputs: StepInputs) -> None:
        """Copies in what the next steps begin with. The host waits for nothing."""
        torch._foreach_copy_(_read(self.state), _read(state))
        if not self._shares_rows:
            torch._foreach_copy_(self.xs, list(inputs.xs))
            torch._foreach_copy_(self.ys, list(inputs.ys))
        for kept, before, now in zip(self.table, self._last_table, inputs.table, strict=True):
            if now is not before and not torch.equal(now, before):  # both are the processor's
                kept.copy_(now, non_blocking=True)
        self._last_table = list(inputs.table)
        self.count.fill_(float(inputs.step))

    def copy_out(self, state: StepState) -> None:
        """Copies out what the steps have computed."""
        torch._foreach_copy_([*_read(state), *state.gradients], [*_read(self.state), *self.state.gradients])


def _read(state: StepState) -> list[torch.Tensor]:
    """What steps begin with; gradients they only leave behind."""
    return [*state.values, *(tensor for states in state.states for tensor in states.values())]


def _is_same_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (a.data_ptr(), a.shape, a.stride()) == (b.data_ptr(), b.shape, b.stride())


def _bound(steps: Take, memory: _Memory) -> Replay:
    """Steps on this memory."""
    state = memory.state

    def run() -> torch.Tensor:
        tensors = state.values, state.gradients, state.states
        return steps(*tensors, memory.xs, memory.ys, memory.table, memory.count)

    return run
