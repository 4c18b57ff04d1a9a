"""Small drawings for a report: charts, a diagram of bins, sparklines and images, all without a script.

The SVG stands in the page itself and takes its colours from the style sheet, by day and in the dark.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from annpipe.report.classes import Calibration
from annpipe.report.wording import number, short

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
MOST_POINTS = 240
LOGARITHMIC_FROM = 20  # times that the largest value is larger than the smallest
MOST_PIXELS = 64  # of a side of an image; of larger ones every so many
COLOURS = 6  # of series, by the style sheet


@dataclass(frozen=True)
class Series:
    """A curve: its name, and its points in the order of x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False
    is_whole: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (
            (map(math.log10, (self.low, self.high, value))) if self.is_log else (self.low, self.high, value)
        )
        return self.begin + (value - low) / ((high - low) or 1.0) * (self.end - self.begin)

    @property
    def ticks(self) -> list[float]:
        if self.is_log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            step = max(1, math.ceil(len(powers) / 5))
            return [10.0**power for power in powers[::step]] if len(powers) > 1 else [self.low, self.high]
        ticks = nice_ticks(self.low, self.high)
        return [tick for tick in ticks if tick == int(tick)] if self.is_whole and self.high > self.low else ticks


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two.

    >>> nice_ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not low < high:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def thinned(series: Series, most: int = MOST_POINTS) -> Series:
    """The finite points; of very many, the smallest and the largest of each stretch, so that no peak is lost."""
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(points) > most:
        size = math.ceil(len(points) / (most // 2))
        kept = []
        for begin in range(0, len(points), size):
            part = points[begin : begin + size]
            kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
        points = [points[0], *kept[1:-1], points[-1]]
    return Series(series.name, [x for x, _ in points], [y for _, y in points])


def line_chart(title: str, series: Sequence[Series], x_label: str) -> Markup | None:
    """Curves over a common x, with a logarithmic scale where values are far apart; None without a finite point."""
    drawn = [thinned(each) for each in series]
    xs = [x for each in drawn for x in each.x]
    ys = [y for each in drawn for y in each.y]
    if not xs:
        return None
    low, high = min(ys), max(ys)
    is_log = low > 0 and high / low > LOGARITHMIC_FROM
    if low == high:
        low, high = (low - 0.5, high + 0.5) if low == 0 else (low - abs(low) / 2, high + abs(high) / 2)
    x_scale = _Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, is_whole=True)
    y_scale = _Scale(low, high, HEIGHT - BOTTOM, TOP, is_log)
    parts = [*_axes(x_scale, y_scale, x_label)]
    for k, each in enumerate(drawn):
        parts.append(_curve(each, x_scale, y_scale, k % COLOURS))
    label = f"{title}: {', '.join(each.name for each in series)}" + (" (logarithmic)" if is_log else "")
    return _svg(WIDTH, HEIGHT, label, parts)


def _curve(series: Series, x_scale: _Scale, y_scale: _Scale, colour: int) -> str:
    points = [f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in zip(series.x, series.y, strict=True)]
    if len(points) == 1:
        x, y = points[0].split(",")
        return f'<circle class="p{colour}" cx="{x}" cy="{y}" r="3.5"/>'
    return f'<polyline class="c{colour}" points="{" ".join(points)}"/>'


def _axes(x_scale: _Scale, y_scale: _Scale, x_label: str) -> Iterator[str]:
    for value, words in zip(y_scale.ticks, tick_words(y_scale.ticks), strict=True):
        y = y_scale(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'
    for value, words in zip(x_scale.ticks, tick_words(x_scale.ticks), strict=True):
        yield f'<text x="{x_scale(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{words}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end" class="soft">{escape(x_label)}</text>'


def tick_words(ticks: Sequence[float]) -> list[str]:
    """Numbers in as few digits as tell them apart.

    >>> tick_words([0.0, 500.0, 1000.0, 1500.0]), tick_words([0.9965, 0.997])
    (['0', '500', '1k', '1.5k'], ['0.9965', '0.997'])
    """
    for digits in range(3, 12):
        words = [_tick(value, digits) for value in ticks]
        if len(set(words)) == len(words):
            break
    return words


def _tick(value: float, digits: int) -> str:
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit <= abs(value) < unit * 1000:
            return f"{value / unit:.{digits}g}{suffix}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def reliability_diagram(diagram: Calibration) -> Markup:
    """The share that came true over the predicted probability; a bar's width of shade tells how many rows a bin has."""
    size = 260
    scale = _Scale(0.0, 1.0, LEFT, size - RIGHT)
    upright = _Scale(0.0, 1.0, size - BOTTOM, TOP)
    most = max(part.rows for part in diagram.bins)
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = upright(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{size - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        parts.append(f'<text x="{scale(value):.1f}" y="{size - BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for part in diagram.bins:
        height = 40 * part.rows / most
        x, width = scale(part.low), scale(part.high) - scale(part.low)
        y = size - BOTTOM - height
        parts.append(f'<rect class="shade" x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}"/>')
    parts.append(f'<line class="ideal" x1="{scale(0)}" y1="{upright(0)}" x2="{scale(1)}" y2="{upright(1)}"/>')
    points = [(scale(part.predicted), upright(part.observed)) for part in diagram.bins]
    parts.append(f'<polyline class="c0" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
    parts += [f'<circle class="p0" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points]
    parts.append(f'<text x="{size - RIGHT}" y="{size - 4}" text-anchor="end" class="soft">predicted probability</text>')
    return _svg(size, size, "observed share by predicted probability", parts, "chart square")


def sparkline(values: Sequence[float]) -> Markup:
    """A series as a small curve."""
    drawn = thinned(Series("", list(range(len(values))), values), 80)
    if len(drawn.x) < 2:
        return Markup("") + ", ".join(number(value) for value in values[:4])
    x_scale = _Scale(0.0, float(len(values) - 1), 1, 119)
    y_scale = _Scale(min(drawn.y), max(drawn.y), 27, 1)
    return _svg(120, 28, "series", [_curve(drawn, x_scale, y_scale, 0)], "spark")


def image(pixels: np.ndarray[Any, Any]) -> Markup:
    """(height, width, 1 or 3) numbers as a PNG from their least to their greatest, in the page."""
    step = max(1, math.ceil(max(pixels.shape[:2]) / MOST_PIXELS))
    finite = np.nan_to_num(pixels[::step, ::step], posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    grey = np.round((finite - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    data = base64.b64encode(_png(grey)).decode("ascii")
    return Markup('<img class="pixels" alt="image" src="data:image/png;base64,{}">').format(data)


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    """Bytes of a PNG of 8 bits, grey or RGB (ISO/IEC 15948)."""
    height, width, channels = pixels.shape
    lines = b"".join(b"\0" + pixels[row].tobytes() for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _svg(width: int, height: int, label: str, parts: Sequence[str], css: str = "chart") -> Markup:
    head = f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(short(label, 200))}">'
    return Markup(head + "".join(parts) + "</svg>")
