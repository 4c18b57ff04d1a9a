"""The parameters and the optimizers' memories of a stack: one matrix each, of which the members' own are views.

A member's model and optimizer thus always hold what the stack has reached, without a copy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.backend.streams import drawing
from annpipe.plan.plan import Plan
from annpipe.train.divisors import is_sum
from annpipe.train.gears.eager.guard import not_finite
from annpipe.train.gears.eager.optimizer_step import QuickStep
from annpipe.train.gears.stacked.gradients import Batching, Clipping
from annpipe.train.gears.stacked.layers import own_tensors
from annpipe.train.gears.stacked.losses import Share
from annpipe.train.gears.stacked.model import StackedModel
from annpipe.train.gears.stacked.optimizers import OWN, Slab, Stepping, flags_of, stepping_of
from annpipe.train.gears.stacked.slots import Column, columns_of, layer_ways, matrix, size, trained
from annpipe.train.gears.stacked.terms import StackedTerms, stacked_losses
from annpipe.train.parts import Parts, named_parameters

REACH = 2**20  # numbers that the widest layer gives at once, where no other is measured
REACHES = (2**16, 2**18, REACH, 2**22)  # those that are tried
ROUNDS = 3


class StackedState:
    """Stacks what the members' parts hold at `step`, and steps it."""

    def __init__(
        self,
        plans: Sequence[Plan],
        parts: Sequence[Parts],
        streams: Sequence[torch.Generator],
        step: int,
        reach: int = REACH,
    ) -> None:
        self._reach = reach
        self._parts, self._is_bound, self._step = list(parts), False, step
        self._stepping = stepping_of(type(parts[0].optimizer)) or OWN
        self._own_steps = [QuickStep(one.optimizer) for one in parts] if self._stepping is OWN else []
        alike = all(plan.loss == plans[0].loss for plan in plans)
        found = layer_ways(plans[0], parts[0])
        self._losses = stacked_losses(plans, parts, alike=alike)
        self._model = StackedModel([one.model for one in parts], self._losses, streams, found)
        divisors = self._divisors if self._losses.n_terms else None
        self._batching = Batching(plans[0], is_sum=is_sum(plans[0], parts[0].loss), divisors=divisors)
        self._clipping = Clipping([plan.train for plan in plans])
        widest = max((size(layer.output_shape) for layer in plans[0].layers), default=1)
        self._widest = max(widest, size(plans[0].model[0].input_shape))
        with drawing(plans[0].head.seed, "dropout"):  # what the trial draws is nobody's
            self._columns = columns_of(parts[0])
        self._trained = [trained(one, self._columns) for one in parts]
        self._released: set[int] = set()
        self.broken: dict[int, int] = {}  # members by their places, with the first step whose gradients were not finite
        self._lay_out()
        self._pieces: dict[int, list[_Piece]] = {}
        self._streams = streams
        if step or self._own_steps:
            self._bind()

    def _lay_out(self) -> None:
        """One matrix for each group: values, gradients and memories."""
        columns, groups = list(self._columns.values()), self._parts[0].optimizer.param_groups
        self._views: list[list[tuple[torch.nn.Parameter, torch.Tensor]]] = []
        self._slabs = [self._slab(number, group) for number, group in enumerate(groups)]
        is_fused = bool(groups[0].get("fused"))  # torch's fused kernels count in single precision, beside the values
        self._counts = torch.full(
            (len(self._parts), len(columns)),
            float(self._step),
            dtype=torch.float32 if is_fused else torch.get_default_dtype(),
            device=self._trained[0][0].device if is_fused else "cpu",
        )
        for i, own in enumerate(self._trained):
            views = [column.of(self._slabs[column.group].values)[i] for column in columns]
            self._views.append(list(zip(own, views, strict=True)))
            for parameter, view in self._views[-1]:
                parameter.data = view

    def _slab(self, number: int, group: Mapping[str, Any]) -> Slab:
        picked = [place for place, column in enumerate(self._columns.values()) if column.group == number]
        values = matrix([[own[place].detach() for place in picked] for own in self._trained])
        flags, members = flags_of(group, self._stepping), range(len(self._parts))
        states = {
            name: matrix([self._memories(i, picked, name) for i in members]) for name in self._stepping.wide(flags)
        }
        for name in self._stepping.single:  # one number for all parameters of a member: they step together
            states[name] = matrix(
                [[self._memory(i, place, name, values.new_ones(())) for place in picked[:1]] for i in members]
            )
        return Slab(values, torch.zeros_like(values), states, flags)

    def _memories(self, member: int, picked: Sequence[int], name: str) -> list[torch.Tensor]:
        own = self._trained[member]
        return [self._memory(member, place, name, torch.zeros_like(own[place])).detach() for place in picked]

    def _memory(self, member: int, place: int, name: str, begin: torch.Tensor) -> torch.Tensor:
        """What the member's optimizer remembers of a parameter, or what it begins with."""
        known = self._parts[member].optimizer.state.get(self._trained[member][place], {}).get(name)
        return begin if known is None else known.to(begin)

    def _bind(self) -> None:
        """The members' gradients and memories become views of the stack's."""
        self._is_bound = True
        for i, own in enumerate(self._trained):
            if i in self._released:
                continue
            state: Any = self._parts[i].optimizer.state
            for place, (parameter, column) in enumerate(zip(own, self._columns.values(), strict=True)):
                slab = self._slabs[column.group]
                parameter.grad = column.of(slab.gradient)[i]
                found = {name: column.of(slab.states[name])[i] for name in self._stepping.wide(slab.flags)}
                found |= {name: slab.states[name][i, 0] for name in self._stepping.single}
                found |= {"step": self._counts[i, place]} if self._stepping.counts else {}
                if found:
                    state[parameter] = found

    def leave(self, parts: Parts) -> None:
        """A member goes on by itself, or is over; the stack goes on beside it."""
        self.release(parts)
        for i, one in enumerate(self._parts):
            if one is parts:
                self._released.add(i)
                self._model.release(i)

    def release(self, parts: Parts) -> None:
        """The tensors of a member become its own."""
        for parameter in trained(parts, self._columns):
            parameter.data = parameter.data.clone()
            parameter.grad = None if parameter.grad is None else parameter.grad.clone()
            memory: Any = parts.optimizer.state.get(parameter, {})
            for name, value in list(memory.items()):
                memory[name] = value.clone() if isinstance(value, torch.Tensor) else value

    def count(self, step: int) -> None:
        """So many steps are done."""
        if not self._is_bound:
            self._bind()
        self._counts.fill_(step)

    def read_rates(self) -> None:
        """The options of the optimizers as schedulers left them."""
        for number, slab in enumerate(self._slabs):
            slab.read([one.optimizer.param_groups[number] for one in self._parts], self._stepping.numbers)

    def train(self) -> None:
        """To be called before steps are taken, where members may have been evaluated since the last."""
        self._model.train()

    @property
    def slabs(self) -> Sequence[Slab]:
        """The matrices of each group."""
        return self._slabs

    @property
    def stepping(self) -> Stepping:
        """How the optimizers step."""
        return self._stepping

    @property
    def model(self) -> StackedModel:
        """The models as one."""
        return self._model

    @property
    def n_terms(self) -> int:
        """How many terms of each loss are told apart; 0 where the losses are told as they are."""
        return self._losses.n_terms

    @property
    def columns(self) -> dict[int, Column]:
        """The place of each trained parameter, by the identity of the first member's own."""
        firsts = named_parameters(self._parts[0].model, self._parts[0].loss)
        return {id(firsts[name]): column for name, column in self._columns.items()}

    @property
    def columns_by_name(self) -> Mapping[str, Column]:
        """The place of each trained parameter."""
        return self._columns

    def fixed_tensors(self, x: torch.Tensor) -> list[tuple[range, dict[int, torch.Tensor]]]:
        """Members that run at once on rows like x, (members, rows, …), with their tensors that are not trained."""
        columns = self.columns
        return [
            (piece.members, {own: one for own, one in piece.tensors.items() if own not in columns})
            for piece in self._pieces_for(x)
        ]

    def step(self, x: torch.Tensor, y: torch.Tensor, step: int) -> torch.Tensor:
        """One step of every member on its rows, (members, rows, …); the losses before it, (members,), or the values and
        divisors of their terms, (members, 2K)."""
        found = []
        for number, (x_batch, y_batch, share) in enumerate(self._batching.batches(x, y)):
            found.append(self._pass(x_batch, y_batch, share, is_first=number == 0))
        with torch.no_grad():
            self._clipping.clip([slab.gradient for slab in self._slabs])
            losses = found[0] if len(found) == 1 else torch.stack(found).sum(0)
            before = self._stays(losses, step)
            for slab in self._slabs:
                self._stepping.step(slab, step)
            for i, own in enumerate(self._own_steps):
                if i not in self._released:
                    own()
                    self._take_back(i)
            for values, i, row in before:
                values[i] = row
        return torch.cat([losses, self._divisors(y)], 1) if self._losses.n_terms else losses

    def _stays(self, losses: torch.Tensor, step: int) -> list[tuple[torch.Tensor, int, torch.Tensor]]:
        """The parameters that the step must not change, since gradients are not finite; an accelerator would wait."""
        if losses.device.type == "cpu":
            for member in not_finite(losses, [slab.gradient for slab in self._slabs]):
                self.broken.setdefault(member, step)
        return [(slab.values, i, slab.values[i].clone()) for slab in self._slabs for i in self.broken]

    def _divisors(self, y: torch.Tensor) -> torch.Tensor:
        """Of the terms of the losses, (members, K)."""
        assert isinstance(self._losses, StackedTerms)
        return self._losses.divisors(y, range(len(self._parts)))

    def _pass(self, x: torch.Tensor, y: torch.Tensor, share: Share, *, is_first: bool) -> torch.Tensor:
        """The losses of a batch, times its share of the step, or what it adds to their terms; the gradients go into the
        slabs."""
        found = []
        for piece in self._pieces_for(x):
            first, last = piece.members.start, piece.members.stop
            own = share[first:last] if isinstance(share, torch.Tensor) else share
            losses, gradients = self._model.gradients(
                x[first:last], y[first:last], piece.tensors, piece.members, piece.leaves, own
            )
            for number, slab in enumerate(self._slabs):
                flat = [
                    g.reshape(last - first, -1) for g, c in zip(gradients, piece.groups, strict=True) if c == number
                ]
                if flat and is_first:
                    torch.cat(flat, 1, out=slab.gradient[first:last])
                elif flat:
                    slab.gradient[first:last] += torch.cat(flat, 1)
            found.append(losses)
        return torch.cat(found)

    def _take_back(self, member: int) -> None:
        """What an optimizer put in the place of a parameter's numbers goes into the stack."""
        for parameter, view in self._views[member]:
            if parameter.data_ptr() != view.data_ptr():
                parameter.data = view.copy_(parameter.data)

    @property
    def can_be_tried(self) -> bool:
        """Whether a pass leaves nothing behind: layers that run member by member keep statistics."""
        return not self._model.is_mixed

    def measure(self, x: torch.Tensor, y: torch.Tensor) -> int:
        """Takes as many members at once as are fastest on rows like these, (members, rows, …), and gives its reach.

        Nothing is stepped, and the streams stay where they are.
        """
        counts = {min(len(self._parts), max(1, reach // (x.shape[1] * self._widest))): reach for reach in REACHES}
        seconds: dict[int, list[float]] = {reach: [] for reach in counts.values()}
        for round_ in range(ROUNDS + 1):
            for self._reach in seconds:
                self._pieces = {}
                if round_ == 0:
                    self.trial(x, y)  # memory is taken
                else:
                    begin = time.perf_counter()
                    self.trial(x, y)
                    seconds[self._reach].append(time.perf_counter() - begin)
        self._reach = min(seconds, key=lambda reach: statistics.median(seconds[reach]))
        self._pieces = {}
        self._model.forget()
        return self._reach

    def trial(self, x: torch.Tensor, y: torch.Tensor, n_times: int = 1) -> None:
        """Losses and gradients that are thrown away."""
        states = [stream.get_state() for stream in self._streams]
        for _ in range(n_times):
            for batch in self._batching.batches(x, y):
                self._pass(*batch, is_first=True)
        for stream, state in zip(self._streams, states, strict=True):
            stream.set_state(state)

    def _pieces_for(self, x: torch.Tensor) -> list[_Piece]:
        """The members in pieces that keep what layers give within the processor's caches; an accelerator takes all."""
        n_rows = x.shape[1]
        if n_rows not in self._pieces:
            count = len(self._parts)
            most = max(1, self._reach // (n_rows * self._widest)) if x.device.type == "cpu" else count
            starts = range(0, count, most)
            self._pieces[n_rows] = [self._piece(range(start, min(start + most, count))) for start in starts]
        return self._pieces[n_rows]

    def _piece(self, members: range) -> _Piece:
        tensors, firsts = dict[int, torch.Tensor](), own_tensors(self._parts[0].model)
        for name, column in self._columns.items():
            own = column.of(self._slabs[column.group].values)[members.start : members.stop]
            tensors[id(firsts[name])] = own.detach().requires_grad_()
        leaves = list(tensors)
        every = [own_tensors(self._parts[member].model) for member in members]
        for name, first in firsts.items():
            if id(first) not in tensors:
                tensors[id(first)] = torch.stack([one[name].detach() for one in every])
        return _Piece(members, leaves, [column.group for column in self._columns.values()], tensors)


@dataclass(frozen=True)
class _Piece:
    """Members that run at once: what their gradients are taken of, each with its group, and all their tensors."""

    members: range
    leaves: list[int]
    groups: list[int]
    tensors: dict[int, torch.Tensor]
