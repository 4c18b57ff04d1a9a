"""The tutorial and the how-to pages are executed from top to bottom, and their tables of numbers are right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import unrecorded
from tests.docs.figures import FIGURES, IMAGES, copy_specs, make
from tests.docs.pages import ROOT, TRANSLATED, WALKED, blocks_of, the_block
from tests.docs.walking import Walk, not_printed

CliHere = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore:::mlflow\.")
@pytest.mark.parametrize("page", WALKED)
def test_a_page_can_be_followed(
    page: str, annpipe_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is written, each command and program run, and what the page shows is printed."""
    monkeypatch.chdir(tmp_path)
    copy_specs(tmp_path)
    with unrecorded():
        Walk(tmp_path, annpipe_here).along(page)


def test_what_is_not_printed_is_noticed() -> None:
    """Another word, another number and another order; a line left out, spaces and rounding are no fault."""
    printed = "loss  0.5012\nseconds 3\naccuracy  1\n"
    assert not_printed("loss 0.5\naccuracy 1", printed) == []
    assert not_printed("loss 0.9", printed) == ["loss 0.9"]
    assert not_printed("accuracy 1\nloss 0.5", printed) == ["loss 0.5"]
    assert not_printed("score 1", printed) == ["score 1"]


@pytest.mark.parametrize(("page", "first"), TRANSLATED.items())
def test_a_translation_has_the_same_blocks_headings_and_figures(page: str, first: str) -> None:
    """In the same order; of diagrams, which hold words, their number."""

    assert skeleton(page) == skeleton(first)


def skeleton(name: str) -> list[object]:
    """What a page has in every language: blocks, levels of headings, figures and decimal numbers."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = [(block.language, block.note, block.note != "diagram" and block.text) for block in blocks_of(ROOT / name)]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    headings = [len(signs) for signs in re.findall(r"^(#+) ", prose, re.M)]
    return [blocks, headings, re.findall(r"!\[[^]]*\]\(([^)]+)\)", prose), re.findall(r"-?\d+\.\d+", prose)]


def test_the_numbers_by_hand_are_those_of_autograd() -> None:
    """The gradients of the program on the page, and every number of the tables beside it."""
    names: dict[str, torch.Tensor] = {}
    exec(the_block("docs/tutorial.md", "python", "d_out = "), names)
    first = torch.nn.Linear(1, 2)
    second = torch.nn.Linear(2, 1)
    parameters = [first.weight, first.bias, second.weight, second.bias]
    with torch.no_grad():
        for parameter, name in zip(parameters, ("W1", "b1", "W2", "b2"), strict=True):
            parameter.copy_(names[name])
    before = [parameter.clone() for parameter in parameters]
    z = first(names["x"])
    h = torch.relu(z)
    out = second(h)
    gradients = torch.autograd.grad((out - names["y"]).abs().mean(), [*parameters, z, h, out])
    d_W1, d_b1, d_W2, d_b2, d_z, d_h, d_out = gradients
    for name, gradient in zip(("d_W1", "d_b1", "d_W2", "d_b2", "d_z"), gradients, strict=False):
        assert torch.equal(names[name], gradient), name
    after = [parameter - 0.1 * gradient for parameter, gradient in zip(parameters, gradients, strict=False)]
    errors = (out - names["y"]).abs()
    assert numbers("Forward", 2) == flat(torch.cat([z, h, out, errors], dim=1).T)
    assert numbers("Backward", 2) == flat(torch.cat([d_out, d_h, d_z], dim=1).T)
    assert numbers("Backward", 1, table=1) == flat(d_W2, d_b2, d_W1, d_b1)
    each = [flat(old) + flat(new) for old, new in zip(before, after, strict=True)]
    assert numbers("The step", 2) == [number for row in each for number in row]
    W1, b1, W2, b2 = after
    stepped = (torch.relu(names["x"] @ W1.T + b1) @ W2.T + b2 - names["y"]).abs().mean()
    assert f"it is {stepped.item():.4f}." in (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def numbers(heading: str, columns: int, table: int = 0) -> list[float]:
    """The numbers in the last columns of a table of the tutorial, below a heading."""
    section = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8").partition(f"### {heading}\n")[2]
    tables = re.findall(r"(?:^\|.*\n)+", section, re.M)
    rows = [line.replace("\\|", "").strip("|\n ").split("|") for line in tables[table].splitlines()[2:]]
    cells = [cell for row in rows for cell in row[-columns:]]
    return [float(number) for cell in cells for number in re.findall(r"-?\d+(?:\.\d+)?", cell)]


def flat(*tensors: torch.Tensor) -> list[float]:
    """The numbers of tensors, one after the other."""
    return [round(value, 6) for tensor in tensors for value in tensor.flatten().tolist()]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_made_again(name: str, tmp_path: Path) -> None:
    """Its spec runs and draws one figure, of the kind that is committed."""
    copy_specs(tmp_path)
    with unrecorded():
        figure = make(tmp_path, name)
    assert (IMAGES / f"{name}{figure.suffix}").is_file()
