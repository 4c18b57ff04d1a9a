"""The first page on the site, and the table of contents at its side, which is read from the links of that page."""

from __future__ import annotations

import re

GENERATED = """- [All components](reference/components.md): options, types, defaults, limits
- [The sections of a spec](reference/sections.md)
- [The command line](reference/commands.md)
- [Error codes](reference/errors/index.md)"""
"""Pages that exist on the site alone; a comment of the first page says where they are listed."""


def with_contents(text: str) -> str:
    """The first page with a hidden table of contents: each heading a part, each link below it an entry."""
    parts = []
    text = text.replace("<!-- generated reference -->", GENERATED)
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        caption, _, body = section.partition("\n")
        entries = [f"{title} <{link}>" for title, link in re.findall(r"\[([^]]+)\]\(([^)\s#]+)\.md\)", body)]
        if entries:
            parts.append(_toctree(caption, entries))
    return "\n\n".join([text.rstrip(), *parts]) + "\n"


def _toctree(caption: str, entries: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"])
