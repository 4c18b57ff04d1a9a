"""The reference: components by kind from the registry, the sections of a spec, error codes, and the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic.fields import FieldInfo
from pygments.lexers.data import YamlLexer
from pygments.token import Error

from annpipe.cli.commands.explain import pages as explanations
from annpipe.cli.commands.show import LIMITS, default_words, examples, meaning
from annpipe.registry.annotations import from_annotation
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.examples import as_yaml
from annpipe.registry.kinds import KINDS, Kind
from annpipe.registry.registry import Registry
from annpipe.registry.types import words
from annpipe.spec.sections.models import DESCRIPTIONS, Device, Head, Section, Split, Sweep, Tracking, Train
from annpipe.spec.sections.section_reader import bounds_of
from annpipe.spec.sections.sweep_methods import METHODS, PRUNERS
from docs.site_builder import commands
from docs.site_builder.links import place_of
from docs.site_builder.markdown import escaped

MODELS: dict[str, type[Section]] = {"device": Device, "train": Train, "sweep": Sweep, "tracking": Tracking}
"""The sections that have options of their own, beside the names and texts at the head of a spec."""
MADE = "<!-- made by docs/site_builder from the code; do not edit -->\n"


def pages() -> Iterator[tuple[str, str]]:
    """Each page of the reference: its name on the site, and its Markdown."""
    registry = Registry.installed()
    for kind in KINDS.values():
        yield f"reference/{kind.name}", _kind(kind, registry)
    yield "reference/components", _components(registry)
    yield "reference/sections", _sections()
    yield "reference/commands", commands.page()
    known = explanations()
    for code, text in known.items():
        yield place_of(f"annpipe/explanations/{code}.md"), _coloured(text)
    yield "reference/errors/index", _errors(known)


def _components(registry: Registry) -> str:
    """The table of all kinds, over the pages of each."""
    rows = "\n".join(
        f"- [{kind.name}]({kind.name}.md): {kind.gives}; {len(registry.entries(kind.name))} of them"
        for kind in KINDS.values()
    )
    names = "\n".join(["```{toctree}", ":hidden:", "", *KINDS, "```"])
    head = "# All components\n\nA component is what a spec can name. These are the kinds, and what each of them is:\n"
    return f"{MADE}{head}\n{rows}\n\n{names}\n"


def _kind(kind: Kind, registry: Registry) -> str:
    """The page of a kind: each component with its options."""
    entries = registry.entries(kind.name)
    place = f" In a spec it stands in the section `{kind.section}`: {kind.purpose}." if kind.section else ""
    head = f"# {kind.name}: {len(entries)} components\n\nA component of this kind is {kind.gives}.{place}\n"
    return "\n".join([MADE + head, *(_component(entry, registry) for entry in entries)])


def _component(entry: Entry, registry: Registry) -> str:
    spellings = "\n".join(examples(entry, registry))
    options = "\n".join(map(_option, entry.parameters)) or "It has no options.\n"
    parts = [f"## {entry.name}\n", f"{escaped(entry.summary)}\n", f"```yaml\n{spellings}\n```\n", options]
    return "\n".join(parts)


def _option(option: Parameter) -> str:
    """An option as a term with its type and default, and its meaning below."""
    return _term(option.name, f"`{option.type}`", default_words(option), meaning(option))


def _term(name: str, type_: str, default: str, about: str) -> str:
    is_value = default not in ("required", "supplied")
    given = f"default `{default}`" if is_value else {"required": "required", "supplied": "filled in"}[default]
    return f"`{name}`: {type_}, {given}\n: {escaped(about) or '–'}\n"


def _sections() -> str:
    """The page of the sections with options of their own; the others are components, whose pages it links to."""
    parts = [_fields("At the head of a spec", "The name of a run, and what is written about it.", Head)]
    parts += [_fields(name, DESCRIPTIONS[name], model) for name, model in MODELS.items()]
    parts.append(_fields("data.split", "Which rows are held out.", Split))
    parts += [_fields(f"sweep.method: {name}", model.__doc__ or "", model) for name, model in METHODS.items()]
    parts += [_fields(f"sweep.prune: {name}", model.__doc__ or "", model) for name, model in PRUNERS.items()]
    kinds = [kind for kind in KINDS.values() if kind.section]
    rows = "\n".join(f"- `{kind.section}`: {kind.purpose}; see [{kind.name}]({kind.name}.md)" for kind in kinds)
    head = "# The sections of a spec\n\n[The spec](../spec.md) explains them. Here is every option with its limits.\n"
    components = f"## Sections of components\n\n{rows}\n- `model`: {DESCRIPTIONS['model']}; see [layer](layer.md)\n"
    return "\n".join([MADE + head, *parts, components])


def _fields(title: str, about: str, model: type[Section]) -> str:
    rows = "\n".join(_field(name, field) for name, field in model.model_fields.items())
    sentence = about.partition(": ")[2] if about.startswith("`") else about
    return f"## {title}\n\n{sentence[:1].upper()}{sentence[1:]}\n\n{rows or 'It has no options.'}\n"


def _field(name: str, field: FieldInfo) -> str:
    bounds = bounds_of(field)
    limits = " and ".join(f"{LIMITS[key]} {bound:,}" for key, bound in bounds.items())
    type_ = escaped(words(from_annotation(field.annotation), {}))
    default = "required" if field.is_required() else as_yaml(field.default)
    return _term(name, type_, default, "; ".join(part for part in (field.description or "", limits) if part))


def _coloured(text: str) -> str:
    """The page of a code; YAML that no lexer reads, as a page on wrong YAML has it, is plain text."""

    def fence(match: re.Match[str]) -> str:
        reads = all(token is not Error for token, _ in YamlLexer().get_tokens(match[1]))
        return match[0] if reads else match[0].replace("```yaml", "```text", 1)

    return re.sub(r"^```yaml\n(.*?)^```$", fence, text, flags=re.S | re.M)


def _errors(known: Iterable[str]) -> str:
    """The list of all codes, over a page of each."""
    texts = explanations()
    rows = "\n".join(f"- [{code}]({code}.md): {texts[code].splitlines()[2]}" for code in known)
    names = "\n".join(["```{toctree}", ":hidden:", "", *known, "```"])
    head = "# Error codes\n\nThe word in `error[…]` and `warning[…]`. `annpipe explain CODE` prints the same pages.\n"
    return f"{MADE}{head}\n{rows}\n\n{names}\n"
