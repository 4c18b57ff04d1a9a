"""Steps many optimizers as one: torch's own formulas, on one matrix with a row for each member.

Options that members may differ in are columns, (members, 1), so that one operation serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch


@dataclass(frozen=True)
class SameOptions:
    """Members with the same options, `hyperparameters`: their rows of the matrices of a group, those that follow on
    each other as one piece."""

    hyperparameters: Mapping[str, float]
    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    states: Mapping[str, list[torch.Tensor]]


@dataclass
class StackedGroup:
    """One group of parameters of all members, side by side: every tensor is (members, numbers).

    `states` are the optimizer's state, by torch's names. `exact` has the options in double precision, `options` in
    that of the parameters, (members, 1) each; `flags` are those that all members share. `alike` has the members by
    their options, unless the step is compiled.
    """

    values: torch.Tensor
    gradient: torch.Tensor
    states: dict[str, torch.Tensor]
    flags: Mapping[str, bool]
    exact: dict[str, torch.Tensor] = field(default_factory=dict)
    options: dict[str, torch.Tensor] = field(default_factory=dict)
    decays: bool = False
    alike: Sequence[SameOptions] = ()

    def read(self, groups: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
        """Takes the options of each member's own group of torch's optimizer, as schedulers leave them."""
        if not names:
            return
        members = [dict(hyperparameters(group)) for group in groups]
        self.decays = any(options.get("weight_decay") for options in members)
        self.alike = list(self._alike([tuple(options[name] for name in names) for options in members], names))
        device, dtype = self.values.device, self.values.dtype
        for name in names:
            column = torch.tensor([[options[name]] for options in members], dtype=torch.float64, device=device)
            self.exact[name], self.options[name] = column, column.to(dtype)
            self.options[f"1-{name}"] = (1 - column).to(dtype)

    def _alike(self, options: Sequence[tuple[float, ...]], names: Sequence[str]) -> Iterator[SameOptions]:
        """The members by their options."""
        runs = [(same, len(list(members))) for same, members in groupby(options)]
        lengths = [length for _, length in runs]
        values, gradients = torch.split(self.values, lengths), torch.split(self.gradient, lengths)
        states = {name: torch.split(state, lengths) for name, state in self.states.items()}
        for same in dict.fromkeys(options):
            numbers = [number for number, (other, _) in enumerate(runs) if other == same]
            yield SameOptions(
                dict(zip(names, same, strict=True)),
                [values[number] for number in numbers],
                [gradients[number] for number in numbers],
                {name: [pieces[number] for number in numbers] for name, pieces in states.items()},
            )

    def column(self, exact: torch.Tensor) -> torch.Tensor:
        """A column in double precision as the parameters' kind of number."""
        return exact.to(self.values.dtype)

    def decayed(self) -> torch.Tensor:
        """The gradient to go down, with the weight decay that is part of it."""
        gradient = -self.gradient if self.flags["maximize"] else self.gradient
        if not self.decays:
            return gradient
        return torch.addcmul(gradient, self.values, self.options["weight_decay"])

    def shrink_or_decayed(self) -> torch.Tensor:
        """The gradient to go down; decoupled weight decay makes the values smaller instead."""
        if not self.flags.get("decoupled_weight_decay"):
            return self.decayed()
        if self.decays:
            self.values.mul_(self.column(1 - self.exact["lr"] * self.exact["weight_decay"]))
        return -self.gradient if self.flags["maximize"] else self.gradient


def hyperparameters(group: Mapping[str, Any]) -> Mapping[str, float]:
    """The options of a group of torch's optimizer that are numbers."""
    numbers = {name: float(value) for name, value in group.items() if isinstance(value, int | float)}
    if "betas" in group:
        numbers["beta1"], numbers["beta2"] = map(float, group["betas"])
    return numbers


def _sgd(group: StackedGroup, step: int | torch.Tensor) -> None:
    gradient, options = group.decayed(), group.options
    if group.flags["momentum"]:
        buffer = group.states["momentum_buffer"]
        if isinstance(step, int) and step == 1:  # a compiled step is never the first
            buffer.copy_(gradient)
        else:
            buffer.mul_(options["momentum"]).addcmul_(gradient, options["1-dampening"])
        nesterov = group.flags["nesterov"]
        gradient = torch.addcmul(gradient, buffer, options["momentum"]) if nesterov else buffer
    group.values.addcmul_(gradient, options["lr"], value=-1)


def _moments(group: StackedGroup, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The running means of the gradient and its square, brought up to date."""
    mean, square = group.states["exp_avg"], group.states["exp_avg_sq"]
    mean.lerp_(gradient, group.options["1-beta1"])
    square.mul_(group.options["beta2"]).addcmul_(gradient * group.options["1-beta2"], gradient)
    return mean, square


def _adam(group: StackedGroup, step: int | torch.Tensor) -> None:
    if isinstance(step, int) and group.values.device.type == "cpu":
        _fused_adam(group, step)
        return
    mean, square = _moments(group, group.shrink_or_decayed())
    exact = group.exact
    if group.flags["amsgrad"]:
        largest = group.states["max_exp_avg_sq"]
        square = torch.maximum(largest, square, out=largest)
    scale = group.column((1 - exact["beta2"] ** step).sqrt())
    below = square.sqrt().div_(scale).add_(group.options["eps"])
    group.values.addcmul_(mean / below, group.column(exact["lr"] / (1 - exact["beta1"] ** step)), value=-1)


def _fused_adam(group: StackedGroup, step: int) -> None:
    """By torch's kernel for the processor, which goes over memory once; a single run takes it, too.

    A square root of numbers next to zero, as those of parameters without gradient become, costs torch thirty others.
    """
    kernel = torch._fused_adamw_ if group.flags["decoupled_weight_decay"] else torch._fused_adam_
    amsgrad, count = group.flags["amsgrad"], torch.tensor(float(step), dtype=torch.float32)
    for alike in group.alike:
        kernel(
            alike.values,
            alike.gradients,
            alike.states["exp_avg"],
            alike.states["exp_avg_sq"],
            alike.states["max_exp_avg_sq"] if amsgrad else [],
            [count] * len(alike.values),
            lr=alike.hyperparameters["lr"],
            beta1=alike.hyperparameters["beta1"],
            beta2=alike.hyperparameters["beta2"],
            weight_decay=alike.hyperparameters["weight_decay"],
            eps=alike.hyperparameters["eps"],
            amsgrad=amsgrad,
            maximize=group.flags["maximize"],
        )


def _nadam(group: StackedGroup, step: int | torch.Tensor) -> None:
    gradient = group.shrink_or_decayed()
    exact = group.exact
    mu = exact["beta1"] * (1 - 0.5 * 0.96 ** (step * exact["momentum_decay"]))
    mu_next = exact["beta1"] * (1 - 0.5 * 0.96 ** ((step + 1) * exact["momentum_decay"]))
    product = group.states["mu_product"].mul_(group.column(mu)).double()
    mean, square = _moments(group, gradient)
    below = square.div(group.column(1 - exact["beta2"] ** step)).sqrt_().add_(group.options["eps"])
    group.values.addcmul_(gradient / below, group.column(exact["lr"] * (1 - mu) / (1 - product)), value=-1)
    group.values.addcmul_(mean / below, group.column(exact["lr"] * mu_next / (1 - product * mu_next)), value=-1)


def _rmsprop(group: StackedGroup, step: int | torch.Tensor) -> None:
    gradient, options = group.decayed(), group.options
    square = group.states["square_avg"]
    square.mul_(options["alpha"]).addcmul_(gradient * options["1-alpha"], gradient)
    if group.flags["centered"]:
        mean = group.states["grad_avg"].lerp_(gradient, options["1-alpha"])
        root = square.addcmul(mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    step_direction = gradient / root.add_(options["eps"])
    if group.flags["momentum"]:
        step_direction = group.states["momentum_buffer"].mul_(options["momentum"]).add_(step_direction)
    group.values.addcmul_(step_direction, options["lr"], value=-1)


def _adagrad(group: StackedGroup, step: int | torch.Tensor) -> None:
    gradient = group.decayed()
    total = group.states["sum"].addcmul_(gradient, gradient)
    rate = group.column(group.exact["lr"] / (1 + (step - 1) * group.exact["lr_decay"]))
    group.values.addcmul_(gradient / total.sqrt().add_(group.options["eps"]), rate, value=-1)


@dataclass(frozen=True)
class StackedOptimizer:
    """How the optimizers of one class step as one; a plugin's own class says it by its attribute `stacked`.

    `step` takes a group and the number of the step, from 1, and changes its values and states in place, with no
    gradient recorded. `hyperparameters` are the options that members may differ in (of `betas`: `beta1` and `beta2`),
    `flags` those that they share (a number, as momentum, by whether it is 0). `states` are its tensors as wide as the
    parameters, by their names in `optimizer.state`, each with the flag that asks for it or None; they begin with
    zeros. `single` are those of one number a parameter, which begin with 1; `counts` whether it keeps the steps done
    as `step`.
    """

    step: Callable[[StackedGroup, Any], None]
    hyperparameters: tuple[str, ...]
    flags: tuple[str, ...] = ()
    states: Mapping[str, str | None] = field(default_factory=dict)
    single: tuple[str, ...] = ()
    counts: bool = False

    @property
    def is_member_by_member(self) -> bool:
        """Whether nothing is known of a step of many: each member's optimizer takes its own."""
        return self.step is _no_step

    def wide(self, flags: Mapping[str, bool]) -> list[str]:
        """The state that an optimizer with these flags has, by name."""
        return [name for name, flag in self.states.items() if flag is None or flags[flag]]


class Stepping(StackedOptimizer):
    """`StackedOptimizer` by its old name, with its old option `numbers`, since plugins may use them."""

    def __init__(
        self,
        step: Callable[[StackedGroup, Any], None],
        numbers: tuple[str, ...],
        flags: tuple[str, ...] = (),
        states: Mapping[str, str | None] | None = None,
        single: tuple[str, ...] = (),
        counts: bool = False,
    ) -> None:
        super().__init__(step, numbers, flags, states or {}, single, counts)


Slab = StackedGroup
"""The old name of it, since plugins may use it."""
_BETAS = ("lr", "beta1", "beta2", "eps", "weight_decay")
_MEANS: dict[str, str | None] = {"exp_avg": None, "exp_avg_sq": None}
_ADAM = StackedOptimizer(
    _adam,
    _BETAS,
    ("amsgrad", "maximize", "decoupled_weight_decay"),
    {**_MEANS, "max_exp_avg_sq": "amsgrad"},
    counts=True,
)
STACKED_OPTIMIZERS: Mapping[type[torch.optim.Optimizer], StackedOptimizer] = {
    torch.optim.SGD: StackedOptimizer(
        _sgd,
        ("lr", "momentum", "dampening", "weight_decay"),
        ("momentum", "nesterov", "maximize"),
        {"momentum_buffer": "momentum"},
    ),
    torch.optim.Adam: _ADAM,
    torch.optim.AdamW: _ADAM,
    torch.optim.NAdam: StackedOptimizer(
        _nadam,
        (*_BETAS, "momentum_decay"),
        ("maximize", "decoupled_weight_decay"),
        _MEANS,
        ("mu_product",),
        counts=True,
    ),
    torch.optim.RMSprop: StackedOptimizer(
        _rmsprop,
        ("lr", "alpha", "eps", "weight_decay", "momentum"),
        ("momentum", "centered", "maximize"),
        {"square_avg": None, "grad_avg": "centered", "momentum_buffer": "momentum"},
        counts=True,
    ),
    torch.optim.Adagrad: StackedOptimizer(
        _adagrad, ("lr", "lr_decay", "eps", "weight_decay"), ("maximize",), {"sum": None}, counts=True
    ),
}


def _no_step(group: StackedGroup, step: int) -> None:
    """Each member's own optimizer takes it."""


MEMBER_BY_MEMBER = StackedOptimizer(_no_step, ())
"""How optimizers step of which no stacked step is known: each by itself, on its member's row of the matrix."""


def stacked_optimizer(optimizer: type[torch.optim.Optimizer]) -> StackedOptimizer | None:
    """How optimizers of a class step as one: torch's as above, another's as its own attribute `stacked` says."""
    stacked = vars(optimizer).get("stacked")
    return stacked if isinstance(stacked, StackedOptimizer) else STACKED_OPTIMIZERS.get(optimizer)


def flags_of(group: Mapping[str, Any], stacked: StackedOptimizer) -> dict[str, bool]:
    """The options that all members of a stack share, of one group."""
    return {name: bool(group[name]) for name in stacked.flags}
