"""Lays a report out as a page of HTML, and as Markdown; whatever is shown in them is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from annpipe.errors import visible
from annpipe.report.wording import number, short

TEMPLATES = Path(__file__).parent / "templates"
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$])")


class Plain(str):
    """Markdown that stands as it is."""

    __slots__ = ()


def as_html(template: str, **content: Any) -> str:
    """The page of a template; texts are escaped for HTML, but for Markup."""
    return _html().get_template(f"{template}.html").render(content)


def as_markdown(template: str, **content: Any) -> str:
    """The Markdown of a template; texts are escaped for Markdown and the HTML in it, but for Plain."""
    text = _markdown().get_template(f"{template}.md").render(content)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def markdown_escaped(text: str) -> str:
    r"""A text on one line, whose marks of Markdown and HTML mean nothing.

    >>> print(markdown_escaped("a|b <script>"))
    a\|b &lt;script&gt;
    """
    escaped = _MARKS.sub(r"\\\1", visible(text).replace("\t", " ").replace("\n", " "))
    return escaped.replace("&", "&amp;").replace(r"\<", "&lt;").replace(r"\>", "&gt;")


def code_block(text: str, language: str = "") -> Plain:
    """A fenced block, with a fence longer than any in the text."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Plain(f"{fence}{language}\n{visible(text).rstrip()}\n{fence}")


def breakable(name: str) -> Markup:
    """A name in HTML that may break behind its strokes, dots and underscores."""
    return Markup(re.sub(r"([/._])", r"\1<wbr>", str(escape(short(name, 80)))))


@cache
def _html() -> Environment:
    return _environment(_shown_in_html, autoescape=True)


@cache
def _markdown() -> Environment:
    environment = _environment(_shown_in_markdown, autoescape=False)
    environment.filters["code"] = code_block
    return environment


def _environment(finalize: Callable[[Any], Any], *, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["short"] = short
    environment.filters["breakable"] = breakable
    return environment


def _shown_in_html(value: Any) -> Any:
    """Control characters would break the page; Markup was made of escaped texts."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) else visible(str(value))


def _shown_in_markdown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, Plain) else markdown_escaped(str(value))
