"""Executes a page from top to bottom as a reader follows it: writes its files, runs its commands and its Python."""

from __future__ import annotations

import io
import math
import re
import shlex
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.reader import read_text
from tests.docs.pages import ROOT, Block, blocks_of, command_lines

CliHere = Callable[..., tuple[int, str, str]]
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


class Walk:
    """A reader in a project folder; `printed` is what the last block printed, `names` what the last Python defined."""

    def __init__(self, project: Path, annpipe_here: CliHere) -> None:
        self.project = project
        self.annpipe_here = annpipe_here
        self.printed = ""
        self.names: dict[str, Any] = {}

    def along(self, page: str) -> None:
        """Does what each block of the page says."""
        for block in blocks_of(ROOT / page):
            what, _, about = block.note.partition(": ")
            if what == "not run":
                continue
            if what == "file":
                self._file(block, about)
            elif what == "part of":
                self._part(block, about)
            elif block.language in ("sh", "console"):
                self.printed = "".join(self._command(line, block) for line in command_lines(block))
            elif block.language == "python":
                self._python(block)
            elif what == "printed":
                missing = not_printed(block.text, self.printed)
                assert not missing, (block.id, missing, self.printed)
            else:
                assert what == "diagram", f"{block.id}: no note above this block says what it is"

    def _file(self, block: Block, name: str) -> None:
        """Writes a file of the page; one that the repository has must say the same, its comments aside."""
        path = self.project / name
        if path.exists():
            there = path.read_text(encoding="utf-8")
            assert plain(read_text(block.text, name)) == plain(read_text(there, name)), block.id
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")

    def _part(self, block: Block, name: str) -> None:
        """Sections of a spec that stands in the project, word for word."""
        whole: Any = plain(read_text((self.project / name).read_text(encoding="utf-8"), name))
        part: Any = plain(read_text(block.text, name))
        assert {key: whole[key] for key in part} == part, block.id

    def _command(self, line: str, block: Block) -> str:
        words = shlex.split(line, comments=True)
        assert words[0] == "annpipe", (block.id, line)
        target = self.project / words.pop() if ">" in words else None
        code, out, err = self.annpipe_here(*[word for word in words[1:] if word != ">"])
        assert code == 0, (block.id, line, err)
        if target:
            target.write_text(out, encoding="utf-8")
        return out

    def _python(self, block: Block) -> None:
        self.names, out = {"__name__": "__main__"}, io.StringIO()
        with redirect_stdout(out):
            exec(compile(block.text, block.id, "exec"), self.names)
        self.printed = out.getvalue()


def not_printed(shown: str, printed: str) -> list[str]:
    """The lines of a page that were not printed in this order; numbers may differ a little, lines may be left out."""
    lines = iter(printed.splitlines())
    return [line for line in shown.splitlines() if line.strip() and not any(_same(line, other) for other in lines)]


def _same(line: str, other: str) -> bool:
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (line, other)]
    numbers = [[float(number.replace(",", "")) for number in NUMBER.findall(text)] for text in (line, other)]
    if words[0] != words[1] or len(numbers[0]) != len(numbers[1]):
        return False
    return all(math.isclose(a, b, rel_tol=0.1, abs_tol=1e-3) for a, b in zip(*numbers, strict=True))
