"""How do many optimizers take their steps as one? Torch's own formulas, on one matrix with a row for each member.

Options that members may differ in are columns, (members, 1), so that one operation serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch

Options = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Alike:
    """Members with the same options, `numbers`: their rows of the matrices of a slab, those that follow on each other
    as one piece."""

    numbers: Mapping[str, float]
    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    states: Mapping[str, list[torch.Tensor]]


@dataclass
class Slab:
    """One group of parameters of all members, side by side: every tensor is (members, numbers).

    `states` are what the optimizer remembers, by torch's names. `exact` has the options in double precision,
    `options` in that of the parameters, (members, 1) each; `flags` are those that all members share.
    `alike` has the members by their options, unless the step is compiled.
    """

    values: torch.Tensor
    gradient: torch.Tensor
    states: dict[str, torch.Tensor]
    flags: Mapping[str, bool]
    exact: dict[str, torch.Tensor] = field(default_factory=dict)
    options: dict[str, torch.Tensor] = field(default_factory=dict)
    decays: bool = False
    alike: Sequence[Alike] = ()

    def read(self, groups: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
        """Takes the options of each member's own group of torch's optimizer, as schedulers leave them."""
        if not names:
            return
        told = [dict(numbers(group)) for group in groups]
        self.decays = any(one.get("weight_decay") for one in told)
        self.alike = list(self._alike([tuple(one[name] for name in names) for one in told], names))
        device, dtype = self.values.device, self.values.dtype
        for name in names:
            column = torch.tensor([[one[name]] for one in told], dtype=torch.float64, device=device)
            self.exact[name], self.options[name] = column, column.to(dtype)
            self.options[f"1-{name}"] = (1 - column).to(dtype)

    def _alike(self, told: Sequence[tuple[float, ...]], names: Sequence[str]) -> Iterator[Alike]:
        """The members by what is told of each."""
        runs = [(own, len(list(members))) for own, members in groupby(told)]
        lengths = [length for _, length in runs]
        values, gradients = torch.split(self.values, lengths), torch.split(self.gradient, lengths)
        states = {name: torch.split(one, lengths) for name, one in self.states.items()}
        for own in dict.fromkeys(told):
            places = [place for place, (other, _) in enumerate(runs) if other == own]
            yield Alike(
                dict(zip(names, own, strict=True)),
                [values[place] for place in places],
                [gradients[place] for place in places],
                {name: [pieces[place] for place in places] for name, pieces in states.items()},
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


def numbers(group: Mapping[str, Any]) -> Mapping[str, float]:
    """The options of a group of torch's optimizer that are numbers."""
    found = {name: float(value) for name, value in group.items() if isinstance(value, int | float)}
    if "betas" in group:
        found["beta1"], found["beta2"] = map(float, group["betas"])
    return found


def _sgd(slab: Slab, step: int | torch.Tensor) -> None:
    gradient, options = slab.decayed(), slab.options
    if slab.flags["momentum"]:
        remembered = slab.states["momentum_buffer"]
        if isinstance(step, int) and step == 1:  # a compiled step is never the first
            remembered.copy_(gradient)
        else:
            remembered.mul_(options["momentum"]).addcmul_(gradient, options["1-dampening"])
        nesterov = slab.flags["nesterov"]
        gradient = torch.addcmul(gradient, remembered, options["momentum"]) if nesterov else remembered
    slab.values.addcmul_(gradient, options["lr"], value=-1)


def _moments(slab: Slab, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The running means of the gradient and its square, brought up to date."""
    mean, square = slab.states["exp_avg"], slab.states["exp_avg_sq"]
    mean.lerp_(gradient, slab.options["1-beta1"])
    square.mul_(slab.options["beta2"]).addcmul_(gradient * slab.options["1-beta2"], gradient)
    return mean, square


def _adam(slab: Slab, step: int | torch.Tensor) -> None:
    if isinstance(step, int) and slab.values.device.type == "cpu":
        _fused_adam(slab, step)
        return
    mean, square = _moments(slab, slab.shrink_or_decayed())
    exact = slab.exact
    if slab.flags["amsgrad"]:
        largest = slab.states["max_exp_avg_sq"]
        square = torch.maximum(largest, square, out=largest)
    scale = slab.column((1 - exact["beta2"] ** step).sqrt())
    below = square.sqrt().div_(scale).add_(slab.options["eps"])
    slab.values.addcmul_(mean / below, slab.column(exact["lr"] / (1 - exact["beta1"] ** step)), value=-1)


def _fused_adam(slab: Slab, step: int) -> None:
    """By torch's kernel for the processor, which goes over memory once; a single run takes it, too.

    A square root of numbers next to zero, as those of parameters without gradient become, costs torch thirty others.
    """
    kernel = torch._fused_adamw_ if slab.flags["decoupled_weight_decay"] else torch._fused_adam_
    amsgrad, count = slab.flags["amsgrad"], torch.tensor(float(step), dtype=torch.float32)
    for alike in slab.alike:
        kernel(
            alike.values,
            alike.gradients,
            alike.states["exp_avg"],
            alike.states["exp_avg_sq"],
            alike.states["max_exp_avg_sq"] if amsgrad else [],
            [count] * len(alike.values),
            lr=alike.numbers["lr"],
            beta1=alike.numbers["beta1"],
            beta2=alike.numbers["beta2"],
            weight_decay=alike.numbers["weight_decay"],
            eps=alike.numbers["eps"],
            amsgrad=amsgrad,
            maximize=slab.flags["maximize"],
        )


def _nadam(slab: Slab, step: int | torch.Tensor) -> None:
    gradient = slab.shrink_or_decayed()
    exact = slab.exact
    mu = exact["beta1"] * (1 - 0.5 * 0.96 ** (step * exact["momentum_decay"]))
    mu_next = exact["beta1"] * (1 - 0.5 * 0.96 ** ((step + 1) * exact["momentum_decay"]))
    product = slab.states["mu_product"].mul_(slab.column(mu)).double()
    mean, square = _moments(slab, gradient)
    below = square.div(slab.column(1 - exact["beta2"] ** step)).sqrt_().add_(slab.options["eps"])
    slab.values.addcmul_(gradient / below, slab.column(exact["lr"] * (1 - mu) / (1 - product)), value=-1)
    slab.values.addcmul_(mean / below, slab.column(exact["lr"] * mu_next / (1 - product * mu_next)), value=-1)


def _rmsprop(slab: Slab, step: int | torch.Tensor) -> None:
    gradient, options = slab.decayed(), slab.options
    square = slab.states["square_avg"]
    square.mul_(options["alpha"]).addcmul_(gradient * options["1-alpha"], gradient)
    if slab.flags["centered"]:
        mean = slab.states["grad_avg"].lerp_(gradient, options["1-alpha"])
        root = square.addcmul(mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    way = gradient / root.add_(options["eps"])
    if slab.flags["momentum"]:
        way = slab.states["momentum_buffer"].mul_(options["momentum"]).add_(way)
    slab.values.addcmul_(way, options["lr"], value=-1)


def _adagrad(slab: Slab, step: int | torch.Tensor) -> None:
    gradient = slab.decayed()
    total = slab.states["sum"].addcmul_(gradient, gradient)
    rate = slab.column(slab.exact["lr"] / (1 + (step - 1) * slab.exact["lr_decay"]))
    slab.values.addcmul_(gradient / total.sqrt().add_(slab.options["eps"]), rate, value=-1)


@dataclass(frozen=True)
class Stepping:
    """How the optimizers of one class step as one; a plugin's own class says it by its attribute `stacked`.

    `step` takes a slab and the number of the step, from 1, and changes its values and states in their place, with no
    gradient recorded. `numbers` are the options that members may differ in (of `betas`: `beta1` and `beta2`), `flags`
    those that they share (a number, as momentum, by whether it is 0). `states` are its memories as wide as the
    parameters, by their names in `optimizer.state`, each with the flag that asks for it or None; they begin with
    zeros. `single` are those of one number a parameter, which begin with 1; `counts` whether it keeps the steps done
    as `step`.
    """

    step: Callable[[Slab, Any], None]
    numbers: tuple[str, ...]
    flags: tuple[str, ...] = ()
    states: Mapping[str, str | None] = field(default_factory=dict)
    single: tuple[str, ...] = ()
    counts: bool = False

    def wide(self, flags: Mapping[str, bool]) -> list[str]:
        """The memories that an optimizer with these flags has."""
        return [name for name, flag in self.states.items() if flag is None or flags[flag]]


_BETAS = ("lr", "beta1", "beta2", "eps", "weight_decay")
_MEANS: dict[str, str | None] = {"exp_avg": None, "exp_avg_sq": None}
_ADAM = Stepping(
    _adam,
    _BETAS,
    ("amsgrad", "maximize", "decoupled_weight_decay"),
    {**_MEANS, "max_exp_avg_sq": "amsgrad"},
    counts=True,
)
STEPPINGS: Mapping[type[torch.optim.Optimizer], Stepping] = {
    torch.optim.SGD: Stepping(
        _sgd,
        ("lr", "momentum", "dampening", "weight_decay"),
        ("momentum", "nesterov", "maximize"),
        {"momentum_buffer": "momentum"},
    ),
    torch.optim.Adam: _ADAM,
    torch.optim.AdamW: _ADAM,
    torch.optim.NAdam: Stepping(
        _nadam,
        (*_BETAS, "momentum_decay"),
        ("maximize", "decoupled_weight_decay"),
        _MEANS,
        ("mu_product",),
        counts=True,
    ),
    torch.optim.RMSprop: Stepping(
        _rmsprop,
        ("lr", "alpha", "eps", "weight_decay", "momentum"),
        ("momentum", "centered", "maximize"),
        {"square_avg": None, "grad_avg": "centered", "momentum_buffer": "momentum"},
        counts=True,
    ),
    torch.optim.Adagrad: Stepping(
        _adagrad, ("lr", "lr_decay", "eps", "weight_decay"), ("maximize",), {"sum": None}, counts=True
    ),
}


def _no_step(slab: Slab, step: int) -> None:
    """Each member's own optimizer takes it."""


OWN = Stepping(_no_step, ())
"""How optimizers step of which no stacked step is known: each by itself, on its member's row of the matrix."""


def stepping_of(optimizer: type[torch.optim.Optimizer]) -> Stepping | None:
    """How optimizers of a class step as one: torch's as above, another's as its own attribute `stacked` says."""
    said = vars(optimizer).get("stacked")
    return said if isinstance(said, Stepping) else STEPPINGS.get(optimizer)


def flags_of(group: Mapping[str, Any], stepping: Stepping) -> dict[str, bool]:
    """The options that all members of a stack share, of one group."""
    return {name: bool(group[name]) for name in stepping.flags}
