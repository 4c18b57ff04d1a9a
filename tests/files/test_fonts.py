"""Letters of any script: a font that has them is found, and a figure without one keeps its text or says so."""

from __future__ import annotations

import io
import shutil
import warnings
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from annpipe.files import fonts
from annpipe.files.figure_style import figure_style
from annpipe.files.figures import write_figure

UNKNOWN = "\U000130a7"  # a hieroglyph: neither this machine nor that of CI has a font of it
MATHEMATICAL = "\U0001d4d0"  # a letter that DejaVu Sans lacks and STIX, which comes with matplotlib, has


def drawn(words: str) -> Figure:
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.set_title(words, fontweight="bold")
    axes.bar([words, "b"], [1, 2])
    return figure


def written(figure: Figure, form: str) -> bytes:
    """The file; a warning of matplotlib's is an error."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figure(figure, file, format=form)
    return file.getvalue()


def test_a_font_of_the_machine_has_the_letter() -> None:
    """The family is found by what its file holds; letters of matplotlib's own font need none."""
    assert fonts.letters_beyond(["abc äöü Ω"]) == frozenset()
    families, missing = fonts.families_for(fonts.letters_beyond([MATHEMATICAL]))
    assert len(families) == 1
    assert not missing
    with figure_style([MATHEMATICAL]):
        assert mpl.rcParams["font.family"] == ["DejaVu Sans", *families]
    assert mpl.rcParams["font.family"] != ["DejaVu Sans", *families]


def test_the_letter_is_drawn_in_that_font() -> None:
    """As a shape, not as a box: the figure holds no text."""
    figure = drawn(f"x {MATHEMATICAL}")
    svg = written(figure, "svg")
    assert b"<text" not in svg
    (family,) = fonts.families_for(frozenset(MATHEMATICAL))[0]
    assert family in figure.axes[0].title.get_fontfamily()


def test_without_a_font_an_svg_keeps_its_text() -> None:
    """The viewer has fonts of its own; other figures are drawn as before."""
    svg = written(drawn(f"x {UNKNOWN}"), "svg")
    root = ElementTree.fromstring(svg)
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(f"x {UNKNOWN}") == 2
    assert b"sans-serif" in svg
    assert mpl.rcParams["svg.fonttype"] == "path"


def test_without_a_font_a_png_says_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    """In the picture, where it is needed, and nothing on the terminal."""
    figure = drawn(f"x {UNKNOWN}")
    written(figure, "png")
    assert [text.get_text() for text in figure.texts] == [
        "Boxes stand for letters (Egyptian) of which this machine has no font: install one, or write an SVG."
    ]
    plain = drawn("x")
    written(plain, "png")
    assert not plain.texts
    assert capfd.readouterr() == ("", "")


def test_a_font_that_was_installed_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib keeps a list of fonts that it made once; a new file in a folder of fonts is looked at as well."""
    shutil.copy(Path(mpl.get_data_path()) / "fonts/ttf/STIXGeneral.ttf", tmp_path / "new.ttf")
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    known = [font for font in font_manager.fontManager.ttflist if font.name == fonts.OWN]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [*map(str, tmp_path.iterdir())])
    for cached in (fonts.families_for, fonts._add_new_fonts):
        cached.cache_clear()
    assert fonts.families_for(frozenset(MATHEMATICAL)) == (("STIXGeneral",), frozenset())
    fonts.families_for.cache_clear()
