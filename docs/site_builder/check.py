"""Checks of the built HTML: links and anchors lead somewhere, and no page asks another host for a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "link": "href"}
"""The tags by which a page loads a file, and the attribute that names it."""
OF_STYLES = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")


class Page(HTMLParser):
    """The anchors of a page, the files that it loads, and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag names."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if LOADED.get(tag, "") in given and given.get("rel") not in ("canonical", "author"):
            self.loaded.append(given[LOADED[tag]])


@cache
def _page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def problems(out: Path) -> Iterator[str]:
    """A line for each dead link, missing file and request to another host."""
    for path in sorted(out.rglob("*.html")):
        page, name = _page(path), path.relative_to(out).as_posix()
        for target in dict.fromkeys([*page.loaded, *page.links]):
            parts = urlsplit(target)
            if parts.scheme == "data" or ((parts.scheme or parts.netloc) and target not in page.loaded):
                continue
            if parts.scheme or parts.netloc:
                yield f"{name} loads a file from another host: {target}"
            elif fault := _fault(path, unquote(parts.path), unquote(parts.fragment)):
                yield f"{name} has a link to {target}: {fault}"
    for path in sorted(out.rglob("*.css")):
        for url in OF_STYLES.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(out).as_posix()} loads a file from another host: {url}"


def _fault(path: Path, target: str, anchor: str) -> str:
    """What is wrong with a link of a page within the site; empty where it leads somewhere."""
    goal = (path.parent / target).resolve() if target else path
    goal = goal / "index.html" if goal.is_dir() else goal
    if not goal.is_file():
        return "there is no such file"
    if anchor and goal.suffix == ".html" and anchor not in _page(goal).anchors:
        return "the page has no such anchor"
    return ""


def external_links(out: Path) -> list[str]:
    """The addresses of other sites that the pages link to; nobody fetches them."""
    links = {link for path in out.rglob("*.html") for link in _page(path).links}
    return sorted(link for link in links if urlsplit(link).scheme in ("http", "https"))
