"""`annpipe show`: shows a component: what it does, its options, and how a spec writes it."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.completion import words
from annpipe.cli.options import known_kind, open_registry, plugin_option
from annpipe.errors import NotFound

if TYPE_CHECKING:
    from annpipe.registry.entry import Entry, Parameter
    from annpipe.registry.registry import Registry

SECTIONS = {"metric": "metrics", "plot": "plots", "callback": "callbacks", "layer": "model"}
LIMITS = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


@click.command("show")
@click.argument("kind_or_name", metavar="[KIND]", shell_complete=words.kinds_and_names)
@click.argument("name", required=False, shell_complete=words.names_of_kind)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def command(kind_or_name: str, name: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show a component: options, types, defaults, origin, and an example. KIND may be left out where NAME is enough."""
    if name is not None:
        known_kind(kind_or_name)
    registry = open_registry(plugins)
    entry = _by_kind(registry, kind_or_name, name) if name is not None else _by_name(registry, kind_or_name)
    if as_json:
        click.echo(json.dumps(_as_json(entry, examples(entry, registry)), indent=2, ensure_ascii=False))
    else:
        click.echo(_as_text(entry, examples(entry, registry)))


def _by_kind(registry: Registry, kind: str, name: str) -> Entry:
    from annpipe.errors.suggest import did_you_mean

    elsewhere = registry.kinds_of(name)
    if kind not in elsewhere:
        hint = did_you_mean(name, [other.name for other in registry.entries(kind)])
        if elsewhere:
            hint = f"it is a {' and a '.join(elsewhere)}"
        count = len(registry.entries(kind))
        raise NotFound(
            f"there is no {kind} '{name}'{f': {hint}' if hint else ''}; `annpipe list {kind}` shows all {count}"
        )
    return registry.entry(kind, name)


def _by_name(registry: Registry, name: str) -> Entry:
    from annpipe.errors.suggest import did_you_mean
    from annpipe.registry.kinds import KINDS

    kinds = registry.kinds_of(name)
    if len(kinds) > 1:
        ways = " or ".join(f"`annpipe show {kind} {name}`" for kind in kinds)
        raise NotFound(f"'{name}' is a {' and a '.join(kinds)}: say {ways}")
    if not kinds:
        hint = did_you_mean(name, [entry.name for kind in KINDS for entry in registry.entries(kind)])
        raise NotFound(f"there is no component '{name}'{f': {hint}' if hint else ''}; `annpipe list` shows all")
    return registry.entry(kinds[0], name)


def _origin(entry: Entry) -> str:
    """Distribution and version, and the file (as seen from here) and line where they are known."""
    package = f"{entry.origin.distribution} {entry.origin.version}".strip()
    file = Path(entry.file)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return ", ".join(part for part in (package, f"{shown}:{entry.line}" if entry.file else "") if part)


def _as_json(entry: Entry, written: Sequence[str]) -> dict[str, Any]:
    origin = {"distribution": entry.origin.distribution, "version": entry.origin.version}
    return {
        "kind": entry.kind,
        "name": entry.name,
        "summary": entry.summary,
        "target": entry.target,
        "origin": {**origin, "file": entry.file, "line": entry.line},
        "options": [_option_as_json(parameter) for parameter in entry.parameters],
        "traits": entry.traits.to_data(),
        "examples": list(written),
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


def _as_text(entry: Entry, written: Sequence[str]) -> str:
    width = shutil.get_terminal_size().columns
    head = [f"{entry.kind} {entry.name}", *textwrap.wrap(entry.summary, width), f"from {_origin(entry)}"]
    options = ["options", *_table(entry, width)] if entry.parameters else ["it has no options"]
    spelt = ["in a spec", *(f"  {example}" for example in written)]
    return "\n\n".join("\n".join(block) for block in (head, options, spelt))


def _table(entry: Entry, width: int) -> Iterator[str]:
    """A row an option: name, type, default, meaning; the meaning below the rest where the terminal is too narrow."""
    rows = [
        (parameter.name, parameter.type, default_words(parameter), meaning(parameter)) for parameter in entry.parameters
    ]
    names, types, defaults = (max(len(row[column]) for row in rows) for column in range(3))
    beside = 2 + names + 2 + types + 2 + defaults + 2
    indent = beside if width - beside >= 30 else 2 + names + 2
    for name, type_, default, about in rows:
        line = f"  {name:<{names}}  {type_:<{types}}  {default:<{defaults}}  "
        parts = textwrap.wrap(about, max(20, width - indent))
        if indent == beside and parts:
            line += parts.pop(0)
        yield line.rstrip()
        yield from (f"{' ' * indent}{part}" for part in parts)


def default_words(parameter: Parameter) -> str:
    """The default as a spec writes it, or who gives the value."""
    if parameter.supplied:
        return "supplied"
    from annpipe.registry.examples import as_yaml

    return "required" if parameter.required else as_yaml(parameter.default)


def meaning(parameter: Parameter) -> str:
    """What an option is for, and its limits."""
    limits = " and ".join(f"{LIMITS[key]} {bound:g}" for key, bound in parameter.bounds.items())
    by_engine = "filled by annpipe" if parameter.supplied else ""
    return "; ".join(part for part in (parameter.description.rstrip("."), limits, by_engine) if part)


def examples(entry: Entry, registry: Registry) -> list[str]:
    """The spellings of the component that make sense, each one line of a spec."""
    from annpipe.registry.examples import Examples

    return [_in_section(entry, spelling) for spelling in Examples(registry).spellings(entry)]


def _in_section(entry: Entry, spelling: Any) -> str:
    from annpipe.registry.examples import as_yaml
    from annpipe.registry.traits import TransformTraits

    kind, text = entry.kind, as_yaml(spelling)
    if kind == "transform":
        takes = entry.traits_as(TransformTraits).takes
        return f"transforms: {{{'number' if takes == 'any' else takes}: {text}}}"
    if kind == "initializer":
        return f"weight: {text}"  # below `model.init`
    if kind in SECTIONS:
        return f"{SECTIONS[kind]}: [{text}]"
    return text.removeprefix("{").removesuffix("}") if kind == "distribution" else f"{kind}: {text}"
