"""`annpipe schema`: prints or installs the JSON Schema by which an editor completes, explains and checks specs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import open_registry, plugin_option, untrusted_option
from annpipe.errors import NotFound, Problem, SpecError
from annpipe.errors.render import render

if TYPE_CHECKING:
    from annpipe.registry.registry import Registry
    from annpipe.spec import Spec


@click.command("schema")
@click.argument("specs", nargs=-1, type=click.Path(path_type=Path), metavar="[SPEC]...")
@plugin_option
@click.option("--install", is_flag=True, help="Write annpipe.schema.json beside the specs and name it in each of them.")
@untrusted_option
def command(specs: tuple[Path, ...], plugins: tuple[Path, ...], install: bool, untrusted: bool) -> None:
    """Print the JSON Schema of specs: all installed components and those of the plugin files that SPECs list.

    A SPEC is a file or a folder; left out, it is the specs of this folder and of `pipelines/`. Where a plugin is left
    out or at fault, the schema admits components of any name.
    """
    from annpipe.files.limits import Stance, held_to

    files = _spec_files(specs)
    making = _Making(plugins, untrusted)
    if not install:
        click.echo(making.text(files), nl=False)
        return
    files = [path for path in files if path not in specs or _can_be_installed(path)]
    if not files:
        raise NotFound("there is no spec here: name a spec or a folder that has some")
    for folder, beside in groupby(sorted(files), key=lambda path: path.parent):
        paths = list(beside)
        text = making.text(paths)
        with held_to(Stance.below(folder) if untrusted else None):
            _install(folder, paths, text)


class _Making:
    """Makes the text of schemas, each over the installed components and the plugins of some specs."""

    def __init__(self, plugins: tuple[Path, ...], untrusted: bool) -> None:
        self._untrusted = untrusted
        self._installed = open_registry(() if untrusted else plugins)
        self._left_out = [f"--plugin {path}" for path in plugins if untrusted]
        for named in self._left_out:
            _say_left_out(named)

    def text(self, specs: list[Path]) -> str:
        from annpipe.schema import as_text, spec_schema

        registry = self._installed.copy()
        # names that an unread plugin may define must not be refused
        incomplete = [not self._add_plugins(path, registry) for path in specs]
        schema = spec_schema(registry, any_name=any(incomplete) or bool(self._left_out))
        return as_text(schema)

    def _add_plugins(self, path: Path, registry: Registry) -> bool:
        """Adds the components of the files that a spec lists; False when some are left out."""
        from annpipe.spec import load_spec

        try:
            spec = load_spec(path, untrusted=self._untrusted)
        except SpecError as error:
            _warn(error.problems)
            return not self._untrusted
        if not self._untrusted:
            return not spec.plugin_places or _import_plugins(spec, registry)
        for text, location, _ in spec.plugin_places:
            _say_left_out(f"{location}: {text}")
        return not spec.plugin_places


def _import_plugins(spec: Spec, registry: Registry) -> bool:
    """Adds the components of a spec's plugins to the registry; False when some are at fault."""
    from annpipe.draft.draft import draft
    from annpipe.spec import read_spec

    # all else of the spec is for `annpipe validate` to judge
    plugins = tuple(pair for pair in spec.root.pairs if pair[0].value == "plugins")
    faults: list[Problem] = []
    try:
        draft(read_spec(replace(spec.root, pairs=plugins), spec.file), registry)
    except SpecError as error:
        faults = [problem for problem in error.problems if problem.code.startswith("plugin")]
    _warn(faults)
    return not faults


def _spec_files(specs: tuple[Path, ...]) -> list[Path]:
    """The files named, and the specs of folders."""
    folders = specs or tuple(folder for folder in (Path(), Path("pipelines")) if folder.is_dir())
    paths = [path for named in folders for path in (_specs_of(named) if os.path.isdir(named) else [named])]
    return list(dict.fromkeys(paths))


def _specs_of(folder: Path) -> Iterator[Path]:
    from annpipe.files.named import content
    from annpipe.schema.install import is_spec, yaml_files

    for path in yaml_files(folder):
        try:
            if is_spec(path):
                yield path
        except SpecError as error:
            # of YAML that cannot be read, only what would be a spec is worth a word
            if re.search(rb"^(model|extends)\s*:", content(path), re.MULTILINE):
                _warn(error.problems)


def _can_be_installed(path: Path) -> bool:
    from annpipe.schema.install import is_spec

    try:
        if is_spec(path):
            return True
    except SpecError as error:
        _warn(error.problems)
        return False
    click.echo(f"{path}: left as it is: it is no spec, having neither `data` and `model` nor `extends`", err=True)
    return False


def _install(folder: Path, specs: list[Path], text: str) -> None:
    from annpipe.schema.install import FILE, MODELINE, add_modeline, write

    if write(folder / FILE, text.encode()):
        click.echo(f"{folder / FILE}: written")
    else:
        click.echo(f"{folder / FILE}: up to date", err=True)
    for path in specs:
        reason = add_modeline(path)
        if reason is None:
            click.echo(f"{path}: begins with `{MODELINE}` now")
        elif reason:
            click.echo(f"{path}: left as it is: {reason}", err=True)


def _say_left_out(what: str) -> None:
    click.echo(f"{what}: this plugin is left out, because of --untrusted", err=True)


def _warn(problems: list[Problem]) -> None:
    for problem in problems:
        click.echo(render(replace(problem, severity="warning")) + "\n", err=True)
