"""`annpipe show`: what is this component, which options has it, and how is it written?"""

from __future__ import annotations

import json
import math
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli import words
from annpipe.cli.list import PLUGIN_OPTION, known_kind, open_registry
from annpipe.errors import NotFound

if TYPE_CHECKING:
    from annpipe.registry import Entry, Parameter, Registry

SECTIONS = {"metric": "metrics", "plot": "plots", "callback": "callbacks", "layer": "model"}
LIMITS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


@click.command("show")
@click.argument("kind_or_name", metavar="[KIND]", shell_complete=words.kinds_and_names)
@click.argument("name", required=False, shell_complete=words.names_of_kind)
@PLUGIN_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def command(kind_or_name: str, name: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show a component: options, types, defaults, origin, and an example. KIND may be left out where NAME is enough."""
    if name is not None:
        known_kind(kind_or_name)
    registry = open_registry(plugins)
    entry = _by_kind(registry, kind_or_name, name) if name is not None else _by_name(registry, kind_or_name)
    if as_json:
        click.echo(json.dumps(_as_json(entry, registry), indent=2, ensure_ascii=False))
    else:
        click.echo(_as_text(entry, registry))


def _by_kind(registry: Registry, kind: str, name: str) -> Entry:
    from annpipe.registry.suggest import did_you_mean

    entry = registry.find(kind, name)
    if entry is None:
        hint = did_you_mean(name, [other.name for other in registry.entries(kind)])
        elsewhere = registry.kinds_of(name)
        if elsewhere:
            hint = f"it is a {' and a '.join(elsewhere)}"
        count = len(registry.entries(kind))
        raise NotFound(
            f"there is no {kind} '{name}'{f': {hint}' if hint else ''}; `annpipe list {kind}` shows all {count}"
        )
    return entry


def _by_name(registry: Registry, name: str) -> Entry:
    from annpipe.registry import KINDS
    from annpipe.registry.suggest import did_you_mean

    kinds = registry.kinds_of(name)
    if len(kinds) > 1:
        ways = " or ".join(f"`annpipe show {kind} {name}`" for kind in kinds)
        raise NotFound(f"'{name}' is a {' and a '.join(kinds)}: say {ways}")
    if not kinds:
        hint = did_you_mean(name, [entry.name for kind in KINDS for entry in registry.entries(kind)])
        raise NotFound(f"there is no component '{name}'{f': {hint}' if hint else ''}; `annpipe list` shows all")
    entry = registry.find(kinds[0], name)
    assert entry
    return entry


def _origin(entry: Entry) -> str:
    """Distribution and version, and the file (as seen from here) and line where they are known."""
    package = f"{entry.origin.distribution} {entry.origin.version}".strip()
    file = Path(entry.file)
    seen = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return ", ".join(part for part in (package, f"{seen}:{entry.line}" if entry.file else "") if part)


def _as_json(entry: Entry, registry: Registry) -> dict[str, Any]:
    origin = {"distribution": entry.origin.distribution, "version": entry.origin.version}
    return {
        "kind": entry.kind,
        "name": entry.name,
        "summary": entry.summary,
        "target": entry.target,
        "origin": {**origin, "file": entry.file, "line": entry.line},
        "options": [_option_as_json(parameter) for parameter in entry.parameters],
        "traits": dict(entry.traits),
        "examples": examples(entry, registry),
    }


def _option_as_json(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": parameter.type,
        "required": parameter.required and not parameter.supplied,
        "supplied": parameter.supplied,
        "default": parameter.default,
        "bounds": dict(parameter.bounds),
        "description": parameter.description,
        "words": parameter.words,
    }


def _as_text(entry: Entry, registry: Registry) -> str:
    width = shutil.get_terminal_size().columns
    head = [f"{entry.kind} {entry.name}", *textwrap.wrap(entry.summary, width), f"from {_origin(entry)}"]
    options = ["options", *_table(entry, width)] if entry.parameters else ["it has no options"]
    written = ["in a spec", *(f"  {example}" for example in examples(entry, registry))]
    return "\n\n".join("\n".join(block) for block in (head, options, written))


def _table(entry: Entry, width: int) -> Iterator[str]:
    """A row an option: name, type, default, meaning; the meaning below the rest where the terminal is too narrow."""
    rows = [
        (parameter.name, parameter.type, _default(parameter), _meaning(parameter)) for parameter in entry.parameters
    ]
    names, types, defaults = (max(len(row[column]) for row in rows) for column in range(3))
    beside = 2 + names + 2 + types + 2 + defaults + 2
    indent = beside if width - beside >= 30 else 2 + names + 2
    for name, type_, default, meaning in rows:
        line = f"  {name:<{names}}  {type_:<{types}}  {default:<{defaults}}  "
        parts = textwrap.wrap(meaning, max(20, width - indent))
        if indent == beside and parts:
            line += parts.pop(0)
        yield line.rstrip()
        yield from (f"{' ' * indent}{part}" for part in parts)


def _default(parameter: Parameter) -> str:
    if parameter.supplied:
        return "supplied"
    return "required" if parameter.required else _yaml(parameter.default)


def _meaning(parameter: Parameter) -> str:
    limits = " and ".join(f"{LIMITS[key]} {bound:g}" for key, bound in parameter.bounds.items())
    by_engine = "filled by annpipe" if parameter.supplied else ""
    return "; ".join(part for part in (parameter.description.rstrip("."), limits, by_engine) if part)


def examples(entry: Entry, registry: Registry) -> list[str]:
    """The spellings of the component that make sense, each one line of a spec."""
    return [_in_section(entry.kind, spelling) for spelling in _spellings(entry, _Samples(registry))]


def _in_section(kind: str, spelling: Any) -> str:
    if kind in SECTIONS:
        return f"{SECTIONS[kind]}: [{_yaml(spelling)}]"
    text = _yaml(spelling)
    return text.removeprefix("{").removesuffix("}") if kind == "distribution" else f"{kind}: {text}"


def _spellings(entry: Entry, samples: _Samples) -> Iterator[Any]:
    from annpipe.registry.types import MappingOf

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
        elif not isinstance(leading[0], list | dict):
            yield {entry.name: leading[0]}
    optional = [option for option in options if not option.required and option.default is not None]
    named = [*required, *optional][: max(len(required), 2)] or options[:1]
    yield {entry.name: {option.name: values[option.name] for option in named}}


class _Samples:
    """Values that options accept: the default, else a plausible one inside the bounds."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.integers = iter([16, 3, *[2] * 20])
        self.floats = iter(range(40))
        self.keys = iter("xyzuvw")

    def of(self, parameter: Parameter) -> Any:
        if parameter.default is not None:
            return parameter.default
        return self._of_type(parameter.option_type, parameter) if parameter.required else None

    def _of_type(self, type_: Any, parameter: Parameter) -> Any:
        from annpipe.registry.types import Choice, Formula, ListOf, MappingOf, Named, TupleOf

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
            case Named(name=name):
                return {"bool": True, "None": None, "path": "./rows.csv"}.get(name, "word")
            case Choice(values=values):
                return values[0]
            case ListOf(item=item):
                return [self._of_type(item, parameter)]
            case TupleOf(items=items):
                return [self._of_type(item, parameter) for item in items]
            case MappingOf(value=value):
                return {next(self.keys): self._of_type(value, parameter)}
        return self._of_type(type_.members[0], parameter)

    def _component(self, kind: str, parameter: Parameter) -> Any:
        """One whose name is like the parameter's, else the first whose options are all plain."""
        from annpipe.registry.types import Named

        entries = self.registry.entries(kind)
        like = [entry for entry in entries if entry.name.lower().endswith(parameter.name.replace("_", ""))]
        plain = [
            entry
            for entry in entries
            if all(
                isinstance(o.option_type, Named) and not o.option_type.is_component for o in entry.options if o.required
            )
            and any(o.required for o in entry.options)
        ]
        found = (like or plain or entries)[:1]
        inside = _Samples(self.registry)
        return next((spelling for entry in found for spelling in _spellings(entry, inside)), "name")


def _inside(value: float, bounds: Mapping[str, float]) -> float:
    """The value, moved into the bounds where it lies outside."""
    lower = bounds.get("ge", bounds["gt"] + 1 if "gt" in bounds else -math.inf)
    upper = bounds.get("le", bounds.get("lt", math.inf))
    if math.isfinite(lower) and math.isfinite(upper):
        return (bounds.get("ge", bounds.get("gt", lower)) + upper) / 2
    return max(lower, value) if value < upper else upper - 1


def _yaml(value: Any) -> str:
    """The value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
