"""The drawings of a report: well formed, true to the points and pixels, escaped."""

from __future__ import annotations

import base64
import io
import math
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from annpipe.report.pictures import Series, image, line_chart, sparkline, thinned


def test_a_chart_is_well_formed_whatever_its_series_are_called() -> None:
    """Names are escaped, and points that are no numbers left out."""
    hostile = '"><script>alert(1)</script>\x00&'
    chart = line_chart(hostile, [Series(hostile, [1, 2, 3, 4], [1.0, math.nan, math.inf, 3.0])], "epoch")
    assert chart is not None
    assert "<script" not in chart
    root = ElementTree.fromstring(chart)
    assert "<script>" in root.attrib["aria-label"]
    (curve,) = root.iter("polyline")
    assert len(curve.attrib["points"].split()) == 2


@pytest.mark.parametrize("values", [[math.nan, math.inf], []])
def test_nothing_is_drawn_of_no_numbers(values: list[float]) -> None:
    """There is no chart rather than an empty one."""
    assert line_chart("loss", [Series("loss", list(range(len(values))), values)], "epoch") is None


@pytest.mark.parametrize("values", [[5.0] * 9, [0.0] * 9, [-3.0] * 9, [1e-300, 1e300], [7.0]])
def test_constant_and_extreme_values_have_finite_places(values: list[float]) -> None:
    """Every coordinate of the drawing is a number within it."""
    chart = line_chart("loss", [Series("loss", list(range(len(values))), values)], "epoch")
    assert chart is not None
    assert "nan" not in chart
    assert "inf" not in chart


def test_thinning_keeps_the_ends_and_the_extremes() -> None:
    """A single peak among a hundred thousand points is drawn."""
    y = np.sin(np.arange(100_000) / 9000)
    y[54_321] = 9.0
    thin = thinned(Series("loss", list(range(100_000)), y.tolist()))
    assert len(thin.x) <= 242
    assert (thin.x[0], thin.x[-1], max(thin.y)) == (0, 99_999, 9.0)
    assert list(thin.x) == sorted(thin.x)


def test_an_image_is_drawn_from_its_least_to_its_greatest_number() -> None:
    """The PNG is read again by matplotlib."""
    pixels = np.arange(12.0).reshape(3, 4, 1) - 5
    data = str(image(pixels)).partition("base64,")[2].partition('"')[0]
    read = matplotlib.image.imread(io.BytesIO(base64.b64decode(data)), format="png")
    np.testing.assert_allclose(read, np.arange(12.0).reshape(3, 4) / 11, atol=1 / 255)


def test_a_large_image_is_drawn_small() -> None:
    """Ten of a thousand pixels a side find room in a page."""
    noise = np.random.default_rng(0).normal(size=(1000, 1000, 3))
    assert len(image(noise)) < 20_000


def test_a_series_is_drawn_as_a_small_curve_and_a_short_one_as_numbers() -> None:
    """What has fewer than two finite points is no curve."""
    assert "polyline" in sparkline([1.0, 3.0, 2.0])
    assert "nan" in sparkline([math.nan, math.nan])
