"""The site: the reference has all that the code has, links are led to pages, and the check of the HTML finds faults."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from annpipe.cli import COMMANDS
from annpipe.cli.commands.explain import pages as explanations
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.spec.sections.models import Head, Split, Sweep, Train
from docs.site_builder import check, reference
from docs.site_builder.contents import with_contents
from docs.site_builder.diagrams import drawn, read
from docs.site_builder.links import FENCE, for_site
from tests.docs.pages import OF_DOCS, ROOT
from tests.docs.screenshots import Browser, driver
from tests.docs.site_pictures import OVERFLOW, WIDTHS


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The pages of the reference by name."""
    return dict(reference.pages())


def test_the_reference_has_every_component_and_option(pages: dict[str, str], registry_entries: Registry) -> None:
    """Each component is a heading on the page of its kind, with each of its options."""
    for kind in KINDS:
        sections = re.split(r"^## ", pages[f"reference/{kind}"], flags=re.M)[1:]
        found = {section.partition("\n")[0]: re.findall(r"^`(\w+)`: ", section, re.M) for section in sections}
        expected = {
            entry.name: [option.name for option in entry.parameters] for entry in registry_entries.entries(kind)
        }
        assert found == expected


def test_the_reference_has_limits_and_defaults(pages: dict[str, str]) -> None:
    """As the registry and the sections have them."""
    assert "`lr`: `float`, default `0.001`\n: the learning rate; at least 0\n" in pages["reference/optimizer"]
    assert re.search(r"`val`: a number, default `0.0`\n: .*at least 0 and less than 1", pages["reference/sections"])
    for model in (Head, Train, Split, Sweep):
        assert not [name for name in model.model_fields if f"\n`{name}`: " not in pages["reference/sections"]]


def test_the_reference_has_every_error_and_command(pages: dict[str, str]) -> None:
    """A page for each code, a section for each command with its options."""
    assert {name.rpartition("/")[2] for name in pages if name.startswith("reference/errors/")} == {
        *explanations(),
        "index",
    }
    for name in COMMANDS:
        assert f"\n## annpipe {name}\n" in pages["reference/commands"]
    assert "`--dry-run`" in pages["reference/commands"]


def test_links_are_led_to_the_pages_of_the_site() -> None:
    """Those that leave docs/ too; code, figures and other sites stay."""
    text = (
        "[a](spec.md#errors) [b](../README.md) [c](../pipelines) [d](../annpipe/contract.py) ![e](images/growth.svg) "
        "[f](../annpipe/explanations/leak.md) [g](https://example.org/x.md) [h](#here)"
        "\n\n```text\n[b](../README.md)\n```\n"
    )
    assert for_site(text, "docs/data.md", "data") == (
        "[a](spec.md#errors) [b](project/readme.md) [c](project/gallery.md) [d](files/annpipe/contract.py.md) "
        "![e](images/growth.svg) [f](reference/errors/leak.md) [g](https://example.org/x.md) [h](#here)"
        "\n\n```text\n[b](../README.md)\n```\n"
    )
    assert for_site("[a](docs/spec.md)", "README.md", "project/readme") == "[a](../spec.md)"


def test_the_first_page_is_the_table_of_contents() -> None:
    """Every page of docs/ stands in it."""
    text = with_contents((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    entries = re.findall(r"^.+ <(\S+)>$", text, re.M)
    names = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in OF_DOCS}
    assert names - {"index"} <= set(entries)
    assert len(entries) == len(set(entries))


def test_every_diagram_of_the_pages_is_drawn() -> None:
    """With a box for each node and an arrow for each edge."""
    texts = [path.read_text(encoding="utf-8") for path in OF_DOCS]
    charts = [fence[3] for text in texts for fence in FENCE.finditer(text) if fence[2] == "mermaid"]
    assert len(charts) == 2
    for chart in charts:
        boxes, edges = read(chart)
        assert drawn(chart).count("<rect") == len(boxes)
        assert drawn(chart).count("marker-end") == len(edges) == len(re.findall(r"-->|\.->", chart))


PAGE = '<html><body id="top"><h1 id="one">1</h1>{}</body></html>'


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="b.html#one">b</a><a href="#top">a</a><a href="https://example.org">c</a>', ""),
        ('<a href="c.html">c</a>', "there is no such file"),
        ('<a href="b.html#two">b</a>', "the page has no such anchor"),
        ('<img src="x.png">', "there is no such file"),
        ('<script src="https://cdn.example.org/x.js"></script>', "loads a file from another host"),
        ('<link rel="stylesheet" href="//fonts.example.org/x.css">', "loads a file from another host"),
    ],
)
def test_a_fault_of_the_built_pages_is_found(body: str, fault: str, tmp_path: Path) -> None:
    """A dead link, a missing anchor or file, and whatever is loaded from elsewhere."""
    (tmp_path / "a.html").write_text(PAGE.format(body), encoding="utf-8")
    (tmp_path / "b.html").write_text(PAGE.format(""), encoding="utf-8")
    problems = list(check.problems(tmp_path))
    assert [fault in problem for problem in problems] == ([True] if fault else [])


def test_a_font_of_another_host_is_found(tmp_path: Path) -> None:
    """In a style sheet."""
    (tmp_path / "x.css").write_text("@font-face { src: url(https://fonts.example.org/a.woff) }", encoding="utf-8")
    assert "fonts.example.org" in next(check.problems(tmp_path))


@pytest.mark.slow
def test_no_page_is_wider_than_a_phone(tmp_path: Path) -> None:
    """The site is built, and read by a browser at two widths."""
    pytest.importorskip("sphinx", reason="needs the extra `docs`")
    if shutil.which("chromedriver") is None:
        pytest.skip("needs chromedriver")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", ROOT / "docs", site]
    subprocess.run(command, check=True, timeout=1200)
    built = [path for path in sorted(site.rglob("*.html")) if "files" not in path.relative_to(site).parts]
    assert len(built) > 60
    with driver() as address:
        browser = Browser(address, 1400, 1000)
        for width in WIDTHS:
            for path in built:
                browser.open_at_width(path.as_uri(), width)
                assert browser.value_of(OVERFLOW) <= 0, (path, width)
        browser.close()
