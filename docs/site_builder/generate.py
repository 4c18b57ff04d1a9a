"""Writes the pages of the site that are made from the code: the reference, pages from elsewhere, listed files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.site_builder import files, reference
from docs.site_builder.links import PAGES, ROOT, for_site, targets

FOLDERS = ("reference", "project", "files")
"""Folders below docs/ that hold nothing else; git ignores them."""


def is_generated(docname: str) -> bool:
    """Whether a page was written by this module."""
    return docname.partition("/")[0] in FOLDERS


def write_all(docs: Path) -> None:
    """Writes each page whose text has changed, and deletes what is made no longer."""
    pages = dict(_pages(docs))
    for name, text in pages.items():
        path = docs / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in [path for folder in FOLDERS for path in (docs / folder).rglob("*.md")]:
        if path.relative_to(docs).with_suffix("").as_posix() not in pages:
            path.unlink()


def _pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Each generated page: its name on the site, and its Markdown."""
    generated = dict(reference.pages())
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in PAGES if path.endswith(".md")}
    yield from generated.items()
    yield from ((PAGES[path], for_site(text, path, PAGES[path])) for path, text in texts.items())
    yield PAGES["pipelines"], files.gallery()
    written = {f"docs/{path.relative_to(docs).as_posix()}": path.read_text(encoding="utf-8") for path in _written(docs)}
    yield from files.pages(_linked(texts | written))


def _written(docs: Path) -> list[Path]:
    return [path for path in sorted(docs.rglob("*.md")) if not is_generated(path.relative_to(docs).as_posix())]


def _linked(texts: Mapping[str, str]) -> list[str]:
    """The files and folders that these pages link to."""
    return sorted({path for source, text in texts.items() for _, path, _ in targets(text, source)})
