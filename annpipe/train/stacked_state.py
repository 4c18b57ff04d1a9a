"""The parameters and the optimizers' memories of a stack: one matrix each, of which the members' own are views.

A member's model and optimizer thus always hold what the stack has reached, without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.plan.plan import Plan
from annpipe.train.data import Rows
from annpipe.train.parts import Parts, named_parameters
from annpipe.train.stacked_model import StackedModel, own_tensors
from annpipe.train.stacked_steps import STEPPINGS, Slab, Stepping, flags_of
from annpipe.train.streams import drawing

REACH = 2**20  # numbers that the widest layer gives at once: four mebibytes in single precision
SAMPLE = 8  # rows that tell which parameters have a gradient


@dataclass(frozen=True)
class Column:
    """A parameter's place in the matrix of its group."""

    group: int
    start: int
    stop: int
    shape: torch.Size

    def of(self, matrix: torch.Tensor) -> torch.Tensor:
        """Its numbers, (members, *shape)."""
        return matrix[:, self.start : self.stop].view(len(matrix), *self.shape)


class StackedState:
    """Stacks what the members' parts hold at `step`, and steps it."""

    def __init__(
        self, plans: Sequence[Plan], parts: Sequence[Parts], streams: Sequence[torch.Generator], step: int
    ) -> None:
        self._parts, self._is_bound, self._step = list(parts), False, step
        self._stepping = STEPPINGS[type(parts[0].optimizer)]
        alike = all(plan.loss == plans[0].loss for plan in plans)
        self._model = StackedModel([one.model for one in parts], [one.loss for one in parts], alike, streams)
        widest = max((_size(layer.output_shape) for layer in plans[0].layers), default=1)
        self._widest = max(widest, _size(plans[0].model[0].input_shape))
        with drawing(plans[0].head.seed, "dropout"):  # what the trial draws is nobody's
            self._columns = _columns(parts[0])
        self._trained = [_trained(one, self._columns) for one in parts]
        self._released: set[int] = set()
        self._lay_out()
        self._pieces: dict[int, list[_Piece]] = {}
        if step:
            self._bind()

    def _lay_out(self) -> None:
        """One matrix for each group: values, gradients and memories."""
        columns, groups = list(self._columns.values()), self._parts[0].optimizer.param_groups
        self._slabs = [self._slab(number, group) for number, group in enumerate(groups)]
        is_fused = bool(groups[0].get("fused"))  # torch's fused kernels count in single precision, beside the values
        self._counts = torch.full(
            (len(self._parts), len(columns)),
            float(self._step),
            dtype=torch.float32 if is_fused else torch.get_default_dtype(),
            device=self._trained[0][0].device if is_fused else "cpu",
        )
        for i, own in enumerate(self._trained):
            for parameter, column in zip(own, columns, strict=True):
                parameter.data = column.of(self._slabs[column.group].values)[i]

    def _slab(self, number: int, group: Mapping[str, Any]) -> Slab:
        picked = [place for place, column in enumerate(self._columns.values()) if column.group == number]
        values = _matrix([[own[place].detach() for place in picked] for own in self._trained])
        flags, members = flags_of(group, self._stepping), range(len(self._parts))
        states = {
            name: _matrix([self._memories(i, picked, name) for i in members]) for name in self._stepping.wide(flags)
        }
        for name in self._stepping.single:  # one number for all parameters of a member: they step together
            states[name] = _matrix(
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

    def release(self, parts: Parts) -> None:
        """The tensors of a member become its own."""
        self._released |= {i for i, one in enumerate(self._parts) if one is parts}
        for parameter in _trained(parts, self._columns):
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
        trained = self.columns
        return [
            (piece.members, {own: one for own, one in piece.tensors.items() if own not in trained})
            for piece in self._pieces_for(x)
        ]

    def step(self, x: torch.Tensor, y: torch.Tensor, step: int) -> torch.Tensor:
        """One step of every member on its rows, (members, rows, …); the losses before it, (members,)."""
        found = []
        for piece in self._pieces_for(x):
            first, last = piece.members.start, piece.members.stop
            losses = self._model.losses(x[first:last], y[first:last], piece.tensors, piece.members)
            gradients = torch.autograd.grad(losses, piece.leaves, torch.ones_like(losses))
            for number, slab in enumerate(self._slabs):
                own = [g.reshape(last - first, -1) for g, c in zip(gradients, piece.groups, strict=True) if c == number]
                if own:
                    torch.cat(own, 1, out=slab.gradient[first:last])
            found.append(losses.detach())
        with torch.no_grad():
            for slab in self._slabs:
                self._stepping.step(slab, step)
        return torch.cat(found)

    def _pieces_for(self, x: torch.Tensor) -> list[_Piece]:
        """The members in pieces that keep what layers give within the processor's caches; an accelerator takes all."""
        n_rows = x.shape[1]
        if n_rows not in self._pieces:
            count = len(self._parts)
            most = max(1, REACH // (n_rows * self._widest)) if x.device.type == "cpu" else count
            starts = range(0, count, most)
            self._pieces[n_rows] = [self._piece(range(start, min(start + most, count))) for start in starts]
        return self._pieces[n_rows]

    def _piece(self, members: range) -> _Piece:
        leaves, tensors, firsts = list[torch.Tensor](), dict[int, torch.Tensor](), own_tensors(self._parts[0].model)
        for name, column in self._columns.items():
            own = column.of(self._slabs[column.group].values)[members.start : members.stop]
            leaves.append(own.detach().requires_grad_())
            tensors[id(firsts[name])] = leaves[-1]
        every = [own_tensors(self._parts[member].model) for member in members]
        for name, first in firsts.items():
            if id(first) not in tensors:
                tensors[id(first)] = torch.stack([one[name].detach() for one in every])
        return _Piece(members, leaves, [column.group for column in self._columns.values()], tensors)


@dataclass(frozen=True)
class _Piece:
    """Members that run at once: what their gradients are taken of, each with its group, and all their tensors."""

    members: range
    leaves: list[torch.Tensor]
    groups: list[int]
    tensors: dict[int, torch.Tensor]


def _size(shape: Sequence[int]) -> int:
    return max(1, torch.Size(shape).numel())


def _matrix(rows: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
    """(members, numbers) of the tensors of each member."""
    return torch.stack([torch.cat([one.reshape(-1) for one in own]) if own else torch.empty(0) for own in rows])


def _trained(parts: Parts, columns: Mapping[str, Column]) -> list[torch.nn.Parameter]:
    """The parameters of a member that have columns, in their order."""
    named = named_parameters(parts.model, parts.loss)
    return [named[name] for name in columns]


def _columns(parts: Parts) -> dict[str, Column]:
    """The place of each parameter that is trained and that the loss depends on; torch steps no other."""
    named, rows = named_parameters(parts.model, parts.loss), parts.rows["train"]
    assert isinstance(rows, Rows)
    parts.model.train()
    loss = parts.loss(parts.model(rows.x[:SAMPLE]), rows.y[:SAMPLE])
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    used = {name: parameter for (name, parameter), one in zip(named.items(), found, strict=True) if one is not None}
    columns: dict[str, Column] = {}
    for number, group in enumerate(parts.optimizer.param_groups):
        members, start = {id(parameter) for parameter in group["params"]}, 0
        for name, parameter in used.items():
            if id(parameter) in members:
                columns[name] = Column(number, start, start + parameter.numel(), parameter.shape)
                start += parameter.numel()
    return columns
