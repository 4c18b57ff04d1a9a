"""A new distribution of components: a folder that pip installs, with tests, specs and a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from annpipe.registry.registry import Registry
from annpipe.scaffold.names import (
    PREFIX,
    ComponentName,
    NewError,
    check_module,
    check_not_taken,
    component_name,
    distribution_name,
    pascal,
)
from annpipe.scaffold.templates_by_kind import TEMPLATES, Template, spec_text
from annpipe.scaffold.write import write_new_folder

FILES = "annpipe.scaffold.distribution_files"


@dataclass(frozen=True)
class _Part:
    """One component of the distribution, and the spec that uses it."""

    template: Template
    name: ComponentName
    spec: str


@dataclass(frozen=True)
class NewDistribution:
    """What was written: the folder, the name to install, components as `kind NAME`, and specs below the folder."""

    folder: Path
    name: str
    components: tuple[str, ...]
    specs: tuple[str, ...]


def new_distribution(name: str, kinds: Sequence[tuple[str, str]], into: Path, registry: Registry) -> NewDistribution:
    """Writes a distribution into a new folder in `into`; raises NewError, and then has written nothing.

    `kinds` are kinds with the names of their components; an empty one is made of the distribution's.
    """
    distribution = distribution_name(name)
    module = distribution.replace("-", "_")
    check_module(module, f"the distribution {distribution}")
    parts = _parts(distribution.removeprefix(f"{PREFIX}-"), kinds)
    for part in parts:
        check_not_taken(part.template.kind, part.name, registry)
    folder = into / distribution
    write_new_folder(folder, _texts(distribution, module, parts))
    components = tuple(f"{part.template.kind} {part.name.spec}" for part in parts)
    return NewDistribution(folder, distribution, components, tuple(part.spec for part in parts))


def _parts(words: str, kinds: Sequence[tuple[str, str]]) -> list[_Part]:
    """The components; one alone is called as the distribution, several have their kinds behind that."""
    parts: list[_Part] = []
    for kind, component in kinds:
        template = TEMPLATES[kind]
        of_distribution = words if len(kinds) == 1 else f"{words}-{kind}"
        default = pascal(of_distribution) if template.is_class else of_distribution.replace("-", "_")
        name = component_name(kind, component or default, is_class=template.is_class, used=template.identifiers)
        if any(part.name.module == name.module for part in parts):
            raise NewError(f"two components would stand in {name.module}.py; name them, as in `--kind {kind}=NAME`")
        parts.append(_Part(template, name, "spec.yaml" if len(kinds) == 1 else f"spec_{name.module}.yaml"))
    return parts


def _texts(distribution: str, module: str, parts: Sequence[_Part]) -> dict[str, str]:
    """The files by their paths below the folder."""
    rows = [f"| `{part.name.spec}` | {part.template.kind} | `{part.spec}` |" for part in parts]
    words = {
        "DISTRIBUTION": distribution,
        "MODULE": module,
        "POINT": module.removeprefix(f"{PREFIX}_"),
        "COMPONENTS": ", ".join(part.name.spec for part in parts),
        "ROWS": "\n".join(rows),
        "SPEC": parts[0].spec,
    }
    texts = {file: _filled(file, words) for file in ("pyproject.toml", "README.md")}
    texts[f"{module}/__init__.py"] = _filled("__init__.py", words)
    for part in parts:
        home = f"{module}.{part.name.module}"
        texts[f"{module}/{part.name.module}.py"] = part.template.component(part.name)
        texts[f"tests/test_{part.name.module}.py"] = part.template.test(part.name, home)
        texts[part.spec] = spec_text(part.name.module, part.template.used(part.name))
    return texts


def _filled(file: str, words: Mapping[str, str]) -> str:
    """A file of the distribution with its words; `@WORD@` stands for one."""
    text = (files(FILES) / f"{file}.txt").read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
