"""Pages that show files of the repository: the gallery of specs, and the sources that other pages link to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.site_builder.links import ROOT, place_of

NOTEBOOK = ".ipynb"
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".md": "markdown", ".csv": "text"}
"""What is shown as a page, and how it is coloured."""
MOST_LINES = 1000
UNLISTED = "---\norphan: true\nnosearch: true\n---\n\n"
"""Such a page is in no table of contents, and the search leaves it out."""


def gallery() -> str:
    """The page of all ready-to-run specs: what each shows, what to expect, and how long it takes."""
    rows = [_of_gallery(path) for path in sorted((ROOT / "pipelines").glob("*.yaml"))]
    head = "Each of these specs in the folder `pipelines` runs as it stands: `annpipe run pipelines/NAME.yaml`."
    return "\n".join([f"# The gallery\n\n{head}\n", *rows])


def _of_gallery(path: Path) -> str:
    """A section of the gallery, from the comment at the head of the spec."""
    head = [line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    notes = re.findall(r"(Shows|Expect|Takes): +(.*?)(?= *(?:\bShows:|\bExpect:|\bTakes:|$))", " ".join(head))
    items = "\n".join(f"- {word}: {text}" for word, text in notes)
    page = f"../{place_of(path.relative_to(ROOT).as_posix())}.md"
    return f"## {path.stem}\n\n{head[0]}\n\n{items}\n\n[The spec]({page})\n"


def pages(linked: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The page of each file and folder that is linked, and of what the folders hold."""
    waiting, done = [*linked, "pipelines"], set()
    while waiting:
        path = waiting.pop()
        place = place_of(path)
        is_shown = place.startswith("files/") or path == "pipelines"
        if path in done or not is_shown or not (ROOT / path).exists():  # of a dead link Sphinx tells the page and line
            continue
        done.add(path)
        if (ROOT / path).is_dir():
            inside = [child.relative_to(ROOT).as_posix() for child in _shown(ROOT / path)]
            waiting += inside
            if path != "pipelines":
                yield place, _folder(path, inside)
        elif (ROOT / path).suffix == NOTEBOOK:
            yield place, _notebook(path)
        elif (ROOT / path).suffix in LANGUAGES:
            yield place, _file(path)


def _shown(folder: Path) -> list[Path]:
    children = [child for child in sorted(folder.iterdir()) if child.name[0] not in "._" or child.name == "__init__.py"]
    return [child for child in children if child.suffix in (*LANGUAGES, NOTEBOOK) or child.is_dir()]


def _folder(path: str, inside: Iterable[str]) -> str:
    up = "../" * (path.count("/") + 2)
    items = "\n".join(f"- [{child.rpartition('/')[2]}]({up}{place_of(child)}.md)" for child in inside)
    return f"{UNLISTED}# {path}\n\nThe files of this folder of the repository:\n\n{items}\n"


def _file(path: str) -> str:
    """The file in a fence that is longer than any within it."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    fence = "`" * 8
    note = f"\nThe first {MOST_LINES} of {len(lines)} lines.\n" if len(lines) > MOST_LINES else ""
    shown = "\n".join(lines[:MOST_LINES])
    return f"{UNLISTED}# {path}\n{note}\n{fence}{LANGUAGES[Path(path).suffix]}\n{shown}\n{fence}\n"


def _notebook(path: str) -> str:
    """The cells of a notebook one below the other: what is written and what is run, without the outputs."""
    cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
    fence = "`" * 8
    shown = []
    for cell in cells:
        language = "python" if cell["cell_type"] == "code" else "markdown"
        shown.append(f"{fence}{language}\n{''.join(cell['source'])}\n{fence}\n")
    return "\n".join([f"{UNLISTED}# {path}\n\nThe cells of the notebook, without their outputs:\n", *shown])
