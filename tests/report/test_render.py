"""Everything that a report shows is escaped: the page parses and holds no script, whatever names and cells are."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from annpipe.report.content import Curves, MetricRow, MetricTable, RunReport
from annpipe.report.pictures import Series, line_chart
from annpipe.report.render import markdown_escaped
from annpipe.report.write import report_texts

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a|b`c", "{{ 7 * 7 }}", "{% raw %}", "\x00\x1b[31m",
    "‮gnp.exe", "</style><script>", "]]>", "&lt;b&gt;", "```\n<script>\n", "\ud800", "-->", "' onload='x",
)  # fmt: skip
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
VOID = {"meta", "img", "br", "wbr", "link"}
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "div", "span", "h1"}
TAGS |= {"h2", "h3", "p", "small", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "pre", "code", "i"}
TAGS |= {"details", "summary", "figure", "figcaption", "img", "br", "wbr", "svg", "path", "rect", "line", "polyline"}
TAGS |= {"circle", "text", "tspan"}


class Page(HTMLParser):
    """Reads a page strictly: each tag is one that reports have, each is closed in its order, none has a handler."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/svg+xml,", "data:image/png;base64,"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report(words: list[str], number: float) -> RunReport:
    """A report in which every text is one of the words, and every number is the number."""
    a, b, c = words
    series = Series(a, [1, 2, 3], [number, 1.0, 2.0])
    chart = line_chart(b, [series], "epoch")
    assert chart is not None
    return RunReport(
        name=a,
        id=b,
        status="FINISHED",
        description=c,
        begun="2026-01-01 00:00 UTC",
        took="1 s",
        spec=a,
        metrics=MetricTable((a,), (MetricRow(b, (number,), number),)),
        curves=(Curves(c, chart, (a,), ((1, (number,)),)),),
        figures=(),
        environment=((a, b),),
        commands=(c,),
        version="1",
        notes=(a, b),
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=3, max_size=3), st.floats())
def test_whatever_a_report_shows_it_parses_and_holds_no_script(words: list[str], number: float) -> None:
    """Page and model card of generated names, categories, spec texts and numbers, infinities and NaN among them."""
    for name, text in report_texts(report(words, number), tree=False).items():
        encoded = text.encode("utf-8")  # as it is written
        assert b"\x00" not in encoded
        if name.endswith(".html"):
            assert "<script" not in text.lower()
            Page(text)
        else:
            outside = [part for position, part in enumerate(_blocks(text)) if position % 2 == 0]
            assert not any("<" in part for part in outside)


def _blocks(markdown: str) -> list[str]:
    """The text outside of fenced blocks at even positions, and inside at odd ones."""
    parts, fence = [""], ""
    for line in markdown.splitlines(keepends=True):
        if not fence and line.startswith("```"):
            fence = line[: len(line) - len(line.lstrip("`"))]
            parts.append(line)
        elif fence and line.rstrip("\n") == fence:
            fence = ""
            parts.append("")
        else:
            parts[-1] += line
    return parts


def test_a_hostile_name_is_shown_as_it_is() -> None:
    """It is text on the page, and its marks mean nothing in Markdown."""
    texts = report_texts(report(["<b>x</b>", "a|b", "`c`"], 1.0), tree=False)
    assert "<b>x</b>" in "".join(Page(texts["report.html"]).texts)
    assert texts["README.md"].startswith("# &lt;b&gt;x&lt;/b&gt;\n")
    assert r"a\|b" in texts["README.md"]


def test_a_template_in_a_name_is_not_run() -> None:
    """A name is content, and never part of the template."""
    assert "49" not in report_texts(report(["{{ 7 * 7 }}"] * 3, 1.0), tree=False)["report.html"].partition("<main>")[2]


def test_marks_of_markdown_are_escaped_once() -> None:
    """A line break would end a row of a table."""
    assert markdown_escaped("a*b_c\nd&e<f>") == r"a\*b\_c d&amp;e&lt;f&gt;"
