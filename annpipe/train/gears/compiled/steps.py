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

from annpipe.files.cache_folder import cache_folder
from annpipe.train.gears.stacked.optimizers import Slab
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.tally import step_losses

UNBOUNDED = 2**20


@dataclass(frozen=True)
class Numbers:
    """What steps change: for each group its values, gradient and memories, (members, numbers) each."""

    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    states: list[dict[str, torch.Tensor]]

    def copied(self) -> Numbers:
        """The same numbers apart from the run's."""
        states = [{name: one.clone() for name, one in own.items()} for own in self.states]
        return Numbers([one.clone() for one in self.values], [one.clone() for one in self.gradients], states)


def numbers_of(state: StackedState) -> Numbers:
    """The tensors of a stack themselves, not copies."""
    slabs = state.slabs
    return Numbers([s.values for s in slabs], [s.gradient for s in slabs], [s.states for s in slabs])


Take = Callable[..., torch.Tensor]
Rows = Sequence[torch.Tensor]
Steps = Callable[[Numbers, Rows, Rows, Sequence[torch.Tensor], int], torch.Tensor]
"""Steps of every member, as a call of `CompiledSteps` takes them."""


class CompiledSteps:
    """`n_steps` steps a call, each of every member, on rows of one shape.

    It is compiled at its first call, which stands inside `compiling()`.
    """

    def __init__(self, state: StackedState, n_steps: int, x: torch.Tensor, *, threads: int) -> None:
        self.n_steps = n_steps
        options: dict[str, Any] = {"compile_threads": 1}
        if threads == 1:  # its OpenMP runtime is another than torch's: with more threads they wait for each other
            options["cpp_wrapper"] = True
        self._is_compiled = False
        self._run: Take = torch.compile(steps_of(state, n_steps, x), fullgraph=True, dynamic=False, options=options)

    def __call__(
        self,
        numbers: Numbers,
        xs: Sequence[torch.Tensor],
        ys: Sequence[torch.Tensor],
        table: Sequence[torch.Tensor],
        step: int,
    ) -> torch.Tensor:
        """The losses, (steps, members), or the values and divisors of their terms, (steps, members, 2K); `numbers` are
        changed in place.

        `xs` and `ys`, (members, rows, …) each, are those of every step, or one for all. `table` has for each group
        the options of the optimizers in double precision, (steps, options, members). `step` is the number of the
        first, from 1.
        """
        count = torch.tensor(float(step), dtype=torch.float64)
        with torch.no_grad(), torch.compiler.set_stance(skip_guard_eval_unsafe=self._is_compiled):
            losses = self._run(
                numbers.values, numbers.gradients, numbers.states, list(xs), list(ys), list(table), count
            )
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


def steps_of(state: StackedState, n_steps: int, x: torch.Tensor) -> Take:
    """The function that is compiled; called as it is, it takes the same steps."""
    pieces = [_piece(state, members, fixed) for members, fixed in state.fixed_tensors(x)]
    stepping, names = state.stepping, state.stepping.numbers
    flags, dtype = [slab.flags for slab in state.slabs], state.slabs[0].values.dtype

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
            place = number if len(xs) > 1 else 0
            found = [piece(values, xs[place], ys[place]) for piece in pieces]
            latest = [torch.cat([own[group] for _, own in found]) for group in range(len(values))]
            for group, gradient in enumerate(latest):
                exact = {name: table[group][number, i].unsqueeze(1) for i, name in enumerate(names)}
                options = {name: one.to(dtype) for name, one in exact.items()}
                options |= {f"1-{name}": (1 - one).to(dtype) for name, one in exact.items()}
                slab = Slab(values[group], gradient, states[group], flags[group], exact, options, decays=True)
                stepping.step(slab, count + number)
            losses.append(torch.cat([own for own, _ in found]))
        for kept, last in zip(gradients, latest, strict=True):
            kept.copy_(last)
        return torch.stack(losses)

    return steps


Piece = Callable[[Sequence[torch.Tensor], torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[torch.Tensor]]]


def _piece(state: StackedState, members: range, fixed: Mapping[int, torch.Tensor]) -> Piece:
    """Values of the groups, x and y -> what the losses of some members are, and the gradients by group."""
    columns, model = state.columns, state.model
    first, last, n_groups, n_terms = members.start, members.stop, len(state.slabs), state.n_terms

    def losses(trained: dict[int, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        own = model.losses(x, y, {**fixed, **trained}, members)
        return step_losses(own, n_terms).sum(), own

    differentiated = grad_and_value(losses, has_aux=True)

    def piece(
        values: Sequence[torch.Tensor], x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        trained = {own: column.of(values[column.group][first:last]) for own, column in columns.items()}
        gradients, (_, found) = differentiated(trained, x[first:last], y[first:last])
        flat = [
            [gradients[own].reshape(last - first, -1) for own, column in columns.items() if column.group == group]
            for group in range(n_groups)
        ]
        return found, [torch.cat(own, 1) if own else values[group][first:last] for group, own in enumerate(flat)]

    return piece
