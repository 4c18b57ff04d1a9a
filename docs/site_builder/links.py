"""Where each file of the project stands on the site, and pages with their links led there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from docs.site_builder.diagrams import drawn

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "project/readme",
    "SECURITY.md": "project/security",
    "CHANGELOG.md": "project/changes",
    "plugins/README.md": "project/plugin_guide",
    "tests/benchmarks/README.md": "project/benchmarks",
    "pipelines": "project/gallery",
}
"""Pages of the site that stand elsewhere in the repository, by path."""

FENCE = re.compile(r"^(`{3,}|:{3,})(\S*)[^\n]*\n(.*?)^\1$", re.S | re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def place_of(path: str) -> str:
    """The page of the site, without suffix, that shows a file or folder of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/") and path.endswith(".md"):
        return path.removeprefix("docs/").removesuffix(".md")
    if path.startswith("annpipe/explanations/"):
        return f"reference/errors/{PurePosixPath(path).stem}"
    return f"files/{path}/index" if (ROOT / path).is_dir() else f"files/{path}"


def targets(text: str, source: str) -> Iterator[tuple[str, str, str]]:
    """The relative links of a page outside of code: as written, the path in the repository, and the anchor."""
    for match in LINK.finditer(FENCE.sub("", text)):
        target, _, anchor = match[1].partition("#")
        if target and "://" not in target and not target.startswith("mailto:"):
            yield match[1], _resolved(target, source), anchor


def for_site(text: str, source: str, docname: str) -> str:
    """The text of a page of the repository as the page `docname` of the site: its links and diagrams."""
    led = {written: _link(path, anchor, docname) for written, path, anchor in targets(text, source)}

    def change(part: str) -> str:
        return LINK.sub(lambda match: f"]({led.get(match[1], match[1])})", part)

    return outside_code(text, change)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` made to all that is not within fences; diagrams are drawn."""
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        is_diagram = fence[2] == "mermaid"
        parts += [change(text[end : fence.start()]), drawn(fence[3]) if is_diagram else fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _resolved(target: str, source: str) -> str:
    return os.path.normpath(PurePosixPath(source).parent / target).replace(os.sep, "/")


def _link(path: str, anchor: str, docname: str) -> str:
    """The link from a page of the site; files of docs/ that are no pages, as figures, stand where they are."""
    is_figure = path.startswith("docs/") and not path.endswith(".md") and (ROOT / path).is_file()
    target = path.removeprefix("docs/") if is_figure else f"{place_of(path)}.md"
    relative = os.path.relpath(target, PurePosixPath(docname).parent).replace(os.sep, "/")
    return f"{relative}#{anchor}" if anchor else relative
