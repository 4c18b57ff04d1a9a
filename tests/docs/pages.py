"""The Markdown pages of the project and the fenced blocks in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ("reference", "project", "files")  # folders below docs/ that the build of the site fills
DOCS = ROOT / "docs"
OF_DOCS = [path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in GENERATED]
PAGES = [ROOT / "README.md", *OF_DOCS, ROOT / "plugins" / "README.md"]
WALKED = ["docs/tutorial.md", *(f"docs/howto/{path.name}" for path in OF_DOCS if path.parent.name == "howto")]
"""Pages that are executed from top to bottom, as a reader follows them: by tests/docs/test_walked_pages.py."""
TRANSLATED = {"docs/tutorial_ko.md": "docs/tutorial.md"}
"""Pages in another language, whose blocks are those of the first page."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, its first line there, the comment above it, its language and its text."""

    page: str
    line: int
    note: str
    language: str
    text: str

    @property
    def id(self) -> str:
        """`docs/spec.md:12`, which a failing test shows."""
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a page; a comment on the line above a block is its note."""
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(ROOT).as_posix()
    fences = re.finditer(r"^(?:<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", text, re.S | re.M)
    return [Block(page, 1 + text.count("\n", 0, m.start(3)), m[1] or "", m[2], m[3]) for m in fences]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def tried(*languages: str) -> list[Block]:
    """The blocks in these languages that are tried one by one: those of walked pages, and those that say above them why
    they are not run, are left out."""
    alone = [block for block in BLOCKS if block.page not in (*WALKED, *TRANSLATED)]
    return [block for block in alone if block.language in languages and not block.note.startswith("not run: ")]


def the_block(page: str, language: str, containing: str) -> str:
    """The text of the only block of a page in a language that contains some words."""
    texts = [b.text for b in BLOCKS if b.page == page and b.language == language and containing in b.text]
    assert len(texts) == 1, (page, language, containing, len(texts))
    return texts[0]


def command_lines(block: Block) -> list[str]:
    """The commands of a `sh` block, one a line; of a `console` block the lines that begin with `$`."""
    lines = block.text.splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if shlex.split(line, comments=True)]
