"""Sphinx extension of the site: makes the generated pages, leads links to them, and checks what was built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from docs.site_builder import check, generate
from docs.site_builder.contents import with_contents
from docs.site_builder.links import for_site

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the steps to the events of the build."""
    generate.write_all(Path(app.srcdir))
    app.connect("source-read", _read)
    app.connect("html-page-context", _language)
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    """A page of docs/ as the site has it; the generated ones are made so."""
    if generate.is_generated(docname):
        return
    source[0] = for_site(source[0], f"docs/{docname}.md", docname)
    if docname == "index":
        source[0] = with_contents(source[0])


def _language(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """A page whose name ends with `_ko` says in its HTML that it is Korean."""
    if pagename.endswith("_ko"):
        context["language"] = "ko"


def _check(app: Sphinx, fault: Exception | None) -> None:
    """Each fault of the built pages is a warning, and so an error; links to other sites are listed in a file."""
    if fault is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for problem in check.problems(out):
        logger.warning("%s", problem)
    (out / "external_links.txt").write_text("\n".join(check.external_links(out)) + "\n", encoding="utf-8")
