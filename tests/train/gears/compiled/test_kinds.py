"""The kinds of gears that take several steps a call: how many steps, and how they are made."""

from __future__ import annotations

import functools

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled import kinds
from annpipe.train.gears.compiled.cuda_graph import GraphedSteps
from annpipe.train.gears.compiled.kinds import COMPILED, GRAPHED, KINDS, MOST_ROW_BYTES, GearKind
from annpipe.train.gears.compiled.steps import StepInputs, state_of
from annpipe.train.gears.compiled.verify import option_table
from annpipe.train.gears.stacked.state import StackedState
from tests.train.gears.recording import Recorder
from tests.train.gears.stacks import SPEC, built
from tests.training import Planned


def test_a_graph_keeps_copies_of_few_rows() -> None:
    """Where each step has rows of its own."""
    assert GRAPHED.most_steps_of(0) == GRAPHED.most_steps_of(1000) == 64
    assert GRAPHED.most_steps_of(MOST_ROW_BYTES // 10) == 10
    assert GRAPHED.most_steps_of(MOST_ROW_BYTES * 10) == 1
    assert COMPILED.most_steps_of(MOST_ROW_BYTES * 10) == 8


@pytest.mark.parametrize(("device", "kind"), [("cpu", COMPILED), ("cuda", GRAPHED)])
def test_each_device_has_its_kind(device: str, kind: GearKind) -> None:
    """Steps are compiled on the processor, captured on CUDA; elsewhere they stay eager."""
    assert KINDS[device] is kind
    assert KINDS.keys() == {"cpu", "cuda"}


@pytest.mark.parametrize("is_full", [True, False])
def test_what_a_kind_makes_takes_its_steps(
    is_full: bool, planned: Planned, monkeypatch: pytest.MonkeyPatch, uncompiled: list[object]
) -> None:
    """Both make the same ones; a graph reads rows that all steps share where they are, and copies others."""
    recorder = Recorder()
    monkeypatch.setattr(kinds, "GraphedSteps", functools.partial(GraphedSteps, capture=recorder))
    with computing("float64", deterministic=False):
        run = built(planned(SPEC, "optimizer={SGD: {lr: 0.05}}"))
        state = StackedState([run.plan], [run.parts], [torch.Generator()], 1)
        rows = run.parts.rows["train"]
        pieces = [slice(None)] if is_full else [slice(0, 8), slice(8, 16)]
        xs, ys = ([tensor[piece].unsqueeze(0) for piece in pieces] for tensor in (rows.x, rows.y))
        options = option_table([run.parts.optimizer], state.optimizer.hyperparameters)
        table, losses = [torch.stack([group] * 2) for group in options], list[torch.Tensor]()
        for kind in (COMPILED, GRAPHED):
            now, steps = state_of(state).copied(), kind.make(state, 2, xs[0], 1, is_full)
            first = steps(now, StepInputs(xs, ys, table, 2))
            losses.append(torch.stack([first, steps(now, StepInputs([x.clone() for x in xs], ys, table, 4))]))
    assert torch.equal(*losses)
    assert len(uncompiled) == 2
    assert (recorder.captures, recorder.replays) == (1, 1 if is_full else 2)
