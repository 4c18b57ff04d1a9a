"""The glossary: each word is in the file that defines it, once, with one sentence."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

GLOSSARY = ROOT / "docs" / "glossary.md"
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| \[[^\]]+\]\(([^)]+)\) \|$", GLOSSARY.read_text(encoding="utf-8"), re.M)
NEEDED = (
    *("look", "gear", "shift", "schedule", "stream", "spec", "draft", "plan", "parts", "journal", "record", "shipper"),
    *("trial", "member", "tap", "observer", "component", "option", "mark", "kind", "index", "plugin", "stack", "split"),
)


def test_every_word_stands_there_once() -> None:
    """The words that the code is written in; `Stack` is a class, stack a word."""
    words = [word for word, _, _ in ROWS]
    assert sorted(words) == sorted(set(words))
    assert not set(NEEDED) - set(words)
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    assert len(ROWS) == len([line for line in lines if line.startswith("| ") and not line.startswith("| word ")])


@pytest.mark.parametrize(("word", "meaning", "file"), ROWS, ids=[row[0] for row in ROWS])
def test_a_word_is_in_the_file_that_defines_it(word: str, meaning: str, file: str) -> None:
    """As a word of its own, in the singular or plural; its sentence is one."""
    text = (GLOSSARY.parent / file).resolve().read_text(encoding="utf-8")
    text = re.sub(r"[_\W]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).lower()
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word.strip("`")).lower()
    plural = {"axis": "axes"}.get(plain, f"{plain}s")
    assert re.search(rf"\b({plain}|{plural})\b", text), (word, file)
    assert not meaning.endswith(".")
    assert meaning.strip()
