"""Completions of the next word of a command line, for `shell_complete=`.

A shell starts the program at each Tab, so nothing is imported here that a completion does not need. None imports a
plugin, writes to stderr or fails: what is broken completes to nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from annpipe.cli.completion.components import KnownComponent

Words = Iterable[tuple[str, str]]  # each word with its meaning, which may be empty
Completer = Callable[[click.Context, click.Parameter, str], list["CompletionItem[str]"]]

SPECS = (".yaml", ".yml")
DATA = (".csv", ".tsv", ".parquet", ".npz")
DEVICES = {
    "auto": "an accelerator where there is one",
    "cpu": "the processor",
    "cuda": "the first NVIDIA GPU",
    "mps": "Apple's GPU",
}


def _completer(words: Callable[[click.Context, str], Words]) -> Completer:
    """`words` as click asks for them; only those that begin with what is typed."""

    def complete(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        offered: list[tuple[str, str]] = []
        with suppress(Exception), warnings.catch_warnings(action="ignore"):  # whatever it is, the prompt stays clean
            offered += words(ctx, typed)
        return [CompletionItem(word, help=meaning) for word, meaning in offered if word.startswith(typed)]

    return complete


def _files(typed: str, endings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Folders, with a slash, and files that end so; hidden ones only where a dot is typed."""
    above, slash, begun = typed.rpartition("/")
    folder = Path(above + slash or ".").expanduser()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") and not begun.startswith("."):
            continue
        if path.is_dir():
            yield f"{above}{slash}{path.name}/", ""
        elif path.name.endswith(endings):
            yield f"{above}{slash}{path.name}", ""


def _known(ctx: click.Context) -> list[KnownComponent]:
    from annpipe.cli.completion.components import known_components

    return known_components(ctx.params.get("plugins") or ())


def _kinds(ctx: click.Context, typed: str) -> Words:
    # the registry's own list of kinds takes longer to import than the index to read
    return [(kind, "a kind of component") for kind in sorted({known.kind for known in _known(ctx)})]


def _names_of_kind(ctx: click.Context, typed: str) -> Words:
    kind = ctx.params.get("kind_or_name")
    return [(known.name, known.summary) for known in _known(ctx) if known.kind == kind]


def _kinds_and_names(ctx: click.Context, typed: str) -> Words:
    names = {known.name: known.summary for known in _known(ctx)}
    return (names | dict(_kinds(ctx, typed))).items()


def _runs(ctx: click.Context, typed: str, *, open_only: bool = False) -> Iterator[tuple[str, str]]:
    from annpipe.files.run_ids import RUNS
    from annpipe.record.journal.journal import status
    from annpipe.record.journal.project import find_project, run_folders

    above = f"{RUNS}/" if typed.startswith(f"{RUNS}/") else ""
    for folder in reversed(run_folders(find_project())):
        word = f"{above}{folder.name}"
        if word.startswith(typed):
            how = status(folder)
            if not open_only or how in ("KILLED", "FAILED"):
                yield word, how


def _runs_and_data(ctx: click.Context, typed: str) -> Iterator[tuple[str, str]]:
    if ctx.params.get("named") or ctx.params.get("last"):
        yield from _files(typed, DATA)
    else:
        yield from _runs(ctx, typed)


def _asked_of_store(query: str) -> list[tuple[str, ...]]:
    """Rows of the project's own database, which is read without MLflow."""
    import sqlite3
    from contextlib import closing

    from annpipe.record.journal.location import DATABASE
    from annpipe.record.journal.project import find_project

    database = (find_project() / DATABASE).as_uri()
    with closing(sqlite3.connect(f"{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def _registered_models(ctx: click.Context, typed: str) -> Words:
    return [(name, "a registered model") for (name,) in _asked_of_store("SELECT name FROM registered_models")]


def _runs_and_models(ctx: click.Context, typed: str) -> Iterator[tuple[str, str]]:
    yield from _runs(ctx, typed)
    query = "SELECT name, alias, version FROM registered_model_aliases ORDER BY name, alias"
    for name, alias, version in _asked_of_store(query):
        yield f"models:/{name}@{alias}", f"version {version}"


def _devices(ctx: click.Context, typed: str) -> Words:
    cards = sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return [*DEVICES.items(), *((f"cuda:{number}", f"NVIDIA GPU {number}") for number in cards)]


def _codes(ctx: click.Context, typed: str) -> Words:
    pages = Path(__file__).parents[2] / "explanations"
    return [(page.stem, "") for page in sorted(pages.glob("*.md"))]


def _spec_of(ctx: click.Context) -> Path | None:
    """The spec that stands earlier on the line, the first of several."""
    named = ctx.params.get("spec") or ctx.params.get("specs")
    # click gives up at a `--set` that has no value yet, and leaves the words before it in `args`
    several = named if isinstance(named, tuple) else (named,) if named else ctx.args
    return next((Path(name) for name in several if str(name).endswith(SPECS)), None)


def _paths(ctx: click.Context, typed: str) -> Words:
    from annpipe.cli.completion.set_paths import paths

    return [(path, "") for path in paths(typed, _spec_of(ctx))]


specs = _completer(lambda ctx, typed: _files(typed, SPECS))
specs_and_runs = _completer(lambda ctx, typed: [*_files(typed, SPECS), *_runs(ctx, typed)])
plugin_files = _completer(lambda ctx, typed: _files(typed, (".py",)))
kinds = _completer(_kinds)
kinds_and_names = _completer(_kinds_and_names)
names_of_kind = _completer(_names_of_kind)
runs = _completer(_runs)
open_runs = _completer(lambda ctx, typed: _runs(ctx, typed, open_only=True))
runs_and_data = _completer(_runs_and_data)
registered_models = _completer(_registered_models)
runs_and_models = _completer(_runs_and_models)
devices = _completer(_devices)
codes = _completer(_codes)
set_paths = _completer(_paths)
unset_paths = _completer(lambda ctx, typed: [(path.rstrip("="), "") for path, _ in _paths(ctx, typed)])
