"""Links and paths on the pages lead to what exists, every page can be reached, and the map of the folders is whole."""

from __future__ import annotations

import re
import tomllib
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    """Every path in backticks that begins with a folder of the project."""
    spans = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    paths = [
        span for span in spans if re.fullmatch(r"(annpipe|plugins|tests|docs|examples|pipelines)/[a-z\d_./]+", span)
    ]
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_the_table_of_folders_is_whole() -> None:
    """Each folder of code has its row in docs/architecture.md, and each row its folder."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(annpipe/[a-z_/]+|plugins/annpipe_std)` \|", page, re.M)
    files = [*(ROOT / "annpipe").rglob("*.py"), *(ROOT / "annpipe").rglob("*.md")]
    folders = {path.parent.relative_to(ROOT).as_posix() for path in files}
    assert sorted(rows) == sorted({*folders, "plugins/annpipe_std"} - {"annpipe"})


def test_the_layers_on_the_page_are_those_that_are_checked() -> None:
    """In the order of the contract in pyproject.toml."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = page.partition("```text\ncli ")[2].partition("```")[0]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["name"] == "Imports point down the layers")
    checked = [re.findall(r"annpipe\.(\w+)", layer) for layer in layers]
    assert [sorted(re.findall(r"\w+", layer)) for layer in f"cli {shown}".split("→")] == [*map(sorted, checked)]
