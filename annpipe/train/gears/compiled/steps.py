"""Several steps of a stack as one graph: forward, backward and optimizer, compiled by torch.

What changes from step to step comes in as tensors (rows, options of the optimizers, the count of steps), so that
nothing is compiled twice. A run by itself is a stack of one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.func import grad_and_value

from annpipe.files.private import cache_folder
from annpipe.train.gears.stacked.optimizers import StackedGroup
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.tally import step_losses

UNBOUNDED = 2**20


@dataclass(frozen=True)
class StepState:
    """What steps change: for each group its values, gradient and optimizer state, (members, numbers) each."""

    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    states: list[dict[str, torch.Tensor]]

    def copied(self) -> StepState:
        """The same numbers apart from the run's."""
        states = [{name: tensor.clone() for name, tensor in state.items()} for state in self.states]
        return StepState([t.clone() for t in self.values], [t.clone() for t in self.gradients], states)


def state_of(stack: StackedState) -> StepState:
    """The tensors of a stack themselves, not copies."""
    groups = stack.groups
    return StepState([g.values for g in groups], [g.gradient for g in groups], [g.states for g in groups])


@dataclass(frozen=True)
class StepInputs:
    """What the steps of a call read.

    `xs` and `ys`, (members, rows, …) each, are those of every step, or one for all. `table` has for each group the
    options of the optimizers in double precision, (steps, options, members). `step` is the number of the first, from 1.
    """

    xs: Sequence[torch.Tensor]
    ys: Sequence[torch.Tensor]
    table: Sequence[torch.Tensor]
    step: int


Take = Callable[..., torch.Tensor]
CallSteps = Callable[[StepState, StepInputs], torch.Tensor]
"""Steps of every member, as a call of `CompiledSteps` takes them."""


class CompiledSteps:
    """`n_steps` steps a call, each of every member, on rows of one shape.

    It is compiled at its first call, which stands inside `compiling()`.
    """

    def __init__(self, stack: StackedState, n_steps: int, x: torch.Tensor, *, threads: int) -> None:
        self.n_steps = n_steps
        options: dict[str, Any] = {"compile_threads": 1}
        if threads == 1:  # its OpenMP runtime is another than torch's: with more threads they wait for each other
            options["cpp_wrapper"] = True
        self._is_compiled = False
        self._run: Take = torch.compile(steps_of(stack, n_steps, x), fullgraph=True, dynamic=False, options=options)

    def __call__(self, state: StepState, inputs: StepInputs) -> torch.Tensor:
        """The losses, (steps, members), or the values and divisors of their terms, (steps, members, 2K); `state` is
        changed in place.
        """
        rows_and_options = list(inputs.xs), list(inputs.ys), list(inputs.table)
        count = torch.tensor(float(inputs.step), dtype=torch.float64)
        with torch.no_grad(), torch.compiler.set_stance(skip_guard_eval_unsafe=self._is_compiled):
            losses = self._run(state.values, state.gradients, state.states, *rows_and_options, count)
        self._is_compiled = True
        return losses


@contextmanager
def compiling() -> Iterator[None]:
    """Inside, torch may compile: as often as there are runs, in silence, into the user's cache folder.

    The variable `TORCHINDUCTOR_CACHE_DIR` names another.
    """
    import torch._dynamo

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
    limits = {"recompile_limit": UNBOUNDED, "accumulated_recompile_limit": UNBOUNDED}
    with warnings.catch_warnings(), torch._dynamo.config.patch(limits):
        warnings.simplefilter("ignore")
        yield


def steps_of(stack: StackedState, n_steps: int, x: torch.Tensor) -> Take:
    """The function that is compiled; called as it is, it takes the same steps."""
    passes = [_pass(stack, members, fixed) for members, fixed in stack.fixed_tensors(x)]
    optimizer, names = stack.optimizer, stack.optimizer.hyperparameters
    flags, dtype = [group.flags for group in stack.groups], stack.groups[0].values.dtype

    def steps(
        values: list[torch.Tensor],
        gradients: list[torch.Tensor],
        states: list[dict[str, torch.Tensor]],
        xs: list[torch.Tensor],
        ys: list[torch.Tensor],
        table: list[torch.Tensor],
        count: torch.Tensor,
    ) -> torch.Tensor:
        losses = []
        for number in range(n_steps):
            batch_index = number if len(xs) > 1 else 0
            results = [pass_(values, xs[batch_index], ys[batch_index]) for pass_ in passes]
            latest = [torch.cat([by_group[group] for _, by_group in results]) for group in range(len(values))]
            for group, gradient in enumerate(latest):
                exact = {name: table[group][number, i].unsqueeze(1) for i, name in enumerate(names)}
                options = {name: column.to(dtype) for name, column in exact.items()}
                options |= {f"1-{name}": (1 - column).to(dtype) for name, column in exact.items()}
                stacked = StackedGroup(
                    values[group], gradient, states[group], flags[group], exact, options, decays=True
                )
                optimizer.step(stacked, count + number)
            losses.append(torch.cat([chunk_losses for chunk_losses, _ in results]))
        for kept, last in zip(gradients, latest, strict=True):
            kept.copy_(last)
        return torch.stack(losses)

    return steps


Pass = Callable[[Sequence[torch.Tensor], torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[torch.Tensor]]]


def _pass(stack: StackedState, members: range, fixed: Mapping[str, torch.Tensor]) -> Pass:
    """Values of the groups, x and y -> what the losses of some members are, and the gradients by group."""
    slices, model = stack.slices, stack.model
    first, last, n_groups, n_terms = members.start, members.stop, len(stack.groups), stack.n_terms

    def total(trained: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        figures = model.losses(x, y, {**fixed, **trained}, members)
        return step_losses(figures, n_terms).sum(), figures

    differentiated = grad_and_value(total, has_aux=True)

    def pass_(
        values: Sequence[torch.Tensor], x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        trained = {name: part.of(values[part.group][first:last]) for name, part in slices.items()}
        gradients, (_, figures) = differentiated(trained, x[first:last], y[first:last])
        flat = [
            [gradients[name].reshape(last - first, -1) for name, part in slices.items() if part.group == group]
            for group in range(n_groups)
        ]
        return figures, [torch.cat(some, 1) if some else values[group][first:last] for group, some in enumerate(flat)]

    return pass_
