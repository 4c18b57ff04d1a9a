"""The short way to step an optimizer: the same numbers bit for bit, and nobody who listens is left out."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from annpipe.train.gears.eager.optimizer_step import QuickStep, quickest

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam, fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "Adam, fused, every option": lambda p: torch.optim.Adam(
        p, lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1, amsgrad=True, maximize=True, fused=True
    ),
    "Adam, fused, decay of its own": lambda p: torch.optim.Adam(
        p, lr=0.1, weight_decay=0.1, decoupled_weight_decay=True, fused=True
    ),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "AdamW, fused, in groups": lambda p: torch.optim.AdamW(
        [{"params": one, "lr": 0.1 / n} for n, one in enumerate(p, start=1)], lr=0.1, fused=True
    ),
    "SGD with momentum, fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
}


class Job:
    """A small network of which one layer is left out on every third step."""

    def __init__(self, make: Callable[[Any], torch.optim.Optimizer], dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        self.x = torch.randn(8, 3, dtype=dtype)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 3, dtype=dtype), torch.nn.Linear(3, 3, dtype=dtype)])
        self.optimizer = make(self.layers.parameters())
        self.done = 0

    def run(self, n_steps: int, step: Callable[[], object]) -> None:
        for _ in range(n_steps):
            self.optimizer.zero_grad()
            hidden = self.layers[0](self.x).tanh()
            (hidden if self.done % 3 == 2 else self.layers[1](hidden)).square().mean().backward()
            step()
            self.done += 1

    def numbers(self) -> list[torch.Tensor]:
        """The weights and all that the optimizer remembers."""
        kept = self.optimizer.state_dict()["state"].values()
        return [*self.layers.parameters(), *(value for state in kept for value in state.values())]


def assert_same(one: Job, other: Job) -> None:
    for mine, theirs in zip(one.numbers(), other.numbers(), strict=True):
        assert mine is theirs or torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_numbers_are_those_of_torchs_own_step(name: str, dtype: torch.dtype) -> None:
    """Ten steps, and ten more after the state was saved and loaded into a fresh optimizer, change no bit."""
    quick, whole = Job(OPTIMIZERS[name], dtype), Job(OPTIMIZERS[name], dtype)
    step = QuickStep(quick.optimizer)
    quick.run(10, step)
    whole.run(10, whole.optimizer.step)
    assert_same(quick, whole)
    quick.optimizer.load_state_dict(copy.deepcopy(quick.optimizer.state_dict()))
    quick.run(10, step)
    whole.run(10, whole.optimizer.step)
    assert_same(quick, whole)


def test_a_scheduler_leads_it() -> None:
    """A rate that a scheduler changes takes effect at once, and the scheduler warns of nothing."""
    quick, whole = Job(OPTIMIZERS["Adam, fused"]), Job(OPTIMIZERS["Adam, fused"])
    step = QuickStep(quick.optimizer)
    schedulers = [torch.optim.lr_scheduler.StepLR(job.optimizer, 2, 0.5) for job in (quick, whole)]
    for _ in range(6):
        quick.run(1, step)
        whole.run(1, whole.optimizer.step)
        for scheduler in schedulers:
            scheduler.step()
    assert_same(quick, whole)


def test_the_label_is_left_out_where_nobody_listens() -> None:
    """The shortcuts are taken: without them this file would test nothing."""
    for name in ("Adam, fused", "RMSprop"):
        job = Job(OPTIMIZERS[name])
        job.run(1, job.optimizer.step)
        assert quickest(job.optimizer) != job.optimizer.step


def test_a_hook_is_heard() -> None:
    """An optimizer with a hook takes torch's own step each time."""
    heard: list[Any] = []
    job = Job(OPTIMIZERS["Adam, fused"])
    job.optimizer.register_step_post_hook(lambda *arguments: heard.append(arguments))
    job.run(3, QuickStep(job.optimizer))
    assert len(heard) == 3


def test_a_class_that_wraps_torchs_step_keeps_its_own() -> None:
    """A plugin's optimizer whose step stands around torch's is not unwrapped past its own lines."""

    class Counting(torch.optim.SGD):
        count = 0

        @functools.wraps(torch.optim.SGD.step)
        def step(self, closure: Any = None) -> Any:
            self.count += 1
            return super().step(closure)

    job = Job(lambda parameters: Counting(parameters, lr=0.1))
    job.run(3, QuickStep(job.optimizer))
    assert isinstance(job.optimizer, Counting)
    assert job.optimizer.count == 3
