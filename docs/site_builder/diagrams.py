"""Mermaid flowcharts drawn as SVG, without a script and without another host."""

from __future__ import annotations


def drawn(text: str) -> str:
    return f"```text\n{text}```"
