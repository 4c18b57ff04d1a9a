"""Links of the pages lead to files and headings that exist, and every page can be reached from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT


def links(page: Path) -> list[tuple[str, str]]:
    """The relative links of a page outside of code: path (empty for the page itself) and anchor."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [(path, anchor) for path, _, anchor in (t.partition("#") for t in targets if "://" not in t)]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_and_images_lead_somewhere(page: Path) -> None:
    """Every relative link is a file or folder of the project, every anchor a heading there."""
    for path, anchor in links(page):
        target = page.parent / path if path else page
        assert target.exists(), (page.name, path)
        if anchor:
            assert anchor in anchors(target), (page.name, path, anchor)


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Over links alone."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [page.parent / path for path, _ in links(page) if path]
    assert {page.resolve() for page in PAGES} <= reached
