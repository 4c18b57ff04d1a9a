"""Checks a component against what its kind must do: its base class, its methods, and what they take and return.

`instantiate` asks this of each component that it builds, so that a plugin's fault is found at its line by the plan.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.distributions import Distribution
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from annpipe.backend.returns import returns_nothing
from annpipe.draft.component import Component
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import nearest
from annpipe.errors.wording import article
from annpipe.registry.discovery import PluginFault
from annpipe.registry.entry import Entry
from annpipe.registry.kinds import with_article
from annpipe.registry.place import name_place
from annpipe.registry.signature import definition
from annpipe.registry.traits import OptimizerTraits, SchedulerTraits

TESTED = ("annpipe", "torch")  # distributions whose components a test holds against this, so that no run needs to


@dataclass(frozen=True)
class Method:
    """A method that annpipe calls with these arguments; `returns` is what it takes from it, "" where that is nothing.

    One whose `arguments` are None is called in several ways. `others` are methods of which one may stand instead.
    """

    name: str
    arguments: tuple[str, ...] | None = ()
    returns: str = ""
    is_optional: bool = False
    others: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """`on_look(look)`."""
        return f"{self.name}({', '.join(self.arguments or ('x',))})" if self.arguments != () else f"{self.name}()"

    @property
    def line(self) -> str:
        """The line of Python that defines it."""
        arguments = ", ".join(("self", *(("x",) if self.arguments is None else self.arguments)))
        return f"def {self.name}({arguments})" + (f" -> {self.returns}" if self.returns else "")


@dataclass(frozen=True)
class KindProtocol:
    """What components of a kind are: instances of `base`, with these methods."""

    base: type | None
    methods: tuple[Method, ...]


_STATE = (Method("state_dict", returns="dict", is_optional=True), Method("load_state_dict", ("state",), "", True))
PROTOCOLS: Mapping[str, KindProtocol] = {
    "transform": KindProtocol(
        torch.nn.Module,
        (Method("fit", ("x",)), Method("forward", ("x",), "Tensor"), Method("inverse", ("y",), "Tensor", True)),
    ),
    "layer": KindProtocol(torch.nn.Module, (Method("forward", None, "Tensor"),)),
    "loss": KindProtocol(
        torch.nn.Module,
        (
            Method("forward", ("prediction", "target"), "Tensor"),
            Method("divisor", ("target",), "Tensor", is_optional=True),
            Method("terms", (), "list", is_optional=True),
        ),
    ),
    "optimizer": KindProtocol(torch.optim.Optimizer, (Method("step"),)),
    "scheduler": KindProtocol(
        None, (Method("step", others=("get_lr",)), Method("state_dict"), Method("load_state_dict", ("state",)))
    ),
    "average": KindProtocol(AveragedModel, (Method("update_parameters", ("model",)),)),
    "distribution": KindProtocol(Distribution, (Method("sample", ("shape",), "Tensor", others=("rsample",)),)),
    "metric": KindProtocol(None, (Method("update", ("prediction", "target")), Method("compute", (), "float"))),
    "callback": KindProtocol(None, (Method("on_look", ("look",)), *_STATE)),
}
"""By kind; one that is not here is a function, of which only what it returns is looked at."""

RETURNS: Mapping[str, str] = {"data": "Dataset", "plot": "Figure"}
"""What functions of a kind return."""

INITIALIZED: Mapping[type, tuple[str, ...]] = {
    torch.nn.Module: ("_parameters",),
    torch.optim.Optimizer: ("param_groups",),
    LRScheduler: ("optimizer", "_last_lr"),
    Distribution: ("_batch_shape",),
}
"""The attributes that tell that the `__init__` of a class of torch was called."""

_UNWRITTEN = (
    torch.nn.Module.forward,
    torch.optim.Optimizer.step,
    LRScheduler.step,
    LRScheduler.get_lr,
    Distribution.sample,
    Distribution.rsample,
)


def check_class(component: Component) -> None:
    """Raises PluginFault where a class lacks what its kind must have, or a function that must return something ends
    without."""
    if not is_tested(component.entry):
        for problem in _of_class(component, component.load()):
            raise PluginFault(problem)


def check_built(component: Component, built: Any) -> None:
    """Raises PluginFault where what was built is not what its kind is, or did not call its base's `__init__`."""
    if not is_tested(component.entry):
        for problem in _of_built(component, built):
            raise PluginFault(problem)


def is_tested(entry: Entry) -> bool:
    """Whether a component is one of annpipe's own or of torch's, which annpipe's tests hold against this."""
    return entry.origin.distribution in TESTED


def fault_of(component: Component, message: str, help_: str, method: Any = None) -> Problem:
    """A fault of a plugin, at the definition of the component or of its method, with the line of the spec."""
    entry = component.entry
    place = name_place(*definition(method)) if method is not None else name_place(entry.file, entry.line)
    used: tuple[tuple[Place, str], ...] = ((component.place, "used here"),) if component.place else ()
    return Problem("plugin-protocol", message, place or component.place, help_, used if place else ())


def in_words(component: Component) -> str:
    """`the metric 'WorstError'`."""
    return f"the {'data component' if component.kind == 'data' else component.kind} '{component.name}'"


def _of_class(component: Component, loaded: Callable[..., Any]) -> Iterator[Problem]:
    protocol = PROTOCOLS.get(component.kind)
    if protocol is not None and isinstance(loaded, type):
        yield from _of_base(component, loaded, protocol)
        yield from _of_methods(component, loaded)
    elif (returns := RETURNS.get(component.kind)) and returns_nothing(loaded):
        message = f"{in_words(component)} returns nothing"
        yield fault_of(component, message, f"end it with `return` and the {returns} that it made")


def _of_base(component: Component, loaded: type, protocol: KindProtocol) -> Iterator[Problem]:
    base = protocol.base
    if base is not None and not issubclass(loaded, base):
        message = f"{in_words(component)} is no {_dotted(base)}"
        yield fault_of(component, message, f"write `class {loaded.__name__}({_dotted(base)})`")


def _of_methods(component: Component, owner: Any) -> Iterator[Problem]:
    """Methods of a class or an instance that are missing, take something else, or return nothing."""
    for method in PROTOCOLS[component.kind].methods:
        if method.name == "step":
            method = _step_of(component)
        function = _written(owner, method.name)
        if function is None:
            written = any(_written(owner, other) is not None for other in method.others)
            if not method.is_optional and not written:
                yield _missing(component, owner, method)
        elif method.arguments is not None and not _takes(owner, function, method):
            called = f"annpipe calls `{method.call}`"
            message = f"`{method.name}` of {in_words(component)} takes {_signature(owner, function)}, and {called}"
            yield fault_of(component, message, f"write `{method.line}`", function)
        elif method.returns and returns_nothing(function):
            message = f"`{method.name}` of {in_words(component)} returns nothing"
            help_ = f"end it with `return` and {article(method.returns)}"
            yield fault_of(component, message, help_, function)
    if component.kind == "callback":
        yield from _half_a_state(component, owner)


def _step_of(component: Component) -> Method:
    """The `step` of an optimizer that evaluates the model itself, of a scheduler that follows a metric, of others."""
    closure, metrics = component.traits(OptimizerTraits).closure, component.traits(SchedulerTraits).steps_on
    return replace(
        next(method for method in PROTOCOLS[component.kind].methods if method.name == "step"),
        arguments=("closure",) if closure else ("metrics",) if metrics == "metric" else (),
    )


def _half_a_state(component: Component, owner: Any) -> Iterator[Problem]:
    """A callback with a state can say it and take it back."""
    written = {method.name: _written(owner, method.name) for method in _STATE}
    lacking = [method for method in _STATE if written[method.name] is None]
    if len(lacking) == 1:
        (other,) = (name for name in written if name != lacking[0].name)
        message = f"{in_words(component)} has `{other}` and no `{lacking[0].name}`: a resumed run needs both"
        yield fault_of(component, message, f"add `{lacking[0].line}`", written[other])


def _missing(component: Component, owner: Any, method: Method) -> Problem:
    known = {other.name for other in PROTOCOLS[component.kind].methods}
    others = [name for name, value in vars(_class_of(owner)).items() if inspect.isfunction(value) and name not in known]
    near = nearest(method.name, others, 1)
    rename = f"rename `{near[0]}` to `{method.name}`, or " if near else ""
    named = " or ".join(f"`{name}`" for name in (method.call, *(f"{other}()" for other in method.others)))
    instead = "".join(f" or `def {other}(self)`" for other in method.others)
    help_ = f"{rename}add `{method.line}`{instead}; {with_article(component.kind)} must have it"
    return fault_of(component, f"{in_words(component)} has no method {named}", help_)


def _class_of(owner: Any) -> type:
    return owner if isinstance(owner, type) else type(owner)


def _written(owner: Any, name: str) -> Any:
    """The function of a method, without torch's wrappers; None where there is none but the base's, which does nothing.

    An attribute of the instance counts, too.
    """
    method = getattr(owner, name, None)
    if not callable(method):
        return None
    function = inspect.unwrap(getattr(method, "__func__", method))
    return None if any(function is unwritten for unwritten in _UNWRITTEN) else function


def _takes(owner: Any, function: Any, method: Method) -> bool:
    """Whether a function takes these arguments by position; True where nobody can know."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return True
    static = inspect.getattr_static(_class_of(owner), method.name, None)
    is_plain = inspect.isfunction(static) or isinstance(static, classmethod)  # whose first parameter is filled
    try:
        signature.bind(*[None] * is_plain, *(method.arguments or ()))
    except TypeError:
        return False
    return True


def _signature(owner: Any, function: Any) -> str:
    return f"({', '.join(map(str, inspect.signature(function).parameters.values()))})"


def _of_built(component: Component, built: Any) -> Iterator[Problem]:
    protocol = PROTOCOLS.get(component.kind)
    if protocol is None:
        return
    if protocol.base is not None and not isinstance(built, protocol.base):
        message = f"{in_words(component)} gives {article(type(built).__name__)}, and no {_dotted(protocol.base)}"
        yield fault_of(component, message, f"let it return one: {with_article(component.kind)} is built by it")
        return
    for base, attributes in INITIALIZED.items():
        if isinstance(built, base) and any(name not in vars(built) for name in attributes):
            message = f"{in_words(component)} does not call the `__init__` of {_dotted(base)}"
            initializer = vars(type(built)).get("__init__")
            yield fault_of(component, message, f"begin its `__init__` with `{_super(component.kind)}`", initializer)
            return
    if not isinstance(component.load(), type):
        yield from _of_methods(component, built)


def _super(kind: str) -> str:
    arguments = {"optimizer": "params, {…}", "scheduler": "optimizer", "average": "model", "distribution": "…"}
    return f"super().__init__({arguments.get(kind, '')})"


def _dotted(base: type) -> str:
    """`torch.nn.Module`, as plugins write it."""
    module = {"torch.nn.modules.module": "torch.nn", "torch.optim.optimizer": "torch.optim"}.get(base.__module__)
    is_distribution = base is Distribution
    return f"{module or ('torch.distributions' if is_distribution else base.__module__)}.{base.__name__}"
