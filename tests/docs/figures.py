"""Makes the figures of the tutorial by running its specs: `python -m tests.docs.figures`; they go to docs/images."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import annpipe

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images" / "tutorial"
FUNCTIONS = "model=[{Linear: 8}, ReLU, {Linear: 8}, Tanh, {Linear: 8}, Sigmoid, {Linear: 1}]"
FIGURES = {
    "perceptron_and": ("pipelines/perceptron_and.yaml", "predictions", ()),
    "perceptron_xor": ("pipelines/perceptron_xor.yaml", "predictions", ()),
    "xor": ("pipelines/xor.yaml", "predictions", ()),
    "linear_collapse": ("pipelines/linear_collapse.yaml", "predictions", ()),
    "activations": ("pipelines/activations.yaml", "activations", (FUNCTIONS, "train.epochs=1")),
    "by_hand": ("docs/tutorial/by_hand.yaml", "network", ()),
    "learning_curve": ("pipelines/quadratic.yaml", "learning_curve", ()),
}
"""By the name of a picture: the spec, the plot of its run, and what is set for it."""


def make(project: Path, name: str) -> Path:
    """The figure of one run in a project folder that has the specs."""
    spec, plot, overrides = FIGURES[name]
    run = annpipe.run(project / spec, overrides=[*overrides, f"plots=[{plot}]"])
    (figure,) = (run.folder / "artifacts" / "plots").iterdir()
    return figure


def copy_specs(project: Path) -> None:
    """The folders of the repository whose specs the tutorial runs."""
    for folder in ("pipelines", "docs/tutorial"):
        shutil.copytree(ROOT / folder, project / folder)


def main() -> None:
    """All figures, in a project folder of their own."""
    project = Path(tempfile.mkdtemp(prefix="annpipe-figures-"))
    copy_specs(project)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        file = make(project, name)
        shutil.copyfile(file, IMAGES / f"{name}{file.suffix}")
        print(IMAGES / f"{name}{file.suffix}")


if __name__ == "__main__":
    main()
