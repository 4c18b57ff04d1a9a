"""A new component of a project: a file in its `plugins/`, the test beside it, and the lines that a spec needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from annpipe.registry.plugin_sources import FOLDER
from annpipe.registry.registry import Registry
from annpipe.scaffold.names import check_module, check_not_taken, component_name
from annpipe.scaffold.templates_by_kind import TEMPLATES
from annpipe.scaffold.write import write_new_files


@dataclass(frozen=True)
class NewComponent:
    """What was written: the component's file and its test, and the lines of a spec that use it."""

    file: Path
    test: Path
    lines: tuple[str, ...]


def new_component(kind: str, name: str, project: Path, registry: Registry) -> NewComponent:
    """Writes a component into the project's `plugins/`; raises NewError, and then has written nothing."""
    template = TEMPLATES[kind]
    names = component_name(kind, name, is_class=template.is_class, used=template.identifiers)
    folder = project / FOLDER
    check_not_taken(kind, names, registry, sorted(folder.glob("*.py")))
    file, test = folder / f"{names.module}.py", folder / f"test_{names.module}.py"
    if not file.exists():
        check_module(names.module, str(file))
    write_new_files(folder, {file.name: template.component(names), test.name: template.test(names, names.module)})
    lines = [f"{section}: {text}" for section, text in template.used(names).items()]
    return NewComponent(file, test, (f"plugins: [{FOLDER}/{file.name}]", *lines))
