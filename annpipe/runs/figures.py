"""The figures of a run's folder by name, shown inline in a notebook."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors.suggest import did_you_mean

ARTIFACTS, PLOTS = "artifacts", "plots"
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
LARGEST = 8_000_000  # bytes of a file that is shown: annpipe's own have two at most


@dataclass(frozen=True)
class FigureFile:
    """A figure of a run: its name and its file; a notebook shows it."""

    name: str
    path: Path

    def __repr__(self) -> str:
        return f"<figure {self.name}>"

    def _repr_html_(self) -> str:
        """The file inside the page, as an image: what an SVG of somebody else says is drawn, and never run."""
        name = html.escape(self.name)
        if self.path.stat().st_size > LARGEST:
            return f"<p>{name}: too large to be shown; it is {html.escape(str(self.path))}</p>"
        data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        type_ = TYPES[self.path.suffix]
        return f'<img alt="{name}" title="{name}" style="max-width:100%" src="data:{type_};base64,{data}"/>'


class Figures(Mapping[str, FigureFile]):
    """The figures of a run's folder: `learning_curve`, and `evaluated/march/confusion_matrix` of other rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _files(self) -> dict[str, FigureFile]:
        root = self._folder / ARTIFACTS
        files = sorted(path for path in root.rglob("*") if path.suffix in TYPES and path.is_file())
        names = [path.relative_to(root).with_suffix("").as_posix().removeprefix(f"{PLOTS}/") for path in files]
        return {name: FigureFile(name, path) for name, path in zip(names, files, strict=True)}

    def __getitem__(self, name: str) -> FigureFile:
        """The figure of this name; raises KeyError, with the names that there are."""
        files = self._files()
        if name not in files:
            near = did_you_mean(name, files) or f"it has {', '.join(files) or 'none'}"
            raise KeyError(f"the run {self._folder.name} has no figure '{name}'; {near}")
        return files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files())

    def __len__(self) -> int:
        return len(self._files())

    def __repr__(self) -> str:
        return f"<figures of {self._folder.name}: {', '.join(self) or 'none'}>"

    def _repr_html_(self) -> str:
        figures = "".join(f"<div>{figure._repr_html_()}</div>" for figure in self.values())
        return figures or html.escape(repr(self))
