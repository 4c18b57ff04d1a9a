"""One matrix for each parameter group of a stack: values, gradients and optimizer state, a row for each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from annpipe.train.gears.stacked.optimizers import MEMBER_BY_MEMBER, StackedGroup, flags_of, stacked_optimizer
from annpipe.train.gears.stacked.slots import matrix, slices_of, trained
from annpipe.train.parts import Parts


class StackedMatrices:
    """The tensors of members that stand at `step`; the members' parameters become views of the matrices.

    `slices` has the slice of each trained parameter by name; members in `released` are views no more.
    """

    def __init__(self, parts: Sequence[Parts], step: int) -> None:
        self._parts, self._is_bound = parts, False
        self.optimizer = stacked_optimizer(type(parts[0].optimizer)) or MEMBER_BY_MEMBER
        self.slices = slices_of(parts[0])
        self.released: set[int] = set()
        self._trained = [trained(member, self.slices) for member in parts]
        self._views: list[list[tuple[torch.nn.Parameter, torch.Tensor]]] = []
        groups = parts[0].optimizer.param_groups
        self.groups = [self._group(number, group) for number, group in enumerate(groups)]
        is_fused = bool(groups[0].get("fused"))  # torch's fused kernels count in single precision, beside the values
        self._counts = torch.full(
            (len(parts), len(self.slices)),
            float(step),
            dtype=torch.float32 if is_fused else torch.get_default_dtype(),
            device=self._trained[0][0].device if is_fused else "cpu",
        )
        for number, parameters in enumerate(self._trained):
            views = [part.of(self.groups[part.group].values)[number] for part in self.slices.values()]
            self._views.append(list(zip(parameters, views, strict=True)))
            for parameter, view in self._views[-1]:
                parameter.data = view

    def _group(self, number: int, options: Mapping[str, Any]) -> StackedGroup:
        positions = [position for position, part in enumerate(self.slices.values()) if part.group == number]
        values = matrix([[parameters[i].detach() for i in positions] for parameters in self._trained])
        flags, members = flags_of(options, self.optimizer), range(len(self._parts))
        states = {
            name: matrix([self._wide(i, positions, name) for i in members]) for name in self.optimizer.wide(flags)
        }
        for name in self.optimizer.single:  # one number for all parameters of a member: they step together
            states[name] = matrix(
                [[self._state(i, position, name, values.new_ones(())) for position in positions[:1]] for i in members]
            )
        return StackedGroup(values, torch.zeros_like(values), states, flags)

    def _wide(self, member: int, positions: Sequence[int], name: str) -> list[torch.Tensor]:
        parameters = self._trained[member]
        return [self._state(member, i, name, torch.zeros_like(parameters[i])).detach() for i in positions]

    def _state(self, member: int, position: int, name: str, begin: torch.Tensor) -> torch.Tensor:
        """The state of a member's optimizer for a parameter, or what it begins with."""
        state = self._parts[member].optimizer.state.get(self._trained[member][position], {}).get(name)
        return begin if state is None else state.to(begin)

    def bind(self) -> None:
        """The members' gradients and optimizer states become views of the matrices."""
        self._is_bound = True
        for i, parameters in enumerate(self._trained):
            if i in self.released:
                continue
            optimizer_state: Any = self._parts[i].optimizer.state
            for position, (parameter, part) in enumerate(zip(parameters, self.slices.values(), strict=True)):
                group = self.groups[part.group]
                parameter.grad = part.of(group.gradient)[i]
                state = {name: part.of(group.states[name])[i] for name in self.optimizer.wide(group.flags)}
                state |= {name: group.states[name][i, 0] for name in self.optimizer.single}
                state |= {"step": self._counts[i, position]} if self.optimizer.counts else {}
                if state:
                    optimizer_state[parameter] = state

    def release(self, parts: Parts) -> None:
        """The tensors of a member become its own."""
        for parameter in trained(parts, self.slices):
            parameter.data = parameter.data.clone()
            parameter.grad = None if parameter.grad is None else parameter.grad.clone()
            state: Any = parts.optimizer.state.get(parameter, {})
            for name, value in list(state.items()):
                state[name] = value.clone() if isinstance(value, torch.Tensor) else value

    def count(self, step: int) -> None:
        """So many steps are done."""
        if not self._is_bound:
            self.bind()
        self._counts.fill_(step)

    def read_options(self) -> None:
        """Takes the options of the members' optimizers as schedulers left them."""
        for number, group in enumerate(self.groups):
            members = [parts.optimizer.param_groups[number] for parts in self._parts]
            group.read(members, self.optimizer.hyperparameters)

    def take_back(self, member: int) -> None:
        """Copies into the matrix what an optimizer put in the place of a parameter's numbers."""
        for parameter, view in self._views[member]:
            if parameter.data_ptr() != view.data_ptr():
                parameter.data = view.copy_(parameter.data)
