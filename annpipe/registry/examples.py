"""Examples of a component: spellings with values that its options accept, one line of a spec each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.registry import Registry
from annpipe.registry.types import Choice, Formula, ListOf, MappingOf, Named, TupleOf, holds_stacks

_FAMILIAR: dict[str, Any] = {"distribution": {"Uniform": [-1, 1]}, "layer": {"Linear": 10}, "scheduler": {"StepLR": 10}}


@dataclass(frozen=True)
class Examples:
    """Examples whose nested components are those of a registry."""

    registry: Registry

    def shortest(self, entry: Entry) -> str:
        """The component in its shortest spelling, as in `Linear: 16`."""
        text = as_yaml(next(self.spellings(entry)))
        return text.removeprefix("{").removesuffix("}")

    def values(self, parameters: Iterable[Parameter]) -> dict[str, Any]:
        """A value that the option accepts, for each by its name."""
        samples = _Samples(self)
        return {parameter.name: samples.of(parameter) for parameter in parameters}

    def value(self, parameter: Parameter) -> Any:
        """A value that the option accepts and that says something: null only where nothing else may stand."""
        return _Samples(self).some(parameter)

    def familiar(self, kind: str) -> Any:
        """A component of a kind that many will know, in one of its spellings."""
        known = _FAMILIAR.get(kind, {})
        if known and all(self.registry.find(kind, name) for name in known):
            return known
        entries = self.registry.entries(kind)
        return next(self.spellings(entries[0])) if entries else "name"

    def spellings(self, entry: Entry) -> Iterator[Any]:
        """The spellings that make sense, as plain data."""
        return _spellings(entry, _Samples(self))


def as_yaml(value: Any) -> str:
    """The value as YAML on one line."""
    import yaml

    class WithoutAliases(yaml.SafeDumper):
        """Says a value again where it stands again."""

        def ignore_aliases(self, data: Any) -> bool:  # PyYAML asks of each
            return True

    text = yaml.dump(
        value, Dumper=WithoutAliases, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _spellings(entry: Entry, samples: _Samples) -> Iterator[Any]:
    if shown := entry.traits.example:
        yield {entry.name: shown}
        return
    options = entry.options
    required = [option for option in options if option.required]
    if not required:
        yield entry.name
    if not options:
        return
    values = {option.name: samples.of(option) for option in options}
    n_leading = max(1, len(required))
    leading = [values[option.name] for option in options[:n_leading]]
    nests = any(isinstance(option.option_type, MappingOf) for option in required)
    if list(options[: len(required)]) == required and None not in leading and not nests:
        if n_leading > 1:
            yield {entry.name: leading}
        elif not isinstance(leading[0], list | dict) or holds_stacks(options[0].option_type):
            yield {entry.name: leading[0]}
    optional = [option for option in options if not option.required and option.default is not None]
    named = [*required, *optional][: max(len(required), 2)] or options[:1]
    yield {entry.name: {option.name: values[option.name] for option in named}}


class _Samples:
    """Values that options accept: the default, else a plausible one inside the bounds."""

    def __init__(self, examples: Examples) -> None:
        self.examples, self.registry = examples, examples.registry
        self.integers = iter([16, 3, *[2] * 20])
        self.floats = iter(range(40))
        self.keys = iter("xyzuvw")

    def of(self, parameter: Parameter) -> Any:
        if parameter.default is not None:
            return parameter.default
        return self._of_type(parameter.option_type, parameter) if parameter.required else None

    def some(self, parameter: Parameter) -> Any:
        """The default where there is one, else a value of its type even where it may be left out."""
        return parameter.default if parameter.default else self._of_type(parameter.option_type, parameter)

    def _of_type(self, type_: Any, parameter: Parameter) -> Any:
        match type_:
            case Named(name=name) if type_.is_component:
                return self._component(name, parameter)
            case Named(name="int"):
                return int(_inside(next(self.integers), parameter.bounds))
            case Named(name="float" | "tensor"):
                return float(_inside(next(self.floats), parameter.bounds))
            case Formula(names=names):
                return f"0.95**{names[0]}"
            case Named(name="expression"):
                return "x**2"
            case Named(name="stack"):
                return [self.examples.familiar("layer"), *(["ReLU"] if self.registry.find("layer", "ReLU") else [])]
            case Named(name=name):
                return {"bool": True, "None": None, "path": "./rows.csv", "metric_key": "train/loss"}.get(name, "word")
            case Choice(values=values):
                return values[0]
            case ListOf(item=item):
                return [self._of_type(item, parameter)] * (2 if holds_stacks(item) else 1)  # one branch joins nothing
            case TupleOf(items=items):
                return [self._of_type(item, parameter) for item in items]
            case MappingOf(value=value):
                return {next(self.keys): self._of_type(value, parameter)}
        return self._of_type(type_.members[0], parameter)

    def _component(self, kind: str, parameter: Parameter) -> Any:
        """One whose name is like the parameter's, else one that many know."""
        entries = self.registry.entries(kind)
        like = [entry for entry in entries if entry.name.lower().endswith(parameter.name.replace("_", ""))]
        return next(self.examples.spellings(like[0])) if like else self.examples.familiar(kind)


def _inside(value: float, bounds: Mapping[str, float]) -> float:
    """The value, moved into the bounds where it lies outside."""
    lower = bounds.get("ge", bounds["gt"] + 1 if "gt" in bounds else -math.inf)
    upper = bounds.get("le", bounds.get("lt", math.inf))
    if math.isfinite(lower) and math.isfinite(upper):
        return (bounds.get("ge", bounds.get("gt", lower)) + upper) / 2
    return max(lower, value) if value < upper else upper - 1
