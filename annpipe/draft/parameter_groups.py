"""Assigns parameters to the optimizer's groups by patterns over names; the first group that fits takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from annpipe.draft.component import Component
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import did_you_mean

SHOWN = 12  # names in an error
FOR_ALL = ("foreach", "fused", "capturable", "differentiable")  # how torch computes the step of all groups


@dataclass(frozen=True)
class ParameterGroup:
    """Patterns, and the optimizer with only the options that these parameters have of their own."""

    patterns: tuple[str, ...]
    options: Component
    places: tuple[Place, ...] = field(default=(), compare=False)

    def to_data(self) -> dict[str, Any]:
        """The group as a spec would say it."""
        data = self.options.to_data()
        assert isinstance(data, dict)  # a group without options is refused
        return {"params": list(self.patterns), **data[self.options.name]}


def assigned(names: Sequence[str], groups: Sequence[ParameterGroup]) -> list[list[str]]:
    """The names in order: first those of no group, then those of each; the first group that fits a name has it."""
    names_of: list[list[str]] = [[] for _ in range(len(groups) + 1)]
    for name in names:
        fitting = (number for number, group in enumerate(groups, start=1) if _fits(name, group.patterns))
        names_of[next(fitting, 0)].append(name)
    return names_of


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(means(pattern, name) for pattern in patterns)


def without_parameters(names: Sequence[str], groups: Sequence[ParameterGroup]) -> Iterator[Problem]:
    """Patterns that fit no name, and groups whose parameters all belong to earlier ones."""
    for group, parameters in zip(groups, assigned(names, groups)[1:], strict=True):
        unfit = [at for at in zip(group.patterns, group.places, strict=True) if not _fits_any(names, at[0])]
        for pattern, place in unfit:
            message = f"no parameter of the model is called '{pattern}'"
            yield Problem("unknown-parameter", message, place, did_you_mean(pattern, names) or _shown(names))
        if not parameters and not unfit:
            message = f"earlier groups have all parameters called {' or '.join(map(repr, group.patterns))}"
            help_ = "the first group that fits has a parameter: move this one up, or leave it out"
            yield Problem("unknown-parameter", message, group.places[0], help_)


def _fits_any(names: Sequence[str], pattern: str) -> bool:
    return any(means(pattern, name) for name in names)


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"the parameters are {', '.join(names[:SHOWN])}{more}" if names else "the model has no parameters"


def optimizer_data(optimizer: Component, groups: Sequence[ParameterGroup]) -> Any:
    """The optimizer with its groups as a spec would say them."""
    data = optimizer.to_data()
    if not groups:
        return data
    return {**(data if isinstance(data, Mapping) else {data: None}), "groups": [group.to_data() for group in groups]}


def means(pattern: str, name: str) -> bool:
    """Whether a pattern means the parameter of that name.

    It does where it is the whole name (with `*` and `?` as in file names), or its beginning or end between dots.

    >>> [means(pattern, "0.layers.1.weight") for pattern in ("0", "weight", "0.layers.1.weight", "0.*.weight", "1")]
    [True, True, True, True, False]
    """
    return any(fnmatchcase(name, form) for form in (pattern, f"{pattern}.*", f"*.{pattern}"))
