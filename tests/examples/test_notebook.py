"""The notebook of the examples runs from top to bottom, and shows what it has stored."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook" / "penguins.ipynb"


def outputs(notebook: Any) -> list[list[set[str]]]:
    """For each cell of code the MIME types of its outputs; what is printed is `stdout` or `stderr`."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[set(output.get("data", {output.get("name"): ""})) for output in cell.outputs] for cell in cells]


def values(notebook: Any) -> dict[str, float]:
    """The numbers of the outputs that are mappings."""
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [data.get("text/plain", "") for data in shown]
    return {key: value for text in texts if text.startswith("{") for key, value in ast.literal_eval(text).items()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
def test_the_notebook_shows_what_it_has_stored(tmp_path: Path) -> None:
    """One bar that is replaced, figures inline, nothing on stderr; values as they are stored."""
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    folder = tmp_path / "examples" / "notebook"
    folder.mkdir(parents=True)
    stored = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    assert outputs(notebook) == outputs(stored)
    assert outputs(stored)[0] == [{"text/html", "text/plain"}] * 2
    assert values(notebook) == pytest.approx(values(stored), rel=0.05, abs=1e-3)
    first = notebook.cells[2].outputs
    assert "epoch 60/60" in first[0].data["text/plain"]
    assert first[1].data["text/html"].count("data:image/svg+xml;base64,") == 2
    assert str(tmp_path) not in nbformat.writes(notebook)
