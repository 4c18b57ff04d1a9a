"""Plain text as Markdown."""

from __future__ import annotations

SIGNS = "\\*_[]<>|"


def escaped(text: str) -> str:
    """The text with a backslash before each sign that Markdown would take for its own; code between ` stays."""
    parts = text.split("`")
    if len(parts) < 3:
        return "".join(f"\\{sign}" if sign in SIGNS else sign for sign in text)
    return "`".join(part if number % 2 else escaped(part) for number, part in enumerate(parts))
