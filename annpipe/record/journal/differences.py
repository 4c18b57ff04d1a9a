"""Compares the plans of several runs value by value: a path and the value of each run.

A component is compared by its name, in a row at its path, and then option by option among the runs that have it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_LETTERS = 48
BESIDE = {"data": ("transforms", "split"), "optimizer": ("groups",)}  # what stands beside a section's component

Defaults = Callable[[str, str], Sequence[Any]]


@dataclass(frozen=True)
class Row:
    """One thing in which runs may differ: its path or key, and for each run its value, None where it has none."""

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        return any(value != self.values[0] for value in self.values)


def no_defaults(component: str, option: str) -> Sequence[Any]:
    """The defaults of components that nobody knows."""
    return ()


def compare_plans(
    plans: Sequence[Mapping[str, Any]], *, defaults: Defaults = no_defaults, equal: bool = False
) -> Iterator[Row]:
    """The values in which plans differ; with `equal` also those that all of them share.

    `defaults(component, option)` gives the values that are not worth a row where only some of the runs have the
    component.
    """
    walk = _Walk(defaults, equal)
    for section in dict.fromkeys(key for plan in plans for key in plan):
        values = [plan.get(section) for plan in plans]
        if section == "model" and any(isinstance(value, Mapping) for value in values):
            values = [{"layers": value} if isinstance(value, list) else value for value in values]
        yield from walk.rows([_without(value, BESIDE.get(section, ())) for value in values], section)
        for beside in BESIDE.get(section, ()):
            parts = [value.get(beside) if isinstance(value, Mapping) else None for value in values]
            yield from walk.rows(parts, f"{section}.{beside}")


@dataclass(frozen=True)
class _Walk:
    """Goes down the plans side by side."""

    defaults: Defaults
    equal: bool

    def rows(self, values: Sequence[Any], path: str) -> Iterator[Row]:
        """The rows of the values that the runs have at a path."""
        if not self.equal and all(value == values[0] for value in values):
            return
        names = [_component(value) for value in values]
        if all(name is not None or value is None for name, value in zip(names, values, strict=True)):
            yield from self._components(values, names, path)
        elif all(value is None or isinstance(value, Mapping) for value in values):
            for key in dict.fromkeys(key for value in values for key in value or ()):
                yield from self.rows([(value or {}).get(key) for value in values], f"{path}.{key}")
        elif all(value is None or isinstance(value, list) for value in values) and _hold_parts(values):
            for index in range(max(len(value or ()) for value in values)):
                items = [value[index] if index < len(value or ()) else None for value in values]
                yield from self.rows(items, f"{path}.{index}")
        else:
            yield Row(path, tuple(values))

    def _components(self, values: Sequence[Any], names: Sequence[str | None], path: str) -> Iterator[Row]:
        """A row of the names where they differ, then the options of each name among the runs that have it."""
        row = Row(path, tuple(names))
        if row.differs or self.equal:
            yield row
        for name in dict.fromkeys(name for name in names if name is not None):
            options = [_options(value) if other == name else None for value, other in zip(values, names, strict=True)]
            yield from self._options(options, f"{path}.{name}", name)

    def _options(self, options: Sequence[Mapping[str, Any] | None], path: str, name: str) -> Iterator[Row]:
        """The options of a component: those that differ and, where not all runs have it, those that are no default."""
        holders = [part for part in options if part is not None]
        for key in dict.fromkeys(key for part in holders for key in part):
            values = [part.get(key) for part in holders]
            is_shared = len(holders) == len(options)
            is_shown = not is_shared and all(value not in (None, *self.defaults(name, key)) for value in values)
            for row in _Walk(self.defaults, self.equal or is_shown).rows(values, f"{path}.{key}"):
                of_holders = iter(row.values)
                yield Row(row.name, tuple(None if part is None else next(of_holders) for part in options))


def brief(value: Any) -> str:
    """A value of a plan in few letters; options that are off or left out are not told.

    >>> brief({"Linear": {"in_features": 1, "out_features": 8, "bias": False}})
    'Linear {in_features: 1, out_features: 8}'
    """
    text = _text(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _without(value: Any, keys: Sequence[str]) -> Any:
    """A section's component without what stands beside it; `{moons: null}` is `moons`."""
    if not isinstance(value, Mapping) or not keys:
        return value
    return {key: {} if item is None else item for key, item in value.items() if key not in keys}


def _component(value: Any) -> str | None:
    """The name of what may be a component: a word, or a mapping of one name to its options."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value.values())), Mapping):
        return str(next(iter(value)))
    return None


def _options(value: Any) -> Mapping[str, Any]:
    options: Mapping[str, Any] = {} if isinstance(value, str) else next(iter(value.values()))
    return options


def _hold_parts(values: Sequence[Sequence[Any] | None]) -> bool:
    """Whether lists hold more than plain values, so that the places in them are worth telling apart."""
    return any(isinstance(item, Mapping | list) for value in values for item in value or ())


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case Mapping():
            name = _component(value)
            return _inside(value) if name is None else f"{name} {_inside(value[name])}".removesuffix(" {}")
        case list():
            return f"[{', '.join(_text(item) for item in value)}]"
        case float():
            return f"{value:.6g}"
        case str():
            return value
    return json.dumps(value)


def _inside(options: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in options.items() if value is not None and value is not False}
    return f"{{{', '.join(f'{key}: {_text(value)}' for key, value in shown.items())}}}"
