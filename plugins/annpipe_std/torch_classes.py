"""Every public torch layer, loss, optimizer, scheduler and distribution as a component, found by walking torch.

What a signature leaves out comes from `torch_table` (types, bounds, descriptions) and `torch_words` (summaries); what
the engine must know of a class is read off the class itself wherever it can be.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.nn.modules import activation, conv

from annpipe import Entry, Typing, describe
from annpipe_std.output_roles import poisson_outputs
from annpipe_std.torch_outputs import EXPECTS, GIVES, RANGES
from annpipe_std.torch_schedules import FILLED, SCHEDULES
from annpipe_std.torch_table import DEFAULTS, EXCLUDED, FUSED, HIDDEN, NEEDS, NEEDS_BY_NAME, RANK_SIZES, options_of
from annpipe_std.torch_words import SUMMARIES

FAMILIES: tuple[tuple[str, str, Any], ...] = (
    ("layer", "torch.nn", torch.nn.Module),
    ("optimizer", "torch.optim", torch.optim.Optimizer),
    ("scheduler", "torch.optim.lr_scheduler", torch.optim.lr_scheduler.LRScheduler),
    ("distribution", "torch.distributions", torch.distributions.Distribution),
)
INITIALIZERS = tuple(sorted(name for name in vars(torch.nn.init) if name.endswith("_") and not name.startswith("_")))
ATTENDS = ["query", "key", "value"]  # of a layer in a stack, what arrives is all three
ROLES = {"PoissonNLLLoss": f"{poisson_outputs.__module__}:{poisson_outputs.__name__}"}
CLASS_LABELS = ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss")


def annpipe_components() -> Iterable[Entry]:
    """The hook that discovery calls."""
    for kind, module, cls in public_classes():
        if cls.__name__ not in EXCLUDED and _fits(kind, cls):
            yield _entry(kind, module, cls)
    for name in INITIALIZERS:
        yield _entry("initializer", "torch.nn.init", getattr(torch.nn.init, name))


def _fits(kind: str, cls: Any) -> bool:
    """Whether a layer takes one tensor, and a loss a prediction and a target: a run passes no more."""
    if kind not in ("layer", "loss"):
        return True
    takes = required_arguments(cls.forward)
    return takes == ATTENDS or len(takes) == (1 if kind == "layer" else 2)


def public_classes() -> Iterator[tuple[str, str, type]]:
    """Kind, module and class of each public class of the families, deprecated and unfit ones included."""
    for kind, module, base in FAMILIES:
        # torch.optim.lr_scheduler is an attribute of an imported package, so no import machinery is needed here
        namespace = vars(_at(module))
        for name in sorted(namespace):
            cls = namespace[name]
            if not name.startswith("_") and isinstance(cls, type) and issubclass(cls, base) and cls.__name__ == name:
                yield ("loss" if name.endswith(("Loss", "Loss2d")) else kind), module, cls


def _at(module: str) -> Any:
    value: Any = torch
    for part in module.split(".")[1:]:
        value = getattr(value, part)
    return value


def _entry(kind: str, module: str, cls: Any) -> Entry:
    name = cls.__name__
    options = options_of(kind, name)
    return describe(
        kind,
        cls,
        name=name,
        target=f"{module}:{name}",
        typing_=Typing(
            types={**_rank_types(cls), **{key: option.type for key, option in options.items() if option.type}},
            defaults=DEFAULTS.get(name, FILLED.get(name, {})),
            bounds={key: option.bounds for key, option in options.items() if option.bounds},
            descriptions={key: option.words for key, option in options.items() if option.words},
            hidden=HIDDEN,
        ),
        traits=_traits(kind, cls),
        summary=SUMMARIES.get(name),
        distribution="torch",
    )


def _rank(name: str) -> int | None:
    """The number of spatial dimensions, off the end of the name: 2 for Conv2d."""
    match = re.search(r"([123])d$", name)
    return int(match[1]) if match else None


def _rank_types(cls: Any) -> dict[str, str]:
    """Sizes of a layer of fixed rank: one for all dimensions or one for each."""
    rank = _rank(cls.__name__)
    if rank is None or "Pad" in cls.__name__:
        return {}
    each = ", ".join(["int"] * rank)
    optional = {name for name, parameter in parameters_of(cls).items() if parameter.default is None}
    return {name: f"int | tuple[{each}]" + (" | None" if name in optional else "") for name in RANK_SIZES}


def _traits(kind: str, cls: Any) -> dict[str, Any]:
    """What the engine must know of the class beyond its options; nothing where the ordinary holds."""
    traits: dict[str, Any] = {}
    if kind == "layer":
        traits |= _layer_traits(cls)
    if kind == "loss" and cls.__name__ in CLASS_LABELS:
        traits["target"] = "classes"
    if kind == "loss" and cls.__name__ in EXPECTS:
        traits["expects"] = EXPECTS[cls.__name__]
    if kind == "loss" and cls.__name__ in ROLES:
        traits["outputs"] = ROLES[cls.__name__]
    if kind == "optimizer":
        traits |= _optimizer_traits(cls)
    if kind == "scheduler":
        traits |= SCHEDULES.get(cls.__name__, {})
    if cls.__name__ in DEFAULTS:
        traits["native_defaults"] = _native_defaults(cls)
    return traits


def _layer_traits(cls: type) -> dict[str, Any]:
    traits: dict[str, Any] = {}
    if issubclass(cls, torch.nn.Linear | conv._ConvNd):
        traits["linear"] = True
    if cls.__module__ == activation.__name__ and cls is not torch.nn.MultiheadAttention:
        traits["nonlinear"] = True
    if cls.__name__ in GIVES:
        traits["gives"] = GIVES[cls.__name__]
    if cls.__name__ in RANGES:
        traits["range"] = list(RANGES[cls.__name__])
    rank = _rank(cls.__name__)
    needs = NEEDS_BY_NAME.get(cls.__name__) or (NEEDS[rank] if rank else None)
    if needs:
        traits["needs"] = needs
    return traits


def _optimizer_traits(cls: Any) -> dict[str, Any]:
    traits: dict[str, Any] = {}
    if "closure" in required_arguments(cls.step):
        traits["closure"] = True
    if "fused" in inspect.signature(cls).parameters:
        traits["fused"] = FUSED.get(cls.__name__, ["cpu", "cuda", "mps"])
    return traits


def _native_defaults(cls: type) -> dict[str, Any]:
    """Torch's own defaults where the index has another that means something else."""
    native = {name: parameters_of(cls)[name].default for name in DEFAULTS[cls.__name__]}
    return {name: value for name, value in native.items() if not callable(value)}


def parameters_of(cls: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class, those of its first overload where it takes anything (the recurrent networks)."""
    overloads = typing.get_overloads(cls.__init__)
    signature = inspect.signature(overloads[0] if overloads else cls)
    return {name: parameter for name, parameter in signature.parameters.items() if name != "self"}


def required_arguments(method: Callable[..., Any]) -> list[str]:
    """The arguments of a method that have no default."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [parameter.name for parameter in named if parameter.default is parameter.empty]
