"""The parameters and the optimizer states of a stack: one matrix each, of which the members' tensors are views.

A member's model and optimizer thus always hold what the stack has computed, without a copy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.backend.streams import drawing
from annpipe.plan.plan import Plan
from annpipe.train.clipping import StackedClipping
from annpipe.train.divisors import is_sum
from annpipe.train.gears.eager.guard import not_finite
from annpipe.train.gears.eager.optimizer_step import QuickStep
from annpipe.train.gears.stacked.batching import Batching
from annpipe.train.gears.stacked.layers import named_tensors
from annpipe.train.gears.stacked.losses import LossScale
from annpipe.train.gears.stacked.matrices import StackedMatrices
from annpipe.train.gears.stacked.model import StackedModel
from annpipe.train.gears.stacked.optimizers import StackedGroup, StackedOptimizer
from annpipe.train.gears.stacked.slots import ParameterSlice, layer_modes, size
from annpipe.train.gears.stacked.terms import StackedTerms, stacked_losses
from annpipe.train.parts import Parts

CHUNK_ELEMENTS = 2**20  # numbers that the widest layer gives at once, where no other is measured
TRIED_CHUNK_ELEMENTS = (2**16, 2**18, CHUNK_ELEMENTS, 2**22)
ROUNDS = 3


class StackedState:
    """Stacks what the members' parts hold at `step`, and steps it."""

    def __init__(
        self,
        plans: Sequence[Plan],
        parts: Sequence[Parts],
        streams: Sequence[torch.Generator],
        step: int,
        chunk_elements: int = CHUNK_ELEMENTS,
    ) -> None:
        self._chunk_elements = chunk_elements
        self._parts, self._streams = list(parts), streams
        alike = all(plan.loss == plans[0].loss for plan in plans)
        modes = layer_modes(plans[0], parts[0])
        self._losses = stacked_losses(plans, parts, alike=alike)
        self._model = StackedModel([member.model for member in parts], self._losses, streams, modes)
        divisors = self._divisors if self._losses.n_terms else None
        self._batching = Batching(plans[0], is_sum=is_sum(plans[0], parts[0].loss), divisors=divisors)
        self._clipping = StackedClipping([plan.train for plan in plans])
        widest = max((size(layer.output_shape) for layer in plans[0].layers), default=1)
        self._widest = max(widest, size(plans[0].model[0].input_shape))
        with drawing(plans[0].head.seed, "dropout"):  # what the trial draws belongs to no stream
            self._matrices = StackedMatrices(self._parts, step)
        steps_alone = self._matrices.optimizer.is_member_by_member
        self._member_steps = [QuickStep(member.optimizer) for member in parts] if steps_alone else []
        self.broken: dict[int, int] = {}  # members by number, with the first step whose gradients were not finite
        self._chunks: dict[int, list[_Chunk]] = {}
        if step or self._member_steps:
            self._matrices.bind()

    def leave(self, parts: Parts) -> None:
        """A member goes on by itself, or is over; the stack goes on beside it."""
        self.release(parts)
        for number, member in enumerate(self._parts):
            if member is parts:
                self._matrices.released.add(number)
                self._model.release(number)

    def release(self, parts: Parts) -> None:
        """The tensors of a member become its own."""
        self._matrices.release(parts)

    def count(self, step: int) -> None:
        """So many steps are done."""
        self._matrices.count(step)

    def read_options(self) -> None:
        """Takes the options of the optimizers as schedulers left them."""
        self._matrices.read_options()

    def train(self) -> None:
        """To be called before steps are taken, where members may have been evaluated since the last."""
        self._model.train()

    @property
    def groups(self) -> Sequence[StackedGroup]:
        """The matrices of each group of parameters."""
        return self._matrices.groups

    @property
    def optimizer(self) -> StackedOptimizer:
        """How the optimizers step."""
        return self._matrices.optimizer

    @property
    def slices(self) -> Mapping[str, ParameterSlice]:
        """The slice of each trained parameter, by name."""
        return self._matrices.slices

    @property
    def model(self) -> StackedModel:
        """The models as one."""
        return self._model

    @property
    def n_terms(self) -> int:
        """How many terms of each loss are told apart; 0 where the losses are taken as they are."""
        return self._losses.n_terms

    def fixed_tensors(self, x: torch.Tensor) -> list[tuple[range, dict[str, torch.Tensor]]]:
        """Members that run at once on rows like x, (members, rows, …), with their tensors that are not trained."""
        slices = self.slices
        return [
            (chunk.members, {name: tensor for name, tensor in chunk.tensors.items() if name not in slices})
            for chunk in self._chunks_for(x)
        ]

    def step(self, x: torch.Tensor, y: torch.Tensor, step: int) -> torch.Tensor:
        """One step of every member on its rows, (members, rows, …); the losses before it, (members,), or the values and
        divisors of their terms, (members, 2K)."""
        batch_losses = []
        for number, (x_batch, y_batch, scale) in enumerate(self._batching.batches(x, y)):
            batch_losses.append(self._pass(x_batch, y_batch, scale, is_first=number == 0))
        with torch.no_grad():
            self._clipping.clip([group.gradient for group in self.groups])
            losses = batch_losses[0] if len(batch_losses) == 1 else torch.stack(batch_losses).sum(0)
            before = self._kept_values(losses, step)
            for group in self.groups:
                self.optimizer.step(group, step)
            for member, member_step in enumerate(self._member_steps):
                if member not in self._matrices.released:
                    member_step()
                    self._matrices.take_back(member)
            for values, member, row in before:
                values[member] = row
        return torch.cat([losses, self._divisors(y)], 1) if self._losses.n_terms else losses

    def _kept_values(self, losses: torch.Tensor, step: int) -> list[tuple[torch.Tensor, int, torch.Tensor]]:
        """The parameters that the step must not change, since gradients are not finite; an accelerator would wait."""
        if losses.device.type == "cpu":
            for member in not_finite(losses, [group.gradient for group in self.groups]):
                self.broken.setdefault(member, step)
        return [(group.values, i, group.values[i].clone()) for group in self.groups for i in self.broken]

    def _divisors(self, y: torch.Tensor) -> torch.Tensor:
        """Of the terms of the losses, (members, K)."""
        assert isinstance(self._losses, StackedTerms)
        return self._losses.divisors(y, range(len(self._parts)))

    def _pass(self, x: torch.Tensor, y: torch.Tensor, scale: LossScale, *, is_first: bool) -> torch.Tensor:
        """The losses of a batch times their scale, or what it adds to their terms; the gradients go into the groups."""
        chunk_losses = []
        for chunk in self._chunks_for(x):
            first, last = chunk.members.start, chunk.members.stop
            chunk_scale = scale[first:last] if isinstance(scale, torch.Tensor) else scale
            losses, gradients = self._model.gradients(
                x[first:last], y[first:last], chunk.tensors, chunk.members, chunk.leaves, chunk_scale
            )
            for number, group in enumerate(self.groups):
                flat = [
                    g.reshape(last - first, -1) for g, c in zip(gradients, chunk.groups, strict=True) if c == number
                ]
                if flat and is_first:
                    torch.cat(flat, 1, out=group.gradient[first:last])
                elif flat:
                    group.gradient[first:last] += torch.cat(flat, 1)
            chunk_losses.append(losses)
        return torch.cat(chunk_losses)

    @property
    def can_be_tried(self) -> bool:
        """Whether a pass leaves nothing behind: layers that run member by member keep statistics."""
        return not self._model.is_mixed

    def measure(self, x: torch.Tensor, y: torch.Tensor) -> int:
        """Takes as many members at once as are fastest on rows like these, (members, rows, …): the chunk's elements.

        Nothing is stepped, and the streams stay where they are.
        """
        per_member = x.shape[1] * self._widest
        counts = {min(len(self._parts), max(1, tried // per_member)): tried for tried in TRIED_CHUNK_ELEMENTS}
        seconds: dict[int, list[float]] = {tried: [] for tried in counts.values()}
        for round_ in range(ROUNDS + 1):
            for self._chunk_elements in seconds:
                self._chunks = {}
                if round_ == 0:
                    self.trial(x, y)  # memory is taken
                else:
                    begin = time.perf_counter()
                    self.trial(x, y)
                    seconds[self._chunk_elements].append(time.perf_counter() - begin)
        self._chunk_elements = min(seconds, key=lambda tried: statistics.median(seconds[tried]))
        self._chunks = {}
        self._model.forget()
        return self._chunk_elements

    def trial(self, x: torch.Tensor, y: torch.Tensor, n_times: int = 1) -> None:
        """Losses and gradients that are thrown away."""
        states = [stream.get_state() for stream in self._streams]
        for _ in range(n_times):
            for batch in self._batching.batches(x, y):
                self._pass(*batch, is_first=True)
        for stream, state in zip(self._streams, states, strict=True):
            stream.set_state(state)

    def _chunks_for(self, x: torch.Tensor) -> list[_Chunk]:
        """The members in chunks that keep what layers give within the processor's caches; an accelerator takes all."""
        n_rows = x.shape[1]
        if n_rows not in self._chunks:
            count = len(self._parts)
            most = max(1, self._chunk_elements // (n_rows * self._widest)) if x.device.type == "cpu" else count
            starts = range(0, count, most)
            self._chunks[n_rows] = [self._chunk(range(start, min(start + most, count))) for start in starts]
        return self._chunks[n_rows]

    def _chunk(self, members: range) -> _Chunk:
        tensors = dict[str, torch.Tensor]()
        for name, part in self.slices.items():
            stacked = part.of(self.groups[part.group].values)[members.start : members.stop]
            tensors[name] = stacked.detach().requires_grad_()
        leaves = list(tensors)
        models = [named_tensors(self._parts[member].model) for member in members]
        for name in named_tensors(self._parts[0].model):
            if name not in tensors:
                tensors[name] = torch.stack([model[name].detach() for model in models])
        return _Chunk(members, leaves, [part.group for part in self.slices.values()], tensors)


@dataclass(frozen=True)
class _Chunk:
    """Members that run at once: what their gradients are taken of, each with its group, and all their tensors."""

    members: range
    leaves: list[str]
    groups: list[int]
    tensors: dict[str, torch.Tensor]
