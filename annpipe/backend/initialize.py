"""Fills the parameters that `model.init` names, freezes those of `model.freeze`, and checks the patterns of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.protocols import fault_of, in_words
from annpipe.draft.component import Component
from annpipe.draft.parameter_groups import means
from annpipe.draft.sections import Draft
from annpipe.draft.weights import thawed_after
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.discovery import PluginFault


def assigned(init: Mapping[str, Component], names: Sequence[str]) -> dict[str, Component]:
    """The initializer of each parameter that some pattern means: that of the first such pattern."""
    firsts = {name: next((c for pattern, c in init.items() if means(pattern, name)), None) for name in names}
    return {name: component for name, component in firsts.items() if component is not None}


def initialize(model: torch.nn.Module, init: Mapping[str, Component]) -> None:
    """Fills the parameters, in the order of the model's own, from torch's generator."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, component in assigned(init, list(parameters)).items():
            _fill(component, parameters[name])


def _fill(component: Component, tensor: torch.Tensor) -> None:
    """Fills a tensor in place, from torch's generator: given by name where the component cannot do without."""
    generator = component.entry.parameter("generator")
    is_needed = generator is not None and generator.required
    instantiate(component, tensor=tensor, **({"generator": torch.default_generator} if is_needed else {}))


def freeze(model: torch.nn.Module, patterns: Sequence[str]) -> None:
    """Takes the parameters that are meant out of the training."""
    for name, parameter in model.named_parameters():
        if any(means(pattern, name) for pattern in patterns):
            parameter.requires_grad_(False)


def check_parameters(drafted: Draft, parameters: Mapping[str, torch.nn.Parameter]) -> tuple[list[Problem], int]:
    """Patterns that mean nothing, initializers that refuse a parameter, nothing left to train; the numbers frozen.

    `parameters` are the model's on the meta device.
    """
    names = list(parameters)
    thawing = [pattern for thaw in drafted.spec.thaw for pattern in thaw.patterns]
    keys = (*(key for key, _ in drafted.spec.init), *drafted.spec.freeze, *thawing)
    patterns = [(str(key.value), key.place) for key in keys]
    problems = [_nothing_meant(*pattern, names) for pattern in patterns if not any(means(pattern[0], n) for n in names)]
    problems += _shadowed(drafted, names)
    for name, component in assigned(drafted.init, names).items():
        if problem := _refused(name, component, parameters[name]):
            problems.append(problem)
    frozen = [name for name in names if any(means(str(key.value), name) for key in drafted.spec.freeze)]
    later = thawed_after(drafted.thaw, drafted.freeze, names)
    if names and len(frozen) + len(later) == len(names):
        place, when = drafted.spec.place("model", "freeze"), " in the first epochs" if later else ""
        message = f"`model.freeze` leaves no parameter to train{when}"
        problems.append(Problem("wrong-value", message, place, "name fewer"))
    return problems, sum(parameters[name].numel() for name in frozen)


def _nothing_meant(pattern: str, place: Place, names: Sequence[str]) -> Problem:
    parts = dict.fromkeys([*names, *(part for name in names for part in (name.split(".")[0], name.split(".")[-1]))])
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    help_ = did_you_mean(pattern, list(parts)) or (f"there is {shown}" if names else "the model has none")
    return Problem("wrong-value", f"no parameter of the model is meant by '{pattern}'", place, help_)


def _shadowed(drafted: Draft, names: Sequence[str]) -> Iterator[Problem]:
    """Initializers whose every parameter goes to a pattern above them: they would change nothing."""
    above: list[str] = []
    for key, _ in drafted.spec.init:
        pattern = str(key.value)
        meant = [name for name in names if means(pattern, name)]
        if meant and all(any(means(other, name) for other in above) for name in meant):
            message = f"every parameter that '{pattern}' means is meant by what stands above it"
            help_ = "put it further up: the first pattern that means a parameter counts"
            yield Problem("wrong-value", message, key.place, help_)
        above.append(pattern)


MOST_NUMBERS = 2**20  # of a parameter on which an initializer is tried


def _leaves(component: Component, parameter: torch.Tensor) -> bool:
    """Whether an initializer leaves numbers as they are, of which torch counts no change."""
    if parameter.numel() > MOST_NUMBERS:
        return True
    with torch.random.fork_rng(devices=[]):
        tensor = torch.full(parameter.shape, torch.nan, device="cpu")
        _fill(component, tensor)
    return bool(tensor.isnan().all()) and tensor.numel() > 0


def _refused(name: str, component: Component, parameter: torch.Tensor) -> Problem | None:
    """What an initializer says of a parameter that it cannot fill: of one dimension, most often."""
    empty = torch.empty_like(parameter, requires_grad=False)
    try:
        with torch.no_grad():
            before = empty._version
            _fill(component, empty)
            if empty._version == before and _leaves(component, parameter):
                message = f"{in_words(component)} leaves '{name}' as it was"
                return fault_of(component, message, "fill `tensor` in place, as in `tensor.copy_(values)`")
    except PluginFault as fault:
        return fault.problem
    except NotImplementedError:
        return None  # a kernel without a meta implementation: the run itself will tell
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        if "meta" in str(error):
            return None
        reason = str(error).strip().splitlines()
        shape = ", ".join(map(str, parameter.shape)) + "," * (parameter.ndim == 1)
        message = (
            f"{component.name} cannot fill '{name}' of shape ({shape}): {reason[0] if reason else type(error).__name__}"
        )
        help_ = (
            f"give it another one, as in `{name}: ones_` further up: the first pattern that means a parameter counts"
        )
        return Problem("wrong-value", message, component.place, help_)
    return None
