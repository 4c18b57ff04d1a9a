"""Mermaid flowcharts drawn as SVG, from top to bottom, without a script and without another host."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

NODE = re.compile(r"(\w+)(?:\[\"([^\"]*)\"\])?")
ARROW = re.compile(r"\s+(?:--\s+(.+?)\s+-->|-\.\s+\"?(.*?)\"?\s+\.->|-->)\s+")
LETTER, LINE, PADDING, GAP, BETWEEN = 7.5, 18, 10, 24, 46
"""Sizes in pixels: of a letter and a line of text, around the text of a box, between boxes, and between rows."""
STYLE = "fill:none;stroke:currentColor;"


@dataclass
class Box:
    """A node, or the place where a long edge passes a row; its centre, once it is laid out."""

    lines: list[str] = field(default_factory=list)
    row: int = 0
    x: float = 0.0
    y: float = 0.0
    row_height: float = 0.0

    @property
    def width(self) -> float:
        return max((LETTER * len(line) for line in self.lines), default=0) + 2 * PADDING

    @property
    def height(self) -> float:
        return LINE * len(self.lines) + 2 * PADDING


@dataclass
class Edge:
    """An arrow from one node to another, with its words."""

    start: str
    end: str
    words: str
    is_dashed: bool


def drawn(text: str) -> str:
    """The chart as raw HTML within Markdown."""
    boxes, edges = read(text)
    _give_rows(boxes, edges)
    paths = [_path(boxes, edge) for edge in edges]
    width, height = _lay_out(boxes)
    parts = [_line(boxes, path, edge) for path, edge in zip(paths, edges, strict=True)]
    parts += [_box(box) for box in boxes.values() if box.lines]
    arrow = '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    head = f'<defs>{arrow}<path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>'
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}px;max-width:100%"'
    svg = f'<svg class="diagram" role="img" aria-label="diagram" {size}>{head}{"".join(parts)}</svg>'
    return f"```{{raw}} html\n{svg}\n```"


def read(text: str) -> tuple[dict[str, Box], list[Edge]]:
    """The nodes by name and the edges of a flowchart; its direction is left out."""
    boxes: dict[str, Box] = {}
    edges: list[Edge] = []
    for line in text.strip().splitlines()[1:]:
        parts = ARROW.split(line.strip())
        names = []
        for part in parts[::3]:
            match = NODE.fullmatch(part)
            assert match, f"a line that is no chain of nodes: {line}"
            names.append(match[1])
            if match[2] or match[1] not in boxes:
                boxes[match[1]] = Box((match[2] or match[1]).split("<br/>"))
        for number, (start, end) in enumerate(pairwise(names)):
            plain, dashed = parts[3 * number + 1], parts[3 * number + 2]
            edges.append(Edge(start, end, plain or dashed or "", dashed is not None))
    return boxes, edges


def _give_rows(boxes: dict[str, Box], edges: list[Edge]) -> None:
    """Each node stands below all from which an arrow leads to it."""
    for _ in boxes:
        for edge in edges:
            boxes[edge.end].row = max(boxes[edge.end].row, boxes[edge.start].row + 1)


def _path(boxes: dict[str, Box], edge: Edge) -> list[str]:
    """The boxes that an edge passes; in each row between its ends it gets a free place."""
    passed = []
    for row in range(boxes[edge.start].row + 1, boxes[edge.end].row):
        name = f"{edge.start} {edge.end} {row}"
        boxes[name] = Box(row=row)
        passed.append(name)
    return [edge.start, *passed, edge.end]


def _lay_out(boxes: dict[str, Box]) -> tuple[float, float]:
    """Rows below each other, each in the middle; the width and height of all."""
    rows: dict[int, list[Box]] = defaultdict(list)
    for box in boxes.values():
        rows[box.row].append(box)
    widths = {row: sum(box.width + GAP for box in inside) - GAP for row, inside in rows.items()}
    whole, y = max(widths.values()), 2.0
    for row in sorted(rows):
        x, height = (whole - widths[row]) / 2 + 2, max(box.height for box in rows[row])
        for box in rows[row]:
            box.x, box.y, box.row_height = x + box.width / 2, y + height / 2, height
            x += box.width + GAP
        y += height + BETWEEN
    return whole + 4, y - BETWEEN + 2


def _line(boxes: dict[str, Box], path: list[str], edge: Edge) -> str:
    """An edge from the lower side of its first box to the upper side of its last."""
    first, *passed, last = (boxes[name] for name in path)
    points = [(first.x, first.y + first.height / 2)]
    for box in passed:  # straight down through its row, so that it crosses no box there
        points += [(box.x, box.y - box.row_height / 2), (box.x, box.y + box.row_height / 2)]
    points.append((last.x, last.y - last.height / 2))
    dash = "stroke-dasharray:4 4;" if edge.is_dashed else ""
    way = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    line = f'<path d="M{way}" style="{STYLE}{dash}" marker-end="url(#arrow)"/>'
    (x0, y0), (x1, y1) = points[:2]
    return line + (_text(edge.words, (x0 + x1) / 2 + 6, (y0 + y1) / 2 + 4, "start") if edge.words else "")


def _box(box: Box) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    frame = f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="4" '
    first = box.y - LINE * (len(box.lines) - 1) / 2 + 4
    lines = [_text(line, box.x, first + LINE * number, "middle") for number, line in enumerate(box.lines)]
    return f'{frame}style="{STYLE}"/>{"".join(lines)}'


def _text(words: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="13">{escape(words)}</text>'
